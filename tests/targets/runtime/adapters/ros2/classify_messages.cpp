/* BUNDLE < messages: lines "KIND MATRIX RANGE TOP THRESHOLD [ROI...] | FRAME_ID NANOSECONDS ...", each before its data. */
#include "edgec_ros2/classifier.hpp"

#include <cstdio>
#include <iostream>
#include <sstream>

template <typename Bytes>
static std::string hexadecimal(const Bytes &bytes, std::size_t size) {
  std::string text;
  char digits[3];
  for (std::size_t i = 0; i < size; i++) {
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(reinterpret_cast<const unsigned char *>(bytes)[i]));
    text += digits;
  }
  return text;
}

static void tell(const vision_msgs::msg::Classification &found, const std::vector<float> &logits) {
  std::cout << "ok " << found.header.frame_id << " " << found.header.stamp.nanosec << " " << hexadecimal(logits.data(), logits.size() * sizeof(float));
  for (const auto &one : found.results) {
    char score[32];
    std::snprintf(score, sizeof score, "%.17g", one.score);
    std::cout << " " << hexadecimal(one.class_id.data(), one.class_id.size()) << ":" << score;
  }
  std::cout << "\n";
}

int main(int count, char **arguments) {
  if (count < 2) return 2;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream told(line);
    edgec_ros2::Settings s;
    s.bundle = arguments[1];
    std::string kind, word, format;
    std::size_t size;
    told >> kind >> s.matrix >> s.range >> s.top_k >> s.threshold;
    if (s.matrix == "-") s.matrix = "";
    if (s.range == "-") s.range = "";
    while (told >> word && word != "|") s.roi.push_back(std::stoll(word));
    try {
      if (kind == "image") {
        sensor_msgs::msg::Image image;
        told >> image.header.frame_id >> image.header.stamp.nanosec >> image.height >> image.width >> image.step >> image.encoding >> size;
        image.data.resize(size);
        image.data.shrink_to_fit();
        std::cin.read(reinterpret_cast<char *>(image.data.data()), static_cast<std::streamsize>(size));
        edgec_ros2::Classifier classifier(s);
        auto found = classifier.classify(image);
        tell(found, classifier.logits());
      } else {
        sensor_msgs::msg::CompressedImage image;
        told >> image.header.frame_id >> image.header.stamp.nanosec >> size;
        std::getline(told >> std::ws, image.format);
        image.data.resize(size);
        std::cin.read(reinterpret_cast<char *>(image.data.data()), static_cast<std::streamsize>(size));
        edgec_ros2::Classifier classifier(s);
        auto found = classifier.classify(image);
        tell(found, classifier.logits());
      }
    } catch (const edgec::Error &error) {
      std::cout << "no " << error.what() << "\n";
    }
  }
}
