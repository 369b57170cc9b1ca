/* ClassifierNode: a lifecycle node and component around Classifier.
 *
 *   ros2 run edgec_ros2 edgec_classifier --ros-args -p bundle:=resnet20-fashion-rpi5.edgec -r image:=/camera/image_raw
 *   ros2 lifecycle set /edgec_classifier configure && ros2 lifecycle set /edgec_classifier activate
 */
#include "edgec_ros2/classifier.hpp"

#include <memory>
#include <string>
#include <vector>

#include <rcl_interfaces/msg/parameter_descriptor.hpp>
#include <rcl_interfaces/msg/set_parameters_result.hpp>
#include <rclcpp/rclcpp.hpp>
#include <rclcpp_components/register_node_macro.hpp>
#include <rclcpp_lifecycle/lifecycle_node.hpp>
#include <rclcpp_lifecycle/lifecycle_publisher.hpp>

namespace edgec_ros2 {

class ClassifierNode : public rclcpp_lifecycle::LifecycleNode {
 public:
  using CallbackReturn = rclcpp_lifecycle::node_interfaces::LifecycleNodeInterface::CallbackReturn;
  using Classification = vision_msgs::msg::Classification;

  explicit ClassifierNode(const rclcpp::NodeOptions &options) : rclcpp_lifecycle::LifecycleNode("edgec_classifier", options) {
    Settings usual;
    declare("bundle", std::string(), "a .edgec file, the folder that it was unpacked to, or an engine file");
    declare("sha256", std::string(), "64 hexadecimal digits that the file has to have");
    declare("matrix", std::string(), "of YUV: bt601 or bt709");
    declare("range", std::string(), "of YUV: limited or full");
    declare("transport", std::string("raw"), "raw for sensor_msgs/Image on image, compressed for sensor_msgs/CompressedImage on image/compressed");
    declare("threads", usual.threads, "threads of one inference, 1 to 64");
    declare("top_k", usual.top_k, "how many of the likeliest classes are told");
    declare("threshold", usual.threshold, "a probability below which classes are left out");
    declare("roi", usual.roi, "the part to classify: [top, left, height, width], where a size of 0 is the rest; [] is all");
    kept_ = add_on_set_parameters_callback([this](const std::vector<rclcpp::Parameter> &changed) { return may_set(changed); });
  }

  CallbackReturn on_configure(const rclcpp_lifecycle::State &) override {
    try {
      transport_ = get_parameter("transport").as_string();
      if (transport_ != "raw" && transport_ != "compressed") throw edgec::Error(EDGEC_BAD_ARGUMENT, "transport is '" + transport_ + "'; it is raw or compressed");
      classifier_ = std::make_unique<Classifier>(settings());
    } catch (const std::exception &error) {
      RCLCPP_ERROR(get_logger(), "%s", error.what());
      return CallbackReturn::FAILURE;
    }
    publisher_ = create_publisher<Classification>("classification", rclcpp::SystemDefaultsQoS());
    return CallbackReturn::SUCCESS;
  }

  CallbackReturn on_activate(const rclcpp_lifecycle::State &state) override {
    rclcpp_lifecycle::LifecycleNode::on_activate(state);
    /* One image waits at most: an old one is worth less than the next. */
    rclcpp::QoS newest = rclcpp::SensorDataQoS().keep_last(1);
    if (transport_ == "compressed")
      compressed_ = create_subscription<sensor_msgs::msg::CompressedImage>(
          "image/compressed", newest, [this](sensor_msgs::msg::CompressedImage::ConstSharedPtr image) { take(*image); });
    else
      raw_ = create_subscription<sensor_msgs::msg::Image>("image", newest, [this](sensor_msgs::msg::Image::ConstSharedPtr image) { take(*image); });
    return CallbackReturn::SUCCESS;
  }

  CallbackReturn on_deactivate(const rclcpp_lifecycle::State &state) override {
    raw_.reset();
    compressed_.reset();
    rclcpp_lifecycle::LifecycleNode::on_deactivate(state);
    return CallbackReturn::SUCCESS;
  }

  CallbackReturn on_cleanup(const rclcpp_lifecycle::State &) override { return release(); }
  CallbackReturn on_shutdown(const rclcpp_lifecycle::State &) override { return release(); }
  CallbackReturn on_error(const rclcpp_lifecycle::State &) override { return release(); }

 private:
  template <typename Value>
  void declare(const std::string &name, const Value &value, const std::string &description) {
    rcl_interfaces::msg::ParameterDescriptor descriptor;
    descriptor.description = description + "; read when the node is configured";
    declare_parameter<Value>(name, value, descriptor);
  }

  /* A value that nobody reads any more would be a silent lie. */
  rcl_interfaces::msg::SetParametersResult may_set(const std::vector<rclcpp::Parameter> &changed) const {
    static const char *const ours[] = {"bundle", "sha256", "matrix", "range", "transport", "threads", "top_k", "threshold", "roi"};
    rcl_interfaces::msg::SetParametersResult result;
    result.successful = true;
    for (const rclcpp::Parameter &one : changed)
      for (const char *name : ours)
        if (classifier_ && one.get_name() == name) {
          result.successful = false;
          result.reason = one.get_name() + " is read when the node is configured: deactivate and clean it up first";
        }
    return result;
  }

  Settings settings() const {
    Settings s;
    s.bundle = get_parameter("bundle").as_string();
    s.sha256 = get_parameter("sha256").as_string();
    s.matrix = get_parameter("matrix").as_string();
    s.range = get_parameter("range").as_string();
    s.threads = get_parameter("threads").as_int();
    s.top_k = get_parameter("top_k").as_int();
    s.threshold = get_parameter("threshold").as_double();
    s.roi = get_parameter("roi").as_integer_array();
    return s;
  }

  template <typename Image>
  void take(const Image &image) {
    if (!classifier_ || !publisher_ || !publisher_->is_activated()) return;
    try {
      publisher_->publish(classifier_->classify(image));
    } catch (const std::exception &error) { /* of one image; the next may be right */
      RCLCPP_ERROR_THROTTLE(get_logger(), *get_clock(), 5000, "%s", error.what());
    }
  }

  CallbackReturn release() {
    raw_.reset();
    compressed_.reset();
    publisher_.reset();
    classifier_.reset();
    return CallbackReturn::SUCCESS;
  }

  std::string transport_;
  std::unique_ptr<Classifier> classifier_;
  rclcpp_lifecycle::LifecyclePublisher<Classification>::SharedPtr publisher_;
  rclcpp::Subscription<sensor_msgs::msg::Image>::SharedPtr raw_;
  rclcpp::Subscription<sensor_msgs::msg::CompressedImage>::SharedPtr compressed_;
  rclcpp::node_interfaces::OnSetParametersCallbackHandle::SharedPtr kept_;
};

}  // namespace edgec_ros2

RCLCPP_COMPONENTS_REGISTER_NODE(edgec_ros2::ClassifierNode)
