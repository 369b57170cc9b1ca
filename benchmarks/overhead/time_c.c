/* PROGRAM BUNDLE: libedgec's own time. */
#include "timed.h"

int main(int count, char **arguments) {
  edgec_network *network;
  edgec_context *context;
  edgec_error error;
  if (count < 2) return 2;
  if (edgec_open(arguments[1], NULL, &network, &error) || edgec_context_new(network, NULL, &context, &error)) return fputs(error.text, stderr), 1;
  edgec_description about = {.size = sizeof about};
  edgec_describe(network, &about);
  float *logits = malloc(about.logits * sizeof *logits);
  edgec_frame frame = nv12(random_pixels());
  for (int n; (n = next_count());)
    while (n--) {
      long long begin = now();
      if (edgec_run_frame(context, &frame, logits, &error)) return fputs(error.text, stderr), 1;
      tell(now() - begin, !n);
    }
  return 0;
}
