/* From a JPEG's samples to pixels, as libjpeg-turbo and OpenCV do: smaller components grow by triangles (jdsample.c),
   then come the colours (jdcolor.c), and the four inks of print as OpenCV shows them. */
#include "exif.h"
#include "jpeg_parts.h"

#include <string.h>

enum { HALF = 1 << 15, BITS = 16 };

static uint8_t clamped(int value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

static const uint8_t *samples_at(const edgec_jpeg_component *c, int y) {
  int inside = y < 0 ? 0 : y >= c->height ? c->height - 1 : y;
  return c->samples + (size_t)inside * (size_t)c->blocks_across * JPEG_SIDE;
}

/* Twice as wide: 3/4 of a sample and 1/4 of its neighbour. */
static void wider(const uint8_t *in, int width, uint8_t *out) {
  for (int x = 0; x < width; x++) {
    out[2 * x] = x ? (uint8_t)((3 * in[x] + in[x - 1] + 1) >> 2) : in[x];
    out[2 * x + 1] = x < width - 1 ? (uint8_t)((3 * in[x] + in[x + 1] + 2) >> 2) : in[x];
  }
}

/* Twice as high: the same from row to row. */
static void higher(const uint8_t *in, const uint8_t *other, int width, int bias, uint8_t *out) {
  for (int x = 0; x < width; x++) out[x] = (uint8_t)((3 * in[x] + other[x] + bias) >> 2);
}

static void both(const uint8_t *in, const uint8_t *other, int width, uint8_t *out) {
#define SUM(x) (3 * in[x] + other[x])
  for (int x = 0; x < width; x++) {
    out[2 * x] = (uint8_t)(x ? (3 * SUM(x) + SUM(x - 1) + 8) >> 4 : (4 * SUM(x) + 8) >> 4);
    out[2 * x + 1] = (uint8_t)(x < width - 1 ? (3 * SUM(x) + SUM(x + 1) + 7) >> 4 : (4 * SUM(x) + 7) >> 4);
  }
#undef SUM
}

/* One row of a component in the picture's size. `room` is used if it is not stored in that size. */
static const uint8_t *row_of(const edgec_jpeg *jpeg, const edgec_jpeg_component *c, int y, uint8_t *room) {
  int across = jpeg->across / c->across, down = jpeg->down / c->down, at = y / down;
  const uint8_t *in = samples_at(c, at), *other = samples_at(c, y % 2 ? at + 1 : at - 1);
  if (across == 1 && down == 1) return in;
  if (across == 2 && down == 1 && c->width > 2) wider(in, c->width, room);
  else if (across == 1 && down == 2) higher(in, other, c->width, y % 2 ? 2 : 1, room);
  else if (across == 2 && down == 2 && c->width > 2) both(in, other, c->width, room);
  else
    for (int x = 0; x < jpeg->width; x++) room[x] = in[x / across];
  return room;
}

/* Y, Cb and Cr (JFIF) in 16 bits of fraction. */
static void ycc_to_rgb(int y, int cb, int cr, uint8_t *rgb) {
  cb -= 128, cr -= 128;
  rgb[0] = clamped(y + ((91881 * cr + HALF) >> BITS));
  rgb[1] = clamped(y + ((-22554 * cb - 46802 * cr + HALF) >> BITS));
  rgb[2] = clamped(y + ((116130 * cb + HALF) >> BITS));
}

static uint8_t rgb_to_gray(const uint8_t *rgb) { return (uint8_t)((19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + HALF) >> BITS); }

/* Inks are stored as how much light they leave. */
static void inks_to_rgb(const uint8_t *inks, uint8_t *rgb) {
  for (int i = 0; i < 3; i++) rgb[i] = (uint8_t)(inks[3] - ((255 - inks[i]) * inks[3] >> 8));
}

/* OpenCV's weights for CMYK have 14 bits. */
static uint8_t inks_to_gray(const uint8_t *rgb) { return (uint8_t)((4899 * rgb[0] + 9617 * rgb[1] + 1868 * rgb[2] + (1 << 13)) >> 14); }

static void pixel(edgec_jpeg_colors colors, int channels, const uint8_t *in, uint8_t *out) {
  uint8_t rgb[4] = {in[0], in[1], in[2], in[3]};
  if (channels == 1 && (colors == JPEG_GRAY || colors == JPEG_YCC)) {
    *out = in[0];
    return;
  }
  if (colors == JPEG_GRAY) rgb[1] = rgb[2] = in[0];
  if (colors == JPEG_YCC || colors == JPEG_YCCK) ycc_to_rgb(in[0], in[1], in[2], rgb);
  if (colors == JPEG_YCCK)
    for (int i = 0; i < 3; i++) rgb[i] = (uint8_t)(255 - rgb[i]);
  if (colors == JPEG_CMYK || colors == JPEG_YCCK) inks_to_rgb(rgb, rgb);
  if (channels == 3) memcpy(out, rgb, 3);
  else *out = colors == JPEG_RGB ? rgb_to_gray(rgb) : inks_to_gray(rgb);
}

void edgec_jpeg_pixels(const edgec_jpeg *jpeg, int channels, uint8_t *rows, uint8_t *pixels) {
  for (int y = 0; y < jpeg->height; y++) {
    const uint8_t *in[JPEG_COMPONENTS];
    for (int i = 0; i < jpeg->shown; i++) in[i] = row_of(jpeg, &jpeg->components[i], y, rows + (size_t)i * (size_t)(jpeg->width + 8));
    for (int x = 0; x < jpeg->width; x++) {
      uint8_t samples[JPEG_COMPONENTS] = {0};
      for (int i = 0; i < jpeg->shown; i++) samples[i] = in[i][x];
      size_t place = edgec_upright(jpeg->orientation, jpeg->height, jpeg->width, x, y);
      pixel(jpeg->colors, channels, samples, pixels + place * (size_t)channels);
    }
  }
}
