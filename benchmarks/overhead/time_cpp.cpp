// PROGRAM BUNDLE: the same by edgec.hpp.
#include "edgec.hpp"
#include "timed.h"

int main(int count, char **arguments) {
  if (count < 2) return 2;
  edgec::Network network{std::string(arguments[1])};
  edgec::Context context(network);
  edgec_frame frame = nv12(random_pixels());
  for (int n; (n = next_count());)
    while (n--) {
      long long begin = now();
      std::vector<float> logits = context.run(frame);
      tell(now() - begin, !n);
    }
  return 0;
}
