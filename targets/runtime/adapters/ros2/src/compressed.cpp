#include "edgec_ros2/classifier.hpp"

#include <cstring>

#ifdef EDGEC_COMPRESSED
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#endif

namespace edgec_ros2 {
namespace {

constexpr std::size_t MOST_BYTES = 1 << 26;

edgec::Error refused(const std::string &why) { return edgec::Error(EDGEC_BAD_FRAME, why); }

using Bytes = std::vector<std::uint8_t>;

bool begins(const Bytes &data, const char *with, std::size_t size) { return data.size() >= size && !std::memcmp(data.data(), with, size); }

/* Whether a JPEG has its end marker, behind which there may be zeros. The decoder would fill in what is missing. */
bool has_end(const Bytes &jpeg) {
  std::size_t size = jpeg.size();
  while (size && !jpeg[size - 1]) size--;
  return size > 1 && jpeg[size - 2] == 0xff && jpeg[size - 1] == 0xd9;
}

bool has_last_chunk(const Bytes &png) { return png.size() > 12 && !std::memcmp(png.data() + png.size() - 8, "IEND\xae\x42\x60\x82", 8); }

/* The first bytes count: drivers write many things into `format`. */
void check(const sensor_msgs::msg::CompressedImage &image) {
  const Bytes &data = image.data;
  if (image.format.find("compressedDepth") != std::string::npos) throw refused("compressedDepth has distances, and no picture");
  bool jpeg = begins(data, "\xff\xd8\xff", 3), png = begins(data, "\x89PNG\r\n\x1a\n", 8);
  if (!jpeg && !png) throw refused("a compressed image of the format '" + image.format.substr(0, 40) + "' is neither JPEG nor PNG");
  if (data.size() > MOST_BYTES) throw refused("a compressed image has more than 64 MiB");
  if (jpeg ? !has_end(data) : !has_last_chunk(data)) throw refused(std::string("the ") + (jpeg ? "JPEG" : "PNG") + " is cut off");
}

}  // namespace

#ifdef EDGEC_COMPRESSED
sensor_msgs::msg::Image decoded(const sensor_msgs::msg::CompressedImage &image, std::int32_t channels) {
  check(image);
  cv::Mat pixels;
  try {
    cv::Mat bytes(1, static_cast<int>(image.data.size()), CV_8UC1, const_cast<std::uint8_t *>(image.data.data()));
    pixels = cv::imdecode(bytes, channels == 1 ? cv::IMREAD_GRAYSCALE : cv::IMREAD_COLOR); /* as calibration does */
  } catch (const cv::Exception &error) {
    throw refused(std::string("the decoder refuses a compressed image: ") + error.what());
  }
  if (pixels.empty()) throw refused("a compressed image is damaged");
  sensor_msgs::msg::Image found;
  found.header = image.header;
  found.height = static_cast<std::uint32_t>(pixels.rows);
  found.width = static_cast<std::uint32_t>(pixels.cols);
  found.encoding = channels == 1 ? "mono8" : "bgr8";
  found.step = static_cast<std::uint32_t>(pixels.step);
  found.data.assign(pixels.data, pixels.data + static_cast<std::size_t>(pixels.step) * static_cast<std::size_t>(pixels.rows));
  return found;
}
#else
sensor_msgs::msg::Image decoded(const sensor_msgs::msg::CompressedImage &image, std::int32_t) {
  check(image);
  throw refused(std::string(begins(image.data, "\x89PNG", 4) ? "PNG" : "JPEG") +
                " is not decoded: this node was built without OpenCV. Publish sensor_msgs/Image, or build with -DEDGEC_COMPRESSED=ON");
}
#endif

}  // namespace edgec_ros2
