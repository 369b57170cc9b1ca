/* BUNDLE: takes the node through its states; each line is what happened. */
#include "classifier_node.cpp" // NOLINT: the node has no header, as nobody but a container makes it

#include <iostream>

using edgec_ros2::ClassifierNode;
using Result = ClassifierNode::CallbackReturn;

static const char *word(Result result) { return result == Result::SUCCESS ? "success" : "failure"; }

template <typename Message>
static void deliver(ClassifierNode &node, const std::string &topic, const Message &message) {
  auto at = node.subscriptions.find(topic);
  auto there = at == node.subscriptions.end() ? nullptr : std::any_cast<std::weak_ptr<rclcpp::Subscription<Message>>>(at->second).lock();
  if (there) there->callback(std::make_shared<const Message>(message));
  auto publisher = std::any_cast<std::weak_ptr<rclcpp_lifecycle::LifecyclePublisher<ClassifierNode::Classification>>>(node.publishers.at("classification")).lock();
  std::cout << topic << (there ? " taken, " : " not subscribed, ") << (publisher ? publisher->published.size() : 0) << " published\n";
}

static void set(ClassifierNode &node, const std::string &name, const rclcpp::Value &value) {
  auto result = node.set_parameter({name, value});
  std::cout << "set " << name << ": " << (result.successful ? "done" : result.reason) << "\n";
}

int main(int count, char **arguments) {
  if (count < 2) return 2;
  rclcpp_lifecycle::State any;
  auto node = make_component(rclcpp::NodeOptions());
  sensor_msgs::msg::Image image;
  image.height = image.width = 30;
  image.step = 90;
  image.encoding = "rgb8";
  image.data.resize(2700);
  std::cout << "configure: " << word(node->on_configure(any)) << "\n";
  set(*node, "bundle", std::string(arguments[1]));
  std::cout << "configure: " << word(node->on_configure(any)) << "\n";
  deliver(*node, "image", image);
  std::cout << "activate: " << word(node->on_activate(any)) << "\n";
  deliver(*node, "image", image);
  image.encoding = "mono16";
  deliver(*node, "image", image);
  image.encoding = "rgb8";
  deliver(*node, "image", image);
  set(*node, "top_k", std::int64_t(2));
  std::cout << "deactivate: " << word(node->on_deactivate(any)) << "\n";
  deliver(*node, "image", image);
  std::cout << "cleanup: " << word(node->on_cleanup(any)) << "\n";
  set(*node, "top_k", std::int64_t(2));
  set(*node, "transport", std::string("compressed"));
  std::cout << "configure: " << word(node->on_configure(any)) << "\n";
  std::cout << "activate: " << word(node->on_activate(any)) << "\n";
  deliver(*node, "image/compressed", sensor_msgs::msg::CompressedImage());
  std::cout << "shutdown: " << word(node->on_shutdown(any)) << "\n";
  deliver(*node, "image", image);
}
