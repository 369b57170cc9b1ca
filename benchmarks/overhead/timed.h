/* Times on standard output: for each number N on standard input, a line with the nanoseconds of N frames. */
#include "edgec.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { HEIGHT = 720, WIDTH = 1280 };

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

static unsigned char *random_pixels(void) {
  unsigned state = 1;
  unsigned char *pixels = (unsigned char *)malloc(HEIGHT * WIDTH * 3 / 2);
  for (int i = 0; pixels && i < HEIGHT * WIDTH * 3 / 2; i++) pixels[i] = (unsigned char)((state = state * 1664525 + 1013904223) >> 24);
  return pixels;
}

static edgec_frame nv12(const unsigned char *pixels) {
  edgec_frame f = {};
  f.pixels = EDGEC_NV12;
  f.matrix = EDGEC_BT709;
  f.range = EDGEC_LIMITED_RANGE;
  f.height = HEIGHT;
  f.width = WIDTH;
  f.planes[0] = pixels;
  f.planes[1] = pixels + HEIGHT * WIDTH;
  f.strides[0] = f.strides[1] = WIDTH;
  return f;
}

static int next_count(void) {
  int count;
  return scanf("%d", &count) == 1 ? count : 0;
}

static void tell(long long nanoseconds, int is_last) {
  printf(is_last ? "%lld\n" : "%lld ", nanoseconds);
  if (is_last) fflush(stdout);
}
