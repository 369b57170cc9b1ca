/* Messages with images in, messages with classes out, by libedgec. Nothing here needs a node. */
#ifndef EDGEC_ROS2_CLASSIFIER_HPP
#define EDGEC_ROS2_CLASSIFIER_HPP

#include <edgec.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <sensor_msgs/msg/compressed_image.hpp>
#include <sensor_msgs/msg/image.hpp>
#include <std_msgs/msg/header.hpp>
#include <vision_msgs/msg/classification.hpp>

namespace edgec_ros2 {

struct Settings {
  std::string bundle, sha256; /* sha256: 64 hexadecimal digits that the file has to have, or "" */
  std::string matrix, range;  /* of YUV: "bt601" or "bt709", "limited" or "full"; "" is not known */
  std::int64_t threads = 1;
  std::int64_t top_k = 5;
  double threshold = 0;               /* classes below it are left out */
  std::vector<std::int64_t> roi = {}; /* top, left, height, width, where a size of 0 is the rest; or nothing: all */
};

/* What libedgec is told of an image; the pixels stay the message's. Throws edgec::Error. */
edgec_frame frame_of(const sensor_msgs::msg::Image &image);

/* The pixels of a JPEG or PNG, upright. Throws edgec::Error for what is neither, or damaged. */
edgec::Picture decoded(const edgec::Network &network, const sensor_msgs::msg::CompressedImage &image);

/* One network for one thread at a time. Everything throws edgec::Error with a sentence for the user. */
class Classifier {
 public:
  explicit Classifier(const Settings &settings);

  vision_msgs::msg::Classification classify(const sensor_msgs::msg::Image &image);
  vision_msgs::msg::Classification classify(const sensor_msgs::msg::CompressedImage &image);

  /* Of the image before: those that edgec validate compared. */
  const std::vector<float> &logits() const noexcept { return logits_; }
  edgec_description description() const { return network_.description(); }

 private:
  void make_room(const edgec_frame &frame);
  vision_msgs::msg::Classification run(edgec_frame frame, const std_msgs::msg::Header &header);
  vision_msgs::msg::Classification answer(const std_msgs::msg::Header &header) const;

  Settings settings_;
  edgec_matrix matrix_;
  edgec_range range_;
  std::array<std::int32_t, 4> roi_;
  edgec::Network network_;
  std::int32_t max_height_, max_width_;
  edgec::Context context_;
  std::vector<float> logits_;
};

}  // namespace edgec_ros2

#endif
