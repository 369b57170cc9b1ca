/* Frames on standard input: 16 numbers, then the planes. */
#include "edgec.h"

#include <stdio.h>
#include <stdlib.h>

enum { NUMBERS = 16 };

/* 1, 0 at the end, or -1. The planes stay until `planes` are freed. */
static int read_frame(edgec_frame *frame, unsigned char *planes[3]) {
  int32_t n[NUMBERS];
  if (fread(n, sizeof n, 1, stdin) != 1) return 0;
  frame->pixels = (edgec_pixels)n[0];
  frame->matrix = (edgec_matrix)n[1];
  frame->range = (edgec_range)n[2];
  frame->height = n[3];
  frame->width = n[4];
  frame->top = n[5];
  frame->left = n[6];
  frame->crop_height = n[7];
  frame->crop_width = n[8];
  for (int i = 0; i < 3; i++) {
    size_t size = (size_t)n[12 + i];
    planes[i] = size ? (unsigned char *)malloc(size) : NULL; /* no byte more: what reads behind it is found */
    frame->planes[i] = planes[i];
    frame->strides[i] = (size_t)n[9 + i];
    if (size && (!planes[i] || fread(planes[i], size, 1, stdin) != 1)) return -1;
  }
  return 1;
}
