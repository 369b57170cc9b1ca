/* What is read at most of a picture's file. docs/reliability.md has these numbers as a table. */
#ifndef EDGEC_LIMITS_H
#define EDGEC_LIMITS_H

enum {
  EDGEC_PICTURE_SIDE = 16384,
  EDGEC_PICTURE_BYTES = 1 << 26,
  EDGEC_PNG_PIXELS = 1 << 24,         /* unpacked at most 11 bytes each: 8 as in the file, 3 as the network takes them */
  EDGEC_JPEG_PIXELS = 8192 * 6144,    /* as everywhere else */
  EDGEC_JPEG_MEMORY = 512 << 20,      /* 4.5 to 12 bytes for a pixel, by how its colours are stored */
  EDGEC_JPEG_SCANS = 100              /* each goes over the whole picture, and an empty one takes a few bytes */
};

#endif
