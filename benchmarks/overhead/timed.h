/* Times on standard output: for each number N on standard input, a line with the nanoseconds of N frames, each with
   edgec_run_frame's own behind it. */
#include "edgec.h"
#include "own_time.h"

#include <stdio.h>

enum { HEIGHT = 720, WIDTH = 1280 };

static long long now(void) { return clock_of(CLOCK_MONOTONIC); }

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
  volatile own_time *own = own_time_of_runs();
  printf(is_last ? "%lld %lld\n" : "%lld %lld ", nanoseconds, own ? own->last : 0);
  if (is_last) fflush(stdout);
}
