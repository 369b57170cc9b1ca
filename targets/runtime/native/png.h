/* PNG pictures: 8 bits a channel, gray, RGB, palette, with or without alpha (ignored), not interlaced. */
#ifndef EDGEC_PNG_H
#define EDGEC_PNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  int height, width;
  uint8_t *pixels; /* [height][width][channels]; the caller frees it */
} edgec_picture;

/* Read a picture with 1 (gray) or 3 (RGB) channels. NULL, or what is wrong with the file. */
const char *edgec_read_png(const char *path, int channels, edgec_picture *picture);

/* RFC 1950 and 1951: unpack a zlib stream into exactly `size` bytes. 0, or -1 if the stream is damaged. */
int edgec_inflate(const uint8_t *packed, size_t packed_size, uint8_t *out, size_t size);

#endif
