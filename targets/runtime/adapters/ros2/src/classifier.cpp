#include "edgec_ros2/classifier.hpp"

#include <algorithm>

namespace edgec_ros2 {
namespace {

constexpr std::int32_t LARGEST_SIDE = 16384;
constexpr std::int64_t MOST_THREADS = 64;

edgec::Error refused(const std::string &why) { return edgec::Error(EDGEC_BAD_FRAME, why); }

struct Encoding {
  const char *name; /* sensor_msgs/image_encodings.hpp; nv12 is what cameras' drivers call it */
  edgec_pixels pixels;
  std::uint64_t bytes; /* of a pixel in the first plane */
};

constexpr Encoding ENCODINGS[] = {
    {"rgb8", EDGEC_RGB, 3},   {"bgr8", EDGEC_BGR, 3},   {"rgba8", EDGEC_RGBA, 4},       {"bgra8", EDGEC_BGRA, 4},
    {"mono8", EDGEC_GRAY, 1}, {"8UC1", EDGEC_GRAY, 1},  {"nv12", EDGEC_NV12, 1},        {"yuyv", EDGEC_YUYV, 2},
    {"uyvy", EDGEC_UYVY, 2},  {"yuv422", EDGEC_UYVY, 2}, {"yuv422_yuy2", EDGEC_YUYV, 2},
};

const Encoding &encoding_of(const std::string &name) {
  for (const Encoding &one : ENCODINGS)
    if (name == one.name) return one;
  std::string known;
  for (const Encoding &one : ENCODINGS) known += std::string(known.empty() ? "" : ", ") + one.name;
  throw refused("the encoding '" + name.substr(0, 40) + "' is not taken; these are: " + known);
}

/* Which of two words a setting is, counted from 1; 0 for "". */
int which(const std::string &name, const std::string &value, const char *first, const char *second) {
  if (value.empty()) return 0;
  if (value == first) return 1;
  if (value == second) return 2;
  throw edgec::Error(EDGEC_BAD_ARGUMENT, name + " is '" + value + "'; it is " + first + ", " + second + ", or empty");
}

std::array<std::int32_t, 4> roi_of(const std::vector<std::int64_t> &given) {
  std::array<std::int32_t, 4> roi = {0, 0, 0, 0};
  bool right = given.empty() || given.size() == roi.size();
  for (std::size_t i = 0; right && i < given.size(); i++) {
    right = given[i] >= 0 && given[i] <= LARGEST_SIDE;
    if (right) roi[i] = static_cast<std::int32_t>(given[i]);
  }
  if (!right) throw edgec::Error(EDGEC_BAD_ARGUMENT, "roi is four numbers from 0 to 16384, [top, left, height, width], or nothing");
  return roi;
}

Settings checked(const Settings &s) {
  if (s.bundle.empty()) throw edgec::Error(EDGEC_BAD_ARGUMENT, "the parameter bundle is empty: give a .edgec file, its folder, or an engine file");
  if (s.threads < 1 || s.threads > MOST_THREADS) throw edgec::Error(EDGEC_BAD_ARGUMENT, "threads is a number from 1 to 64");
  if (s.top_k < 1) throw edgec::Error(EDGEC_BAD_ARGUMENT, "top_k is 1 or more");
  if (!(s.threshold >= 0 && s.threshold <= 1)) throw edgec::Error(EDGEC_BAD_ARGUMENT, "threshold is a probability from 0 to 1");
  return s;
}

}  // namespace

edgec_frame frame_of(const sensor_msgs::msg::Image &image) {
  const Encoding &encoding = encoding_of(image.encoding);
  if (image.height < 1 || image.width < 1 || image.height > LARGEST_SIDE || image.width > LARGEST_SIDE)
    throw refused("the image is " + std::to_string(image.height) + " x " + std::to_string(image.width) + "; each side is 1 to 16384");
  /* Two pixels share U and V: a row of odd width has the bytes of one pixel more. */
  bool pairs = encoding.pixels >= EDGEC_NV12;
  std::uint64_t width = pairs ? (image.width + 1ull) / 2 * 2 : image.width, step = image.step;
  std::uint64_t rows = encoding.pixels == EDGEC_NV12 ? image.height + (image.height + 1ull) / 2 : image.height;
  if (step < width * encoding.bytes)
    throw refused("step is " + std::to_string(step) + " bytes, and a row of " + std::to_string(image.width) + " pixels of " + image.encoding + " takes " +
                  std::to_string(width * encoding.bytes));
  if (image.data.size() < step * rows)
    throw refused("the image has " + std::to_string(image.data.size()) + " bytes; its height and step make " + std::to_string(step * rows));
  edgec_frame frame = {}; /* each sample is one byte: is_bigendian has nothing to turn round */
  frame.pixels = encoding.pixels;
  frame.height = static_cast<std::int32_t>(image.height);
  frame.width = static_cast<std::int32_t>(image.width);
  frame.planes[0] = image.data.data();
  frame.strides[0] = static_cast<std::size_t>(step);
  if (encoding.pixels == EDGEC_NV12) {
    frame.planes[1] = image.data.data() + step * image.height;
    frame.strides[1] = static_cast<std::size_t>(step);
  }
  return frame;
}

Classifier::Classifier(const Settings &settings)
    : settings_(checked(settings)),
      matrix_(static_cast<edgec_matrix>(which("matrix", settings.matrix, "bt601", "bt709"))),
      range_(static_cast<edgec_range>(which("range", settings.range, "limited", "full"))),
      roi_(roi_of(settings.roi)),
      network_(settings.bundle, settings.sha256.empty() ? nullptr : settings.sha256.c_str()),
      max_height_(1080),
      max_width_(1920),
      context_(network_, static_cast<std::int32_t>(settings.threads), max_height_, max_width_),
      logits_(network_.description().logits) {
  edgec_description about = network_.description();
  if (about.output_height * about.output_width != 1)
    throw edgec::Error(EDGEC_BAD_ARGUMENT, "this network gives a map of classes, which vision_msgs/Classification cannot hold");
}

/* Larger images than any before get a context for their size: the one moment in which memory is allocated for pixels. */
void Classifier::make_room(const edgec_frame &frame) {
  if (frame.height <= max_height_ && frame.width <= max_width_) return;
  std::int32_t height = std::max(max_height_, frame.height), width = std::max(max_width_, frame.width);
  context_ = edgec::Context(network_, static_cast<std::int32_t>(settings_.threads), height, width);
  max_height_ = height;
  max_width_ = width;
}

vision_msgs::msg::Classification Classifier::classify(const sensor_msgs::msg::Image &image) {
  edgec_frame frame = frame_of(image);
  frame.matrix = matrix_;
  frame.range = range_;
  if (frame.pixels >= EDGEC_NV12 && (!matrix_ || !range_))
    throw refused(image.encoding + " needs the parameters matrix (bt601, bt709) and range (limited, full); messages do not say them");
  return run(frame, image.header);
}

vision_msgs::msg::Classification Classifier::classify(const sensor_msgs::msg::CompressedImage &image) {
  edgec::Picture picture = decoded(network_, image);
  return run(picture.frame(), image.header);
}

vision_msgs::msg::Classification Classifier::run(edgec_frame frame, const std_msgs::msg::Header &header) {
  frame.top = roi_[0];
  frame.left = roi_[1];
  frame.crop_height = roi_[2];
  frame.crop_width = roi_[3];
  make_room(frame);
  context_.run(frame, logits_.data());
  return answer(header);
}

vision_msgs::msg::Classification Classifier::answer(const std_msgs::msg::Header &header) const {
  vision_msgs::msg::Classification found;
  found.header = header;
  std::int32_t count = static_cast<std::int32_t>(std::min<std::int64_t>(settings_.top_k, network_.description().classes));
  std::vector<edgec_class> likeliest = network_.likeliest(logits_, count);
  if (likeliest.empty()) throw refused("the network's answer to this image is not a number");
  for (const edgec_class &one : likeliest) {
    if (one.probability < settings_.threshold) break;
    vision_msgs::msg::ObjectHypothesis hypothesis;
    hypothesis.class_id = network_.class_name(one.index);
    if (hypothesis.class_id.empty()) hypothesis.class_id = std::to_string(one.index);
    hypothesis.score = one.probability;
    found.results.push_back(hypothesis);
  }
  return found;
}

}  // namespace edgec_ros2
