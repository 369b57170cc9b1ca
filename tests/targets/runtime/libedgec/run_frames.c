/* PROGRAM BUNDLE THREADS < frames: what the network sees of each, and its logits. */
#include "frame_stream.h"

static int fail(const edgec_error *error) {
  fprintf(stderr, "%d: %s\n", (int)error->status, error->text);
  return 1;
}

int main(int count, char **arguments) {
  edgec_network *network;
  edgec_context *context;
  edgec_error error;
  if (count < 3) return 2;
  edgec_context_options options = {sizeof options, atoi(arguments[2]), 2000, 2000};
  if (edgec_open(arguments[1], NULL, &network, &error)) return fail(&error);
  if (edgec_context_new(network, &options, &context, &error)) return fail(&error);
  edgec_description about = {.size = sizeof about};
  edgec_describe(network, &about);
  size_t size = (size_t)(about.height * about.width * about.channels);
  uint8_t *pixels = malloc(size);
  float *logits = malloc(about.logits * sizeof *logits);
  edgec_frame frame;
  unsigned char *planes[3];
  while (read_frame(&frame, planes) == 1) {
    if (edgec_prepare(context, &frame, pixels, &error) || edgec_run_frame(context, &frame, logits, &error)) return fail(&error);
    fwrite(pixels, size, 1, stdout);
    fwrite(logits, sizeof *logits, about.logits, stdout);
    for (int i = 0; i < 3; i++) free(planes[i]);
  }
  free(pixels);
  free(logits);
  edgec_context_free(context);
  edgec_close(network);
  return 0;
}
