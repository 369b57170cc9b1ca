#include "edgec_ros2/classifier.hpp"

#include <cstring>

namespace edgec_ros2 {
namespace {

edgec::Error refused(const std::string &why) { return edgec::Error(EDGEC_BAD_PICTURE, why); }

bool begins(const std::vector<std::uint8_t> &data, const char *with, std::size_t size) { return data.size() >= size && !std::memcmp(data.data(), with, size); }

}  // namespace

/* The first bytes count: drivers write many things into `format`. */
edgec::Picture decoded(const edgec::Network &network, const sensor_msgs::msg::CompressedImage &image) {
  if (image.format.find("compressedDepth") != std::string::npos) throw refused("compressedDepth has distances, and no picture");
  if (!begins(image.data, "\xff\xd8\xff", 3) && !begins(image.data, "\x89PNG\r\n\x1a\n", 8))
    throw refused("a compressed image of the format '" + image.format.substr(0, 40) + "' is neither JPEG nor PNG");
  return edgec::Picture(network, image.data.data(), image.data.size());
}

}  // namespace edgec_ros2
