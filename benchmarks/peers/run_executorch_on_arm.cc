// Runs an ExecuTorch program on one thread: `PROGRAM.pte INPUT.npy SIDE RUNS` prints the class of the first image.
// Its wheel for ARM needs a torch with CUDA; its C++ libraries, which it brings too, need nothing.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

namespace executorch::extension::threadpool {  // the wheel has the library of this, but not its header
struct ThreadPool {
  bool _unsafe_reset_threadpool(unsigned threads);
};
ThreadPool *get_threadpool();
}  // namespace executorch::extension::threadpool

int main(int arguments, char **argument) {
  if (arguments < 5) return 2;
  const int side = std::atoi(argument[3]), runs = std::atoi(argument[4]);
  std::vector<float> image(3ul * side * side);
  std::FILE *file = std::fopen(argument[2], "rb");
  const long header = 128;  // of a .npy of version 1 with so short a description
  if (!file || std::fseek(file, header, SEEK_SET) || std::fread(image.data(), sizeof(float), image.size(), file) != image.size())
    return 3;
  std::fclose(file);
  executorch::extension::threadpool::get_threadpool()->_unsafe_reset_threadpool(1);
  executorch::extension::Module network(argument[1]);
  auto input = executorch::extension::from_blob(image.data(), {1, 3, side, side});
  for (int run = 0; run < runs; run++) {
    auto found = network.forward(input);
    if (!found.ok()) return 4;
    if (run + 1 < runs) continue;
    const auto logits = found->at(0).toTensor();
    const float *values = logits.const_data_ptr<float>();
    long best = 0;
    for (long i = 1; i < logits.numel(); i++)
      if (values[i] > values[best]) best = i;
    std::printf("class %ld\n", best);
  }
}
