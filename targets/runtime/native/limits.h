/* What the static program reads at most from a picture's file. docs/reliability.md has these numbers as a table. */
#ifndef EDGEC_LIMITS_H
#define EDGEC_LIMITS_H

enum {
  EDGEC_PNG_SIDE = 16384,
  EDGEC_PNG_PIXELS = 1 << 24, /* unpacked at most 11 bytes each: 8 as in the file, 3 as the network takes them */
  EDGEC_PNG_BYTES = 1 << 26
};

#endif
