#include "picture_files.h"
#include "decoding_memory.h"

enum { USUAL_HEIGHT = 2160, USUAL_WIDTH = 3840 /* what a context takes unless it is told otherwise */ };

/* Run a frame; one that is too large for the worker's context gets a context of its own. */
static edgec_status run(const edgec_network *network, edgec_context *context, const edgec_frame *frame, float *logits, edgec_error *error) {
  if (frame->height <= USUAL_HEIGHT && frame->width <= USUAL_WIDTH) return edgec_run_frame(context, frame, logits, error);
  edgec_context_options options = {sizeof options, 1, frame->height, frame->width};
  edgec_context *large;
  edgec_status status = edgec_context_new(network, &options, &large, error);
  if (!status) status = edgec_run_frame(large, frame, logits, error);
  edgec_context_free(large);
  return status;
}

edgec_status picture_run(const edgec_network *network, edgec_context *context, picture_file file, float *logits, edgec_error *error) {
  edgec_frame frame;
  size_t memory = decoding_memory(file.bytes, file.size);
  decoding_memory_take(memory);
  edgec_status status = edgec_decode(network, file.bytes, file.size, &frame, error);
  if (!status) status = run(network, context, &frame, logits, error);
  edgec_free_decoded(&frame);
  decoding_memory_give_back(memory);
  return status;
}

const char *pictures_find(const uint8_t *tensor, size_t size, int64_t count, picture_file *files) {
  for (int64_t n = 0; n < count; n++) {
    if (size < 4) return "picture has fewer files than its shape says";
    size_t length = tensor[0] | (size_t)tensor[1] << 8 | (size_t)tensor[2] << 16 | (size_t)tensor[3] << 24;
    if (length > size - 4) return "a file of picture is longer than the data: four bytes with its length stand in front of each";
    files[n] = (picture_file){tensor + 4, length};
    tensor += 4 + length;
    size -= 4 + length;
  }
  return size ? "picture has more data than the files that its shape says" : NULL;
}
