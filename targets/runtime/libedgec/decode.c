/* Picture files for a network: the same decoders as in the static program. */
#include "edgec.h"
#include "failure.h"
#include "jpeg.h"
#include "limits.h"
#include "network.h"
#include "png.h"

#include <stdlib.h>
#include <string.h>

/* A PNG's data is moved together where it lies, so it is copied. */
static const char *copied(const void *file, size_t size, int channels, edgec_picture *picture) {
  uint8_t *copy = malloc(size);
  if (!copy) return "not enough memory";
  memcpy(copy, file, size);
  const char *why = edgec_decode_png(copy, size, channels, picture);
  free(copy);
  return why;
}

edgec_status edgec_decode(const edgec_network *network, const void *file, size_t size, edgec_frame *frame, edgec_error *error) {
  if (!network || !file || !frame) return edgec_fail(error, EDGEC_BAD_ARGUMENT, "a pointer is NULL");
  memset(frame, 0, sizeof *frame);
  if (size > EDGEC_PICTURE_BYTES) return edgec_fail(error, EDGEC_BAD_PICTURE, "the picture has more than %d bytes", EDGEC_PICTURE_BYTES);
  int jpeg = edgec_is_jpeg(file, size), channels = (int)network->code.program->channels;
  if (!jpeg && !edgec_is_png(file, size)) return edgec_fail(error, EDGEC_BAD_PICTURE, "this is neither JPEG nor PNG");
  edgec_picture picture;
  const char *why = jpeg ? edgec_decode_jpeg(file, size, channels, &picture) : copied(file, size, channels, &picture);
  if (why) return edgec_fail(error, strcmp(why, "not enough memory") ? EDGEC_BAD_PICTURE : EDGEC_NO_MEMORY, "%s", why);
  frame->pixels = channels == 1 ? EDGEC_GRAY : EDGEC_RGB;
  frame->height = picture.height;
  frame->width = picture.width;
  frame->planes[0] = picture.pixels;
  frame->strides[0] = (size_t)picture.width * (size_t)channels;
  return edgec_succeed(error);
}

void edgec_free_decoded(edgec_frame *frame) {
  if (!frame) return;
  free((void *)frame->planes[0]);
  memset(frame, 0, sizeof *frame);
}
