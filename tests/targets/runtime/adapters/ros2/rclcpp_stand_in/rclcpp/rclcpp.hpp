/* The names of rclcpp, rclcpp_lifecycle and rclcpp_components that edgec_ros2 uses, without any transport: a node keeps its
   parameters, callbacks and what it published where a test can reach them. Signatures as in rclcpp 28 (ROS 2 Jazzy). */
#pragma once
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <rcl_interfaces/msg/parameter_descriptor.hpp>
#include <rcl_interfaces/msg/set_parameters_result.hpp>

#define RCLCPP_ERROR(logger, ...) ((void)(logger), std::fprintf(stderr, __VA_ARGS__), std::fputc('\n', stderr))
#define RCLCPP_ERROR_THROTTLE(logger, clock, milliseconds, ...) ((void)(clock), (void)(milliseconds), RCLCPP_ERROR(logger, __VA_ARGS__))

namespace rclcpp {

struct Logger {};
struct Clock {
  using SharedPtr = std::shared_ptr<Clock>;
};
struct NodeOptions {};
struct QoS {
  std::size_t depth = 10;
  QoS &keep_last(std::size_t count) { return depth = count, *this; }
};
struct SensorDataQoS : QoS {};
struct SystemDefaultsQoS : QoS {};

using Value = std::variant<std::string, std::int64_t, double, std::vector<std::int64_t>>;

class Parameter {
 public:
  Parameter() = default;
  Parameter(const std::string &name, const Value &value) : name_(name), value_(value) {}
  const std::string &get_name() const { return name_; }
  const Value &value() const { return value_; }
  std::string as_string() const { return std::get<std::string>(value_); }
  std::int64_t as_int() const { return std::get<std::int64_t>(value_); }
  double as_double() const { return std::get<double>(value_); }
  std::vector<std::int64_t> as_integer_array() const { return std::get<std::vector<std::int64_t>>(value_); }

 private:
  std::string name_;
  Value value_;
};

template <typename Message>
struct Subscription {
  using SharedPtr = std::shared_ptr<Subscription>;
  std::function<void(std::shared_ptr<const Message>)> callback;
};

namespace node_interfaces {
struct OnSetParametersCallbackHandle {
  using SharedPtr = std::shared_ptr<OnSetParametersCallbackHandle>;
  std::function<rcl_interfaces::msg::SetParametersResult(const std::vector<Parameter> &)> callback;
};
}  // namespace node_interfaces

}  // namespace rclcpp
