/* Reads bits and Huffman codes. A byte FF is followed by 00, or else belongs to a marker, where a scan ends. */
#include "jpeg_bits.h"

#include <string.h>

int edgec_jpeg_make_code(edgec_jpeg_code *c, const uint8_t *lengths, const uint8_t *values) {
  uint32_t code = 0;
  int32_t index = 0;
  memset(c, 0, sizeof *c);
  for (int length = 1; length <= JPEG_LONGEST; length++, code <<= 1) {
    int count = lengths[length - 1];
    if (index + count > 256 || (count && code + (uint32_t)count >= 1u << length)) return -1; /* no code consists of ones only */
    c->first[length] = index - (int32_t)code;
    for (int i = 0; i < count; i++, code++, index++) {
      c->values[index] = values[index];
      if (values[index] > c->highest) c->highest = values[index];
      if (length > JPEG_QUICK) continue;
      uint32_t begin = code << (JPEG_QUICK - length), end = (code + 1) << (JPEG_QUICK - length);
      for (uint32_t k = begin; k < end; k++) c->quick[k] = (uint16_t)(length << 8 | values[index]);
    }
    c->limit[length] = code << (JPEG_LONGEST - length);
  }
  c->there = 1;
  return 0;
}

void edgec_jpeg_usual_codes(edgec_jpeg_code *dc, edgec_jpeg_code *ac) {
  static const uint8_t dc_lengths[2][16] = {{0, 1, 5, 1, 1, 1, 1, 1, 1}, {0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}};
  static const uint8_t dc_values[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  static const uint8_t ac_lengths[2][16] = {{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125}, {0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119}};
  static const uint8_t ac_values[2][162] = {
      {1,   2,   3,   0,   4,   17,  5,   18,  33,  49,  65,  6,   19,  81,  97,  7,   34,  113, 20,  50,  129, 145, 161, 8,   35,  66,  177,
       193, 21,  82,  209, 240, 36,  51,  98,  114, 130, 9,   10,  22,  23,  24,  25,  26,  37,  38,  39,  40,  41,  42,  52,  53,  54,  55,
       56,  57,  58,  67,  68,  69,  70,  71,  72,  73,  74,  83,  84,  85,  86,  87,  88,  89,  90,  99,  100, 101, 102, 103, 104, 105, 106,
       115, 116, 117, 118, 119, 120, 121, 122, 131, 132, 133, 134, 135, 136, 137, 138, 146, 147, 148, 149, 150, 151, 152, 153, 154, 162, 163,
       164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202, 210, 211,
       212, 213, 214, 215, 216, 217, 218, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250},
      {0,   1,   2,   3,   17,  4,   5,   33,  49,  6,   18,  65,  81,  7,   97,  113, 19,  34,  50,  129, 8,   20,  66,  145, 161, 177, 193,
       9,   35,  51,  82,  240, 21,  98,  114, 209, 10,  22,  36,  52,  225, 37,  241, 23,  24,  25,  26,  38,  39,  40,  41,  42,  53,  54,
       55,  56,  57,  58,  67,  68,  69,  70,  71,  72,  73,  74,  83,  84,  85,  86,  87,  88,  89,  90,  99,  100, 101, 102, 103, 104, 105,
       106, 115, 116, 117, 118, 119, 120, 121, 122, 130, 131, 132, 133, 134, 135, 136, 137, 138, 146, 147, 148, 149, 150, 151, 152, 153, 154,
       162, 163, 164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202,
       210, 211, 212, 213, 214, 215, 216, 217, 218, 226, 227, 228, 229, 230, 231, 232, 233, 234, 242, 243, 244, 245, 246, 247, 248, 249, 250}};
  for (int i = 0; i < 2; i++) {
    edgec_jpeg_make_code(&dc[i], dc_lengths[i], dc_values);
    edgec_jpeg_make_code(&ac[i], ac_lengths[i], ac_values[i]);
  }
}

static void fill(edgec_jpeg_bits *b) {
  while (b->count <= 48 && b->at < b->size) {
    size_t next = b->at + 1;
    uint8_t byte = b->data[b->at];
    if (byte == 0xff) {
      while (next < b->size && b->data[next] == 0xff) next++;
      if (next >= b->size || b->data[next]) return; /* a marker */
      next++;
    }
    b->bits = b->bits << 8 | byte;
    b->count += 8;
    b->at = next;
  }
}

static int drop(edgec_jpeg_bits *b, int count) {
  if (count > b->count) {
    b->failed = 1;
    return -1;
  }
  b->count -= count;
  return 0;
}

int edgec_jpeg_take(edgec_jpeg_bits *b, int count) {
  if (!count) return 0;
  if (b->count < count) fill(b);
  if (drop(b, count)) return 0;
  return (int)(b->bits >> b->count & ((1u << count) - 1));
}

int edgec_jpeg_value(edgec_jpeg_bits *b, const edgec_jpeg_code *c) {
  if (b->count < JPEG_LONGEST) fill(b);
  uint64_t there = b->count < JPEG_LONGEST ? b->bits << (JPEG_LONGEST - b->count) : b->bits >> (b->count - JPEG_LONGEST);
  uint32_t next = (uint32_t)there & 0xffff; /* with zeros behind the last bit */
  uint16_t quick = c->quick[next >> (JPEG_LONGEST - JPEG_QUICK)];
  if (quick) return drop(b, quick >> 8) ? 0 : quick & 255;
  for (int length = JPEG_QUICK + 1; length <= JPEG_LONGEST; length++)
    if (next < c->limit[length]) {
      if (drop(b, length)) return 0;
      return c->values[(int32_t)(next >> (JPEG_LONGEST - length)) + c->first[length]];
    }
  b->failed = 1;
  return 0;
}
