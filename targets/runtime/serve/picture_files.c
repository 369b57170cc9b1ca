#include "picture_files.h"

#include <pthread.h>
#include <stdio.h>

enum { USUAL_HEIGHT = 2160, USUAL_WIDTH = 3840 /* what a context takes unless it is told otherwise */ };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static edgec_context *usual; /* larger pictures get a context of their own */

static edgec_status fit(const edgec_network *network, const edgec_frame *frame, uint8_t *pixels, edgec_error *error) {
  int is_usual = frame->height <= USUAL_HEIGHT && frame->width <= USUAL_WIDTH;
  edgec_context_options options = {sizeof options, 1, is_usual ? USUAL_HEIGHT : frame->height, is_usual ? USUAL_WIDTH : frame->width};
  edgec_context *context = is_usual ? usual : NULL;
  if (!context && edgec_context_new(network, &options, &context, error)) return error->status;
  edgec_status status = edgec_prepare(context, frame, pixels, error);
  if (is_usual) usual = context;
  else edgec_context_free(context);
  return status;
}

edgec_status picture_prepare(const edgec_network *network, const uint8_t *file, size_t size, uint8_t *pixels, edgec_error *error) {
  edgec_frame frame;
  pthread_mutex_lock(&lock);
  edgec_status status = edgec_decode(network, file, size, &frame, error);
  if (!status) status = fit(network, &frame, pixels, error);
  edgec_free_decoded(&frame);
  pthread_mutex_unlock(&lock);
  return status;
}

static edgec_status fail(edgec_error *error, const char *text) {
  *error = (edgec_error){.status = EDGEC_BAD_PICTURE};
  snprintf(error->text, sizeof error->text, "%s", text);
  return error->status;
}

edgec_status pictures_prepare(const edgec_network *network, const uint8_t *tensor, size_t size, int64_t count, uint8_t *pixels,
                              edgec_error *error) {
  edgec_description about = {.size = sizeof about};
  edgec_describe(network, &about);
  size_t bytes = (size_t)about.height * (size_t)about.width * (size_t)about.channels;
  for (int64_t n = 0; n < count; n++) {
    if (size < 4) return fail(error, "picture has fewer files than its shape says");
    size_t length = tensor[0] | (size_t)tensor[1] << 8 | (size_t)tensor[2] << 16 | (size_t)tensor[3] << 24;
    if (length > size - 4) return fail(error, "a file of picture is longer than the data: four bytes with its length stand in front of each");
    if (picture_prepare(network, tensor + 4, length, pixels + (size_t)n * bytes, error)) return error->status;
    tensor += 4 + length;
    size -= 4 + length;
  }
  return size ? fail(error, "picture has more data than the files that its shape says") : EDGEC_OK;
}
