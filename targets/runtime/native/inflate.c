/* Unpacking zlib streams: RFC 1950, RFC 1951. Canonical Huffman codes are decoded bit by bit: pictures are small. */
#include "inflate.h"

#include <string.h>

enum { MAX_BITS = 15, LITERALS = 288, DISTANCES = 30, END_OF_BLOCK = 256 };

typedef struct {
  const uint8_t *in;
  size_t in_size, in_at, out_size, out_at;
  uint8_t *out;
  uint32_t bits;
  int bit_count, failed;
} stream;

typedef struct {
  uint16_t count[MAX_BITS + 1], symbol[LITERALS];
} huffman;

static uint32_t take(stream *s, int count) {
  while (s->bit_count < count) {
    if (s->in_at >= s->in_size) {
      s->failed = 1;
      return 0;
    }
    s->bits |= (uint32_t)s->in[s->in_at++] << s->bit_count;
    s->bit_count += 8;
  }
  uint32_t value = s->bits & ((1u << count) - 1);
  s->bits >>= count;
  s->bit_count -= count;
  return value;
}

static void put(stream *s, uint8_t byte) {
  if (s->out_at < s->out_size) s->out[s->out_at++] = byte;
  else s->failed = 1;
}

/* RFC 1951, 3.2.2: codes of one length are consecutive, in the order of their symbols. */
static int build(huffman *h, const uint8_t *lengths, int symbols) {
  uint16_t offset[MAX_BITS + 2] = {0};
  memset(h, 0, sizeof *h);
  for (int i = 0; i < symbols; i++) h->count[lengths[i]]++;
  h->count[0] = 0;
  int left = 1;
  for (int length = 1; length <= MAX_BITS; length++) {
    left = 2 * left - h->count[length];
    if (left < 0) return -1; /* more codes than bits allow */
    offset[length + 1] = (uint16_t)(offset[length] + h->count[length]);
  }
  for (int i = 0; i < symbols; i++)
    if (lengths[i]) h->symbol[offset[lengths[i]]++] = (uint16_t)i;
  return 0;
}

static int decode(stream *s, const huffman *h) {
  int code = 0, first = 0, index = 0;
  for (int length = 1; length <= MAX_BITS; length++) {
    code |= (int)take(s, 1);
    int count = h->count[length];
    if (code - count < first) return h->symbol[index + (code - first)];
    index += count;
    first = (first + count) << 1;
    code <<= 1;
  }
  s->failed = 1;
  return END_OF_BLOCK;
}

static void copy(stream *s, int symbol, const huffman *distances) {
  static const uint16_t base[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                  31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
  static const uint8_t extra[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
  static const uint16_t far_base[] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                      193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
  static const uint8_t far_extra[] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
  symbol -= END_OF_BLOCK + 1;
  if (symbol >= (int)(sizeof base / sizeof *base)) {
    s->failed = 1;
    return;
  }
  uint32_t length = base[symbol] + take(s, extra[symbol]);
  int code = decode(s, distances);
  if (s->failed || code >= DISTANCES) {
    s->failed = 1;
    return;
  }
  size_t distance = far_base[code] + take(s, far_extra[code]);
  if (distance > s->out_at) s->failed = 1;
  while (length-- && !s->failed) put(s, s->out[s->out_at - distance]);
}

static void compressed(stream *s, const huffman *literals, const huffman *distances) {
  while (!s->failed) {
    int symbol = decode(s, literals);
    if (symbol == END_OF_BLOCK) return;
    if (symbol < END_OF_BLOCK) put(s, (uint8_t)symbol);
    else copy(s, symbol, distances);
  }
}

static void stored(stream *s) {
  s->bits = 0;
  s->bit_count = 0;
  uint32_t length = take(s, 8) | take(s, 8) << 8, check = take(s, 8) | take(s, 8) << 8;
  if (length != (~check & 0xffff)) s->failed = 1;
  while (length-- && !s->failed) put(s, (uint8_t)take(s, 8));
}

static void fixed(stream *s) {
  uint8_t lengths[LITERALS];
  huffman literals, distances;
  for (int i = 0; i < LITERALS; i++) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
  build(&literals, lengths, LITERALS);
  memset(lengths, 5, DISTANCES);
  build(&distances, lengths, DISTANCES);
  compressed(s, &literals, &distances);
}

static void dynamic(stream *s) {
  static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  uint8_t lengths[LITERALS + 32] = {0};
  huffman literals, distances;
  int literal_count = (int)take(s, 5) + 257, distance_count = (int)take(s, 5) + 1, code_count = (int)take(s, 4) + 4;
  for (int i = 0; i < code_count; i++) lengths[order[i]] = (uint8_t)take(s, 3);
  if (literal_count > LITERALS - 2 || distance_count > DISTANCES || build(&literals, lengths, 19)) {
    s->failed = 1;
    return;
  }
  memset(lengths, 0, sizeof lengths);
  for (int i = 0; i < literal_count + distance_count && !s->failed;) {
    int symbol = decode(s, &literals);
    if (symbol < 16) {
      lengths[i++] = (uint8_t)symbol;
      continue;
    }
    int repeat = symbol == 16 ? 3 + (int)take(s, 2) : symbol == 17 ? 3 + (int)take(s, 3) : 11 + (int)take(s, 7);
    uint8_t value = symbol == 16 && i ? lengths[i - 1] : 0;
    if ((symbol == 16 && !i) || i + repeat > literal_count + distance_count) s->failed = 1;
    while (repeat-- && !s->failed) lengths[i++] = value;
  }
  if (s->failed || build(&literals, lengths, literal_count) || build(&distances, lengths + literal_count, distance_count))
    s->failed = 1;
  else compressed(s, &literals, &distances);
}

/* RFC 1950, 8: the Adler-32 of what was packed, behind the data. */
static int is_sum(const uint8_t *told, const uint8_t *data, size_t size) {
  uint32_t a = 1, b = 0;
  for (size_t i = 0; i < size; i++) {
    a = (a + data[i]) % 65521;
    b = (b + a) % 65521;
  }
  return told[0] == b >> 8 && told[1] == (b & 255) && told[2] == a >> 8 && told[3] == (a & 255);
}

int edgec_inflate_deflated(const uint8_t *packed, size_t packed_size, size_t *used, uint8_t *out, size_t size) {
  stream s = {.in = packed, .in_size = packed_size, .out = out, .out_size = size};
  for (int last = 0; !last && !s.failed;) {
    last = (int)take(&s, 1);
    switch (take(&s, 2)) {
    case 0: stored(&s); break;
    case 1: fixed(&s); break;
    case 2: dynamic(&s); break;
    default: s.failed = 1;
    }
  }
  *used = s.in_at;
  return s.failed || s.out_at != size ? -1 : 0;
}

int edgec_inflate(const uint8_t *packed, size_t packed_size, uint8_t *out, size_t size) {
  if (packed_size < 6 || (packed[0] & 15) != 8 || (packed[0] * 256 + packed[1]) % 31 || packed[1] & 32) return -1;
  size_t used, left = packed_size - 2;
  if (edgec_inflate_deflated(packed + 2, left, &used, out, size) || used + 4 > left) return -1;
  return is_sum(packed + 2 + used, out, size) ? 0 : -1;
}
