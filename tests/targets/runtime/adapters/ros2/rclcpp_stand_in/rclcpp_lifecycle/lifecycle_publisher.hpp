#pragma once
#include <memory>
#include <vector>

namespace rclcpp_lifecycle {

struct ManagedPublisher {
  virtual ~ManagedPublisher() = default;
  void on_activate() { active_ = true; }
  void on_deactivate() { active_ = false; }
  bool is_activated() const { return active_; }

 private:
  bool active_ = false;
};

template <typename Message>
struct LifecyclePublisher : ManagedPublisher {
  using SharedPtr = std::shared_ptr<LifecyclePublisher>;
  void publish(const Message &message) { published.push_back(message); }
  std::vector<Message> published;
};

}  // namespace rclcpp_lifecycle
