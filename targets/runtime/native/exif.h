/* EXIF: how a picture is to be turned. */
#ifndef EDGEC_EXIF_H
#define EDGEC_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* The orientation, 1 to 8, that EXIF data says, which begins with its byte order; 1 for another number. 0 if it says none,
   or a damaged entry stands before it. */
int edgec_exif_orientation(const uint8_t *data, size_t size);

/* Where a pixel of a stored picture is in the upright one, counted in pixels. From 5 on its sides are swapped. */
static inline size_t edgec_upright(int orientation, int height, int width, int x, int y) {
  int right = width - 1 - x, below = height - 1 - y;
  switch (orientation) {
  case 2: return (size_t)y * (size_t)width + (size_t)right;
  case 3: return (size_t)below * (size_t)width + (size_t)right;
  case 4: return (size_t)below * (size_t)width + (size_t)x;
  case 5: return (size_t)x * (size_t)height + (size_t)y;
  case 6: return (size_t)x * (size_t)height + (size_t)below;
  case 7: return (size_t)right * (size_t)height + (size_t)below;
  case 8: return (size_t)right * (size_t)height + (size_t)y;
  default: return (size_t)y * (size_t)width + (size_t)x;
  }
}

#endif
