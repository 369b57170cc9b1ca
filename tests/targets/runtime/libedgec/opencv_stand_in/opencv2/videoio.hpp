// The names of OpenCV that docs/integrate.md uses, for machines without its headers: "WIDTH HEIGHT\n", then BGR frames.
#pragma once
#include <cstddef>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#define CV_8UC3 16

namespace cv {

struct Mat {
  int rows = 0, cols = 0;
  unsigned char *data = nullptr;
  std::size_t step = 0; // larger than a row, as OpenCV's may be
  int type() const { return CV_8UC3; }
  std::vector<unsigned char> held;
};

class VideoCapture {
public:
  explicit VideoCapture(const std::string &path) : file_(path, std::ios::binary) { file_ >> width_ >> height_ >> std::noskipws, file_.get(); }
  bool isOpened() const { return width_ > 0; }
  bool read(Mat &m) {
    m.rows = height_;
    m.cols = width_;
    m.step = static_cast<std::size_t>(width_) * 3 + 5;
    m.held.assign(m.step * static_cast<std::size_t>(height_), 7);
    m.data = m.held.data();
    for (int y = 0; y < height_; y++)
      if (!file_.read(reinterpret_cast<char *>(m.data) + static_cast<std::size_t>(y) * m.step, width_ * 3)) return false;
    return true;
  }

private:
  std::ifstream file_;
  int width_ = 0, height_ = 0;
};

} // namespace cv
