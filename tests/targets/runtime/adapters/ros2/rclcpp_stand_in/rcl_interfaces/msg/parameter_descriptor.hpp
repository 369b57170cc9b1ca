#pragma once
#include <string>
namespace rcl_interfaces::msg {
struct ParameterDescriptor {
  std::string name, description;
};
}  // namespace rcl_interfaces::msg
