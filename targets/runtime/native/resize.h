/* The resize of preprocess.py: exact averages of whole blocks, then OpenCV's bit-exact bilinear interpolation. */
#ifndef EDGEC_RESIZE_H
#define EDGEC_RESIZE_H

#include <stdint.h>

typedef struct {
  int64_t height, width, channels; /* of the picture, uint8 [height][width][channels] */
  int64_t stride;                  /* bytes from one of its rows to the next */
  int64_t to_height, to_width;     /* what it is resized to */
  int64_t top, left, rows, columns; /* the part of the resized picture that is wanted */
  int64_t from_row, from_column;    /* of the picture, where its memory begins: 0 unless only a part of it is there */
} edgec_scaling;

/* The rows and columns of the picture that the wanted part is made of. */
typedef struct {
  int64_t top, left, bottom, right; /* up to the last two, without them */
} edgec_reads;

edgec_reads edgec_resize_reads(const edgec_scaling *scaling);

/* How many bytes of scratch memory edgec_resize needs. */
int64_t edgec_resize_scratch(const edgec_scaling *scaling);

/* Write the wanted part, uint8 [rows][columns][channels], its rows `out_stride` bytes apart. `scratch` is aligned to 16
   bytes. All sizes are at least 1, and channels at most 4. */
void edgec_resize(const edgec_scaling *scaling, const uint8_t *picture, void *scratch, uint8_t *out, int64_t out_stride);

#endif
