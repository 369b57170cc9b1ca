/* libedgec for C++11 and later: handles that free themselves, and exceptions. edgec.h says what the calls do.
 *
 *   edgec::Network network("resnet20-fashion-rpi5.edgec");
 *   edgec::Context context(network);
 *   std::vector<float> logits = context.run(frame);
 */
#ifndef EDGEC_HPP
#define EDGEC_HPP

#include "edgec.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace edgec {

/* What the library refused. */
class Error : public std::runtime_error {
 public:
  Error(edgec_status status, const std::string &text) : std::runtime_error(text), status_(status) {}
  edgec_status status() const noexcept { return status_; }

 private:
  edgec_status status_;
};

inline void check(edgec_status status, const edgec_error &error) {
  if (status != EDGEC_OK) throw Error(status, error.text);
}

/* Any number of threads may use one. Copies are the same network, which is closed with the last of them and of its contexts. */
class Network {
 public:
  explicit Network(const std::string &path, const char *sha256 = nullptr) {
    edgec_open_options options = {sizeof options, sha256};
    edgec_network *opened = nullptr;
    edgec_error error;
    check(edgec_open(path.c_str(), &options, &opened, &error), error);
    handle_.reset(opened, edgec_close);
  }

  /* The bytes of a .edgec file or of an engine file. */
  Network(const void *bytes, std::size_t size, const char *sha256 = nullptr) {
    edgec_open_options options = {sizeof options, sha256};
    edgec_network *opened = nullptr;
    edgec_error error;
    check(edgec_open_memory(bytes, size, &options, &opened, &error), error);
    handle_.reset(opened, edgec_close);
  }

  edgec_description description() const {
    edgec_description found;
    found.size = sizeof found;
    edgec_describe(handle_.get(), &found);
    return found;
  }

  /* "" where there is no name. */
  std::string class_name(std::int32_t index) const {
    const char *name = edgec_class_name(handle_.get(), index);
    return name ? name : "";
  }

  /* The likeliest classes with their probabilities, likeliest first. */
  std::vector<edgec_class> likeliest(const std::vector<float> &logits, std::int32_t count) const {
    if (logits.size() != description().logits) throw Error(EDGEC_BAD_ARGUMENT, "another number of logits than this network has");
    std::vector<edgec_class> found(count > 0 ? static_cast<std::size_t>(count) : 0);
    std::int32_t there = edgec_likeliest(handle_.get(), logits.data(), found.data(), static_cast<std::int32_t>(found.size()));
    found.resize(static_cast<std::size_t>(there));
    return found;
  }

  const std::shared_ptr<edgec_network> &handle() const noexcept { return handle_; }

 private:
  std::shared_ptr<edgec_network> handle_;
};

/* The pixels of a JPEG or PNG, in the form that a network takes. It can be moved and not copied. */
class Picture {
 public:
  Picture(const Network &network, const void *file, std::size_t size) : frame_() {
    edgec_error error;
    check(edgec_decode(network.handle().get(), file, size, &frame_, &error), error);
  }
  Picture(Picture &&other) noexcept : frame_(other.frame_) { other.frame_ = edgec_frame(); }
  Picture &operator=(Picture &&other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  Picture(const Picture &) = delete;
  Picture &operator=(const Picture &) = delete;
  ~Picture() { edgec_free_decoded(&frame_); }

  const edgec_frame &frame() const noexcept { return frame_; }

 private:
  edgec_frame frame_;
};

/* For one thread at a time. It can be moved and not copied. */
class Context {
 public:
  explicit Context(const Network &network, std::int32_t threads = 1, std::int32_t max_height = 0, std::int32_t max_width = 0)
      : network_(network.handle()), handle_(nullptr, edgec_context_free), logits_(network.description().logits) {
    edgec_context_options options = {sizeof options, threads, max_height, max_width};
    edgec_context *made = nullptr;
    edgec_error error;
    check(edgec_context_new(network_.get(), &options, &made, &error), error);
    handle_.reset(made);
  }

  /* Without allocating: `logits` has room for all, as edgec_describe says. */
  void run(const std::uint8_t *pixels, float *logits) {
    edgec_status status = edgec_run(handle_.get(), pixels, logits);
    if (status != EDGEC_OK) throw Error(status, edgec_status_text(status));
  }

  void run(const edgec_frame &frame, float *logits) {
    edgec_error error;
    check(edgec_run_frame(handle_.get(), &frame, logits, &error), error);
  }

  std::vector<float> run(const edgec_frame &frame) {
    std::vector<float> logits(logits_);
    run(frame, logits.data());
    return logits;
  }

  void prepare(const edgec_frame &frame, std::uint8_t *pixels) {
    edgec_error error;
    check(edgec_prepare(handle_.get(), &frame, pixels, &error), error);
  }

 private:
  std::shared_ptr<edgec_network> network_;
  std::unique_ptr<edgec_context, void (*)(edgec_context *)> handle_;
  std::size_t logits_;
};

}  // namespace edgec

#endif
