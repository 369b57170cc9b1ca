/* libFuzzer's entry: a JPEG file behind a byte, which says whether it becomes gray. */
#include "jpeg.h"
#include "jpeg_parts.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  uint8_t *copy = malloc(size - 1); /* exactly as long, so that a byte too far is seen */
  if (!copy) return 0;
  memcpy(copy, data + 1, size - 1);
  edgec_picture picture = {0};
  int channels = data[0] & 1 ? 1 : 3;
  if (edgec_is_jpeg(copy, size - 1) && !edgec_decode_jpeg(copy, size - 1, channels, &picture)) {
    volatile uint8_t last = picture.pixels[(size_t)picture.height * (size_t)picture.width * (size_t)channels - 1];
    (void)last;
    free(picture.pixels);
  }
  free(copy);
  return 0;
}
