/* From the unpacked rows of a PNG to pixels (ISO/IEC 15948, 8 and 9): passes, filters, samples, orientation. */
#include "png.h"
#include "exif.h"

#include <stdlib.h>

typedef struct {
  int x, y, dx, dy; /* where its first pixel is, and how far apart they are */
} pass;

static const pass whole[] = {{0, 0, 1, 1}};
static const pass adam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};

static const pass *passes(const edgec_png *p, int *count) {
  *count = p->interlaced ? 7 : 1;
  return p->interlaced ? adam7 : whole;
}

static int pass_width(const edgec_png *p, const pass *t) { return p->width > t->x ? (p->width - t->x + t->dx - 1) / t->dx : 0; }
static int pass_height(const edgec_png *p, const pass *t) { return p->height > t->y ? (p->height - t->y + t->dy - 1) / t->dy : 0; }

static size_t row_size(const edgec_png *p, int width) { return ((size_t)width * (size_t)(p->samples * p->depth) + 7) / 8; }

static size_t pass_size(const edgec_png *p, const pass *t) {
  int width = pass_width(p, t);
  return width ? (size_t)pass_height(p, t) * (row_size(p, width) + 1) : 0;
}

size_t edgec_png_raw_size(const edgec_png *p) {
  int count;
  const pass *t = passes(p, &count);
  size_t size = 0;
  for (int i = 0; i < count; i++) size += pass_size(p, &t[i]);
  return size;
}

static uint8_t paeth(int a, int b, int c) {
  int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
  return (uint8_t)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

static int unfilter(const edgec_png *p, uint8_t *raw, int width, int height) {
  size_t row = row_size(p, width), step = (size_t)(p->samples * p->depth + 7) / 8;
  for (int y = 0; y < height; y++) {
    uint8_t *line = raw + (size_t)y * (row + 1) + 1;
    const uint8_t *above = y ? line - row - 1 : NULL;
    int filter = line[-1];
    if (filter > 4) return -1;
    for (size_t i = 0; i < row; i++) {
      int left = i >= step ? line[i - step] : 0, up = above ? above[i] : 0, corner = above && i >= step ? above[i - step] : 0;
      int add = filter == 1 ? left : filter == 2 ? up : filter == 3 ? (left + up) / 2 : filter == 4 ? paeth(left, up, corner) : 0;
      line[i] = (uint8_t)(line[i] + add);
    }
  }
  return 0;
}

static uint32_t sample(const edgec_png *p, const uint8_t *line, size_t at) {
  if (p->depth == 8) return line[at];
  if (p->depth == 16) return (uint32_t)line[2 * at] << 8 | line[2 * at + 1];
  size_t bit = at * (size_t)p->depth;
  return (line[bit / 8] >> (8 - p->depth - (int)(bit % 8))) & ((1u << p->depth) - 1);
}

/* Of 16 bits the upper 8 count; fewer are stretched to 8. A palette has 8. */
static uint8_t eight_bits(const edgec_png *p, uint32_t value) {
  if (p->depth == 16) return (uint8_t)(value >> 8);
  return (uint8_t)(p->kind == PNG_PALETTE ? value : value * 255 / ((1u << p->depth) - 1));
}

/* libpng's png_do_rgb_to_gray with OpenCV's weights, 0.299 and 0.587. */
static uint8_t luma(const edgec_png *p, const uint32_t *rgb) {
  uint32_t half = p->depth == 16 ? 1 << 14 : 0;
  return eight_bits(p, (9797 * rgb[0] + 19234 * rgb[1] + 3737 * rgb[2] + half) >> 15);
}

static void write_pixel(const edgec_png *p, const uint8_t *line, int x, int channels, uint8_t *out) {
  size_t at = (size_t)x * (size_t)p->samples;
  uint32_t rgb[3];
  for (int c = 0; c < 3; c++) {
    if (p->kind == PNG_PALETTE) rgb[c] = p->palette[3 * sample(p, line, at) + (uint32_t)c];
    else rgb[c] = sample(p, line, at + (size_t)(p->kind & 2 ? c : 0));
  }
  if (channels == 1) *out = p->kind & 2 ? luma(p, rgb) : eight_bits(p, rgb[0]);
  else
    for (int c = 0; c < 3; c++) out[c] = eight_bits(p, rgb[c]);
}

static size_t place(const edgec_png *p, int x, int y) { return edgec_upright(p->orientation, p->height, p->width, x, y); }

int edgec_png_pixels(const edgec_png *p, uint8_t *raw, int channels, uint8_t *pixels) {
  int count;
  const pass *t = passes(p, &count);
  for (int i = 0; i < count; raw += pass_size(p, &t[i]), i++) {
    int width = pass_width(p, &t[i]), height = pass_height(p, &t[i]);
    if (!width || !height) continue;
    if (unfilter(p, raw, width, height)) return -1;
    for (int y = 0; y < height; y++) {
      const uint8_t *line = raw + (size_t)y * (row_size(p, width) + 1) + 1;
      for (int x = 0; x < width; x++)
        write_pixel(p, line, x, channels, pixels + place(p, t[i].x + x * t[i].dx, t[i].y + y * t[i].dy) * (size_t)channels);
    }
  }
  return 0;
}
