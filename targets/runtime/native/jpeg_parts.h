/* What the parts of the JPEG decoder share. */
#ifndef EDGEC_JPEG_PARTS_H
#define EDGEC_JPEG_PARTS_H

#include "jpeg_bits.h"

enum { JPEG_COMPONENTS = 4, JPEG_TABLES = 4, JPEG_BLOCK = 64, JPEG_SIDE = 8, JPEG_UNSEEN = -1, JPEG_END = 0xd9 };

typedef enum { JPEG_GRAY, JPEG_YCC, JPEG_RGB, JPEG_CMYK, JPEG_YCCK } edgec_jpeg_colors;

typedef struct {
  int id, across, down;          /* samples beside and below each other in an MCU's block, H and V */
  int table;                     /* of its quantisation */
  int width, height;             /* of the picture in its samples */
  int blocks_across, blocks_down; /* with those that fill the last MCUs */
  int scanned;
  uint16_t steps[JPEG_BLOCK];    /* of quantisation, as they were at its first scan */
  int8_t known[JPEG_BLOCK];      /* progressive: down to which bit each coefficient is there, by zigzag */
  int16_t *coefficients;         /* progressive: [blocks_down][blocks_across][64], row by row */
  uint8_t *samples;              /* [blocks_down * 8][blocks_across * 8] */
} edgec_jpeg_component;

typedef struct {
  int height, width, progressive, count;
  int shown; /* how many components the pixels are made of */
  int across, down; /* the greatest of the components */
  int restart;      /* MCUs from one restart marker to the next; 0: none */
  int scans, orientation; /* orientation: EXIF's, or 0 */
  int has_jfif, adobe; /* adobe: its transform, or -1 */
  edgec_jpeg_colors colors;
  edgec_jpeg_component components[JPEG_COMPONENTS];
  int has_steps[JPEG_TABLES];
  uint16_t steps[JPEG_TABLES][JPEG_BLOCK];
  edgec_jpeg_code dc[JPEG_TABLES], ac[JPEG_TABLES];
} edgec_jpeg;

/* From the order in a file to the order in rows (figure A.6). */
extern const uint8_t edgec_jpeg_zigzag[JPEG_BLOCK];

/* Decode one scan. `header` is what SOS holds, and `at` where the data behind it begins; it is moved to the next marker.
   NULL, or what is wrong. */
const char *edgec_jpeg_scan(edgec_jpeg *jpeg, const uint8_t *header, size_t length, const uint8_t *file, size_t size, size_t *at);

/* From one block's coefficients to its samples, `stride` bytes from row to row. */
void edgec_jpeg_inverse(const int16_t *coefficients, const uint16_t *steps, uint8_t *samples, size_t stride);

/* Write all pixels [height][width][channels], turned upright. `rows` has room for four rows of width + 8. */
void edgec_jpeg_pixels(const edgec_jpeg *jpeg, int channels, uint8_t *rows, uint8_t *pixels);

#endif
