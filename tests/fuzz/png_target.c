/* libFuzzer's entry: a PNG file, or raw deflate data behind a first byte 'z'. */
#include "inflate.h"
#include "png.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  uint8_t *copy = malloc(size - 1); /* exactly as long, so that a byte too far is seen */
  if (!copy) return 0;
  memcpy(copy, data + 1, size - 1);
  if (data[0] == 'z') {
    size_t room = size > 3 ? (size_t)(data[1] | data[2] << 8) : 16;
    uint8_t *out = malloc(room ? room : 1);
    if (out) edgec_inflate(copy, size - 1, out, room);
    free(out);
  } else if (size - 1 < 25 || !(copy[16] | copy[17] | copy[20] | copy[21] | (copy[18] & 0xf8) | (copy[22] & 0xf8))) {
    edgec_picture picture = {0};
    if (!edgec_decode_png(copy, size - 1, data[0] & 1 ? 1 : 3, &picture)) { /* pictures of at most 2047 x 2047 */
      volatile uint8_t last = picture.pixels[(size_t)picture.height * (size_t)picture.width - 1];
      (void)last;
      free(picture.pixels);
    }
  }
  free(copy);
  return 0;
}
