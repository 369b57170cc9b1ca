#pragma once
/* A component is made of options alone. */
#define RCLCPP_COMPONENTS_REGISTER_NODE(Node) \
  std::shared_ptr<Node> make_component(const rclcpp::NodeOptions &options) { return std::make_shared<Node>(options); }
