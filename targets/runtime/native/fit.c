/* The sizes and cuts of preprocess.py, in whole numbers: its functions have the same names. */
#include "fit.h"

#include <stdlib.h>

enum { LONGEST = 16, MARGIN = 256, OF_MARGIN = 224 };

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t rounded(int64_t numerator, int64_t denominator) { return (2 * numerator + denominator) / (2 * denominator); }

static void all(edgec_scaling *s, int64_t height, int64_t width) {
  s->to_height = s->rows = height;
  s->to_width = s->columns = width;
}

/* Leave all but the middle of a very long picture, and find the size that the rest gets. */
static void scale(const edgec_fitting *how, edgec_placement *at) {
  edgec_scaling *s = &at->scaling;
  int64_t longest = LONGEST, across = smaller(how->height, how->width);
  if (!how->resize) longest *= (larger(how->height, how->width) + across - 1) / across;
  if (larger(s->height, s->width) > longest * smaller(s->height, s->width)) {
    int64_t height = smaller(s->height, longest * s->width), width = smaller(s->width, longest * s->height);
    at->top = (s->height - height) / 2;
    at->left = (s->width - width) / 2;
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
}

static void pad(const edgec_fitting *how, edgec_placement *at) {
  edgec_scaling *s = &at->scaling;
  int64_t height = s->height, width = s->width;
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
  at->to_top = (how->height - height) / 2;
  at->to_left = (how->width - width) / 2;
}

edgec_placement edgec_place(const edgec_fitting *how, int64_t height, int64_t width) {
  edgec_placement at = {.scaling = {.height = height, .width = width, .channels = how->channels}};
  switch (how->fit) {
  case FIT_CROP: scale(how, &at); break;
  case FIT_STRETCH: all(&at.scaling, how->height, how->width); break;
  default: pad(how, &at);
  }
  return at;
}

void edgec_set_border(const edgec_fitting *how, const edgec_placement *at, uint8_t *input) {
  if (at->scaling.rows == how->height && at->scaling.columns == how->width) return;
  for (int64_t i = 0; i < how->height * how->width * how->channels; i++) input[i] = how->border[i % how->channels];
}

int edgec_fit(const edgec_fitting *how, const uint8_t *picture, int64_t height, int64_t width, uint8_t *input) {
  edgec_placement at = edgec_place(how, height, width);
  at.scaling.stride = width * how->channels;
  void *scratch = malloc((size_t)edgec_resize_scratch(&at.scaling));
  if (!scratch) return -1;
  edgec_set_border(how, &at, input);
  edgec_resize(&at.scaling, picture + at.top * at.scaling.stride + at.left * how->channels, scratch,
               input + (at.to_top * how->width + at.to_left) * how->channels, how->width * how->channels);
  free(scratch);
  return 0;
}
