#pragma once
#include <rclcpp/rclcpp.hpp>
#include <rclcpp_lifecycle/lifecycle_publisher.hpp>

#include <any>

namespace rclcpp_lifecycle {

struct State {};

namespace node_interfaces {
struct LifecycleNodeInterface {
  enum class CallbackReturn : std::uint8_t { SUCCESS = 97, FAILURE = 98, ERROR = 99 };
  virtual ~LifecycleNodeInterface() = default;
  virtual CallbackReturn on_configure(const State &) { return CallbackReturn::SUCCESS; }
  virtual CallbackReturn on_cleanup(const State &) { return CallbackReturn::SUCCESS; }
  virtual CallbackReturn on_shutdown(const State &) { return CallbackReturn::SUCCESS; }
  virtual CallbackReturn on_activate(const State &) { return CallbackReturn::SUCCESS; }
  virtual CallbackReturn on_deactivate(const State &) { return CallbackReturn::SUCCESS; }
  virtual CallbackReturn on_error(const State &) { return CallbackReturn::SUCCESS; }
};
}  // namespace node_interfaces

class LifecycleNode : public node_interfaces::LifecycleNodeInterface {
 public:
  LifecycleNode(const std::string &, const rclcpp::NodeOptions &) {}

  CallbackReturn on_activate(const State &) override { return publisher_ ? publisher_->on_activate() : void(), CallbackReturn::SUCCESS; }
  CallbackReturn on_deactivate(const State &) override { return publisher_ ? publisher_->on_deactivate() : void(), CallbackReturn::SUCCESS; }

  template <typename Value>
  const Value &declare_parameter(const std::string &name, const Value &value, const rcl_interfaces::msg::ParameterDescriptor &) {
    return std::get<Value>(parameters_[name] = value);
  }
  rclcpp::Parameter get_parameter(const std::string &name) const { return {name, parameters_.at(name)}; }
  rcl_interfaces::msg::SetParametersResult set_parameter(const rclcpp::Parameter &changed) {
    auto result = on_set_->callback({changed});
    if (result.successful) parameters_.at(changed.get_name()) = changed.value();
    return result;
  }
  template <typename Callback>
  rclcpp::node_interfaces::OnSetParametersCallbackHandle::SharedPtr add_on_set_parameters_callback(Callback callback) {
    return on_set_ = std::make_shared<rclcpp::node_interfaces::OnSetParametersCallbackHandle>(rclcpp::node_interfaces::OnSetParametersCallbackHandle{callback});
  }
  template <typename Message>
  typename LifecyclePublisher<Message>::SharedPtr create_publisher(const std::string &topic, const rclcpp::QoS &) {
    auto made = std::make_shared<LifecyclePublisher<Message>>();
    publisher_ = made;
    publishers[topic] = std::weak_ptr<LifecyclePublisher<Message>>(made);
    return made;
  }
  template <typename Message, typename Callback>
  typename rclcpp::Subscription<Message>::SharedPtr create_subscription(const std::string &topic, const rclcpp::QoS &, Callback callback) {
    auto made = std::make_shared<rclcpp::Subscription<Message>>(rclcpp::Subscription<Message>{callback});
    subscriptions[topic] = std::weak_ptr<rclcpp::Subscription<Message>>(made);
    return made;
  }
  rclcpp::Logger get_logger() const { return {}; }
  rclcpp::Clock::SharedPtr get_clock() { return std::make_shared<rclcpp::Clock>(); }

  std::map<std::string, std::any> publishers, subscriptions; /* by topic, as std::weak_ptr */

 private:
  std::map<std::string, rclcpp::Value> parameters_;
  std::shared_ptr<ManagedPublisher> publisher_;
  rclcpp::node_interfaces::OnSetParametersCallbackHandle::SharedPtr on_set_;
};

}  // namespace rclcpp_lifecycle
