/* The sizes and cuts of preprocess.py, in whole numbers: its functions have the same names. */
#include "fit.h"
#include "resize.h"

#include <stdlib.h>

enum { LONGEST = 16, MARGIN = 256, OF_MARGIN = 224 };

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t rounded(int64_t numerator, int64_t denominator) { return (2 * numerator + denominator) / (2 * denominator); }

static int resized(edgec_scaling *s, const uint8_t *picture, uint8_t *out, int64_t out_stride) {
  void *scratch = malloc((size_t)edgec_resize_scratch(s));
  if (!scratch) return -1;
  edgec_resize(s, picture, scratch, out, out_stride);
  free(scratch);
  return 0;
}

static void all(edgec_scaling *s, int64_t height, int64_t width) {
  s->to_height = s->rows = height;
  s->to_width = s->columns = width;
}

/* Leave all but the middle of a very long picture, and find the size that the rest gets. */
static const uint8_t *scaled(const edgec_fitting *how, edgec_scaling *s, const uint8_t *picture) {
  int64_t longest = LONGEST, across = smaller(how->height, how->width);
  if (!how->resize) longest *= (larger(how->height, how->width) + across - 1) / across;
  if (larger(s->height, s->width) > longest * smaller(s->height, s->width)) {
    int64_t height = smaller(s->height, longest * s->width), width = smaller(s->width, longest * s->height);
    picture += (s->height - height) / 2 * s->stride + (s->width - width) / 2 * s->channels;
    s->height = height;
    s->width = width;
  }
  int by_height = how->resize ? s->height < s->width : s->height * how->width < s->width * how->height;
  int64_t here = by_height ? s->height : s->width, there = by_height ? how->height : how->width, side = how->resize;
  if (!side) side = smaller(larger(here, there), rounded(there * MARGIN, OF_MARGIN));
  s->to_height = by_height ? side : rounded(s->height * side, s->width);
  s->to_width = by_height ? rounded(s->width * side, s->height) : side;
  s->rows = how->height;
  s->columns = how->width;
  s->top = (s->to_height - s->rows) / 2;
  s->left = (s->to_width - s->columns) / 2;
  return picture;
}

static int padded(const edgec_fitting *how, edgec_scaling *s, const uint8_t *picture, uint8_t *input) {
  int64_t height = s->height, width = s->width, stride = how->width * how->channels;
  if (height > how->height || width > how->width || how->fit == FIT_LETTERBOX) {
    if (s->height * how->width > s->width * how->height) {
      height = how->height;
      width = larger(1, rounded(s->width * height, s->height));
    } else {
      width = how->width;
      height = larger(1, rounded(s->height * width, s->width));
    }
  }
  all(s, height, width);
  for (int64_t i = 0; i < how->height * stride; i++) input[i] = how->border[i % how->channels];
  return resized(s, picture, input + (how->height - height) / 2 * stride + (how->width - width) / 2 * how->channels, stride);
}

int edgec_fit(const edgec_fitting *how, const uint8_t *picture, int64_t height, int64_t width, uint8_t *input) {
  edgec_scaling s = {.height = height, .width = width, .channels = how->channels, .stride = width * how->channels};
  switch (how->fit) {
  case FIT_CROP: picture = scaled(how, &s, picture); break;
  case FIT_STRETCH: all(&s, how->height, how->width); break;
  default: return padded(how, &s, picture, input);
  }
  return resized(&s, picture, input, how->width * how->channels);
}
