/* The bits of a scan, and Huffman codes (ITU-T T.81, F.2.2 and annexes C and K.3). */
#ifndef EDGEC_JPEG_BITS_H
#define EDGEC_JPEG_BITS_H

#include <stddef.h>
#include <stdint.h>

enum { JPEG_QUICK = 9, JPEG_LONGEST = 16 };

typedef struct {
  const uint8_t *data;
  size_t size, at; /* at: the next byte that is not among `bits` */
  uint64_t bits;   /* the lowest `count` are to be taken, the highest of them first */
  int count, failed;
} edgec_jpeg_bits;

typedef struct {
  int there, highest;                /* whether the file has this code; its greatest value */
  uint16_t quick[1 << JPEG_QUICK];   /* by the next bits: length << 8 | value, or 0 for longer codes */
  uint32_t limit[JPEG_LONGEST + 1];  /* by lengths: behind the last code of it, with 16 bits */
  int32_t first[JPEG_LONGEST + 1];   /* and where its values begin, less its first code */
  uint8_t values[256];
} edgec_jpeg_code;

/* Make a code of how many there are of each length, 1 to 16, and their values. 0, or -1 if it is none. */
int edgec_jpeg_make_code(edgec_jpeg_code *code, const uint8_t *lengths, const uint8_t *values);

/* Make the usual codes of annex K.3, 0 of luminance and 1 of colour: cameras leave them out of their frames. */
void edgec_jpeg_usual_codes(edgec_jpeg_code *dc, edgec_jpeg_code *ac);

/* The next value of a code, and the next bits as a number. 0 with `failed` set if there are none before the next marker. */
int edgec_jpeg_value(edgec_jpeg_bits *bits, const edgec_jpeg_code *code);
int edgec_jpeg_take(edgec_jpeg_bits *bits, int count);

/* A number of so many bits with its sign (F.2.2.1, EXTEND). */
static inline int edgec_jpeg_signed(edgec_jpeg_bits *bits, int count) {
  int value = edgec_jpeg_take(bits, count);
  return count && value < 1 << (count - 1) ? value - (1 << count) + 1 : value;
}

#endif
