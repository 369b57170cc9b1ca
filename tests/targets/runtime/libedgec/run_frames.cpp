/* The same as run_frames.c. */
#include "edgec.hpp"
#include "frame_stream.h"

#include <iostream>

int main(int count, char **arguments) {
  if (count < 3) return 2;
  try {
    edgec::Network network{std::string(arguments[1])};
    edgec::Context made(network, std::atoi(arguments[2]), 2000, 2000);
    edgec::Context context = std::move(made);
    edgec_description about = network.description();
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(about.height * about.width * about.channels));
    edgec_frame frame;
    unsigned char *planes[3];
    while (read_frame(&frame, planes) == 1) {
      context.prepare(frame, pixels.data());
      std::vector<float> logits = context.run(frame);
      std::cout.write(reinterpret_cast<const char *>(pixels.data()), static_cast<std::streamsize>(pixels.size()));
      std::cout.write(reinterpret_cast<const char *>(logits.data()), static_cast<std::streamsize>(logits.size() * sizeof(float)));
      for (unsigned char *plane : planes) std::free(plane);
    }
  } catch (const edgec::Error &error) {
    std::cerr << error.status() << ": " << error.what() << "\n";
    return 1;
  }
  return 0;
}
