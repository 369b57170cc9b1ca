/* PNG pictures of every kind. */
#ifndef EDGEC_PNG_H
#define EDGEC_PNG_H

#include "picture.h"

enum { PNG_GRAY = 0, PNG_RGB = 2, PNG_PALETTE = 3, PNG_GRAY_ALPHA = 4, PNG_RGB_ALPHA = 6 };

typedef struct {
  int height, width, kind, samples; /* samples of a pixel in the file */
  int depth, interlaced;            /* bits of a sample; whether there are Adam7's seven passes */
  int orientation;                  /* EXIF's, 1 to 8, or 0 */
  uint8_t palette[256 * 3];
} edgec_png;

int edgec_is_png(const uint8_t *file, size_t size);

/* As edgec_decode_picture. */
const char *edgec_decode_png(uint8_t *file, size_t size, int channels, edgec_picture *picture);

/* How many bytes the unpacked rows of all passes have, each behind the number of its filter. */
size_t edgec_png_raw_size(const edgec_png *png);

/* Undo the filters of unpacked rows, in place, and write pixels [height][width][channels], turned upright.
   0, or -1 if a filter is none. */
int edgec_png_pixels(const edgec_png *png, uint8_t *raw, int channels, uint8_t *pixels);

#endif
