/* Resizing a picture, row by row: only what the wanted part needs is read. Integer arithmetic but for the coefficients,
   which are OpenCV's to the last bit. */
#include "resize.h"

#pragma STDC FP_CONTRACT OFF /* each operation is rounded, as OpenCV rounds it */

enum {
  ROWS_AT_A_TIME = 256, /* sums of so many bytes fit 16 bits */
  SMALL_AREA = 8192,    /* up to here a multiplication divides exactly, see `divide` */
  ONE = 256             /* 1 in OpenCV's fixed point with 8 bits behind the point */
};

typedef struct {
  int64_t first;  /* the left or upper of two source pixels */
  int32_t second; /* the weight of the other one, of ONE */
} place;

typedef struct {
  const edgec_scaling *s;
  const uint8_t *picture;
  int64_t down, across;          /* the size of a block */
  int64_t begin, end;            /* the columns of blocks that are needed */
  uint64_t area, reciprocal;     /* of a block, see `divide` */
  const place *columns;          /* of the wanted part */
  uint16_t *sums;                /* of a row of blocks: over rows */
  uint64_t *totals;              /* and then over columns */
  uint8_t *averages;
} blocks;

static int64_t at_least_one(int64_t a) { return a > 1 ? a : 1; }
static int64_t aligned(int64_t bytes) { return (bytes + 15) / 16 * 16; }

/* OpenCV 4, imgproc/src/resize.cpp: interpolationLinear::getCoeffs, whose softdouble is IEEE 754's binary64. */
static place find_place(int64_t to, int64_t to_size, int64_t size) {
  double scale = 1.0 / ((double)to_size / (double)size);
  double at = scale * ((double)to + 0.5) - 0.5;
  int64_t first = (int64_t)at - (at < (double)(int64_t)at);
  if (first < 0 || size == 1) return (place){0, 0};
  if (first >= size - 1) return (place){size - 1, 0};
  double exact = (at - (double)first) * ONE; /* a product with a power of two is exact */
  int32_t below = (int32_t)exact;
  double rest = exact - below;
  return (place){first, below + (rest > 0.5 || (rest == 0.5 && below % 2))}; /* half to even */
}

/* (2 total + area) / (2 area), rounded down. Where n = 2 total + area < 512 area and d = 2 area < 2^14, n d < 2^40: so
   multiplying by 2^40 / d rounded up gives the same (Granlund and Montgomery 1994, theorem 4.2). */
static inline uint8_t divide(const blocks *b, uint64_t total) {
  uint64_t n = 2 * total + b->area;
  return (uint8_t)(b->area <= SMALL_AREA ? (n * b->reciprocal) >> 40 : n / (2 * b->area));
}

static void add_rows(uint16_t *restrict sums, const uint8_t *row, int64_t stride, int64_t rows, int64_t bytes) {
  const uint8_t *restrict first = row, *restrict next = row + stride;
  if (rows == 1) {
    for (int64_t i = 0; i < bytes; i++) sums[i] = first[i];
    return;
  }
  for (int64_t i = 0; i < bytes; i++) sums[i] = (uint16_t)(first[i] + next[i]);
  for (int64_t r = 2; r < rows; r++) {
    next += stride;
    for (int64_t i = 0; i < bytes; i++) sums[i] = (uint16_t)(sums[i] + next[i]);
  }
}

/* Average blocks whose sums over all rows fit 16 bits. Inlined with constants for the usual sizes. */
static inline void average(const blocks *b, int64_t across, int64_t channels) {
  int64_t count = b->end - b->begin;
  const uint16_t *sums = b->sums;
  for (int64_t x = 0; x < count; x++, sums += across * channels)
    for (int64_t c = 0; c < channels; c++) {
      uint32_t total = 0;
      for (int64_t k = 0; k < across; k++) total += sums[k * channels + c];
      b->averages[x * channels + c] = divide(b, total);
    }
}

static void average_any(const blocks *b) {
  switch (b->s->channels * 16 + (b->across < 16 ? b->across : 0)) {
  case 3 * 16 + 1: average(b, 1, 3); break;
  case 3 * 16 + 2: average(b, 2, 3); break;
  case 3 * 16 + 3: average(b, 3, 3); break;
  case 3 * 16 + 4: average(b, 4, 3); break;
  case 1 * 16 + 2: average(b, 2, 1); break;
  default: average(b, b->across, b->s->channels);
  }
}

/* Return the averages of a row of blocks, for the columns of blocks that are needed. */
static const uint8_t *row_of_blocks(const blocks *b, int64_t row) {
  int64_t channels = b->s->channels, bytes = (b->end - b->begin) * b->across * channels;
  const uint8_t *from = b->picture + (row * b->down - b->s->from_row) * b->s->stride;
  from += (b->begin * b->across - b->s->from_column) * channels;
  if (b->area == 1) return from;
  if (b->down <= ROWS_AT_A_TIME) {
    add_rows(b->sums, from, b->s->stride, b->down, bytes);
    average_any(b);
    return b->averages;
  }
  int64_t values = (b->end - b->begin) * channels, group = b->across * channels;
  for (int64_t i = 0; i < values; i++) b->totals[i] = 0;
  for (int64_t done = 0; done < b->down; done += ROWS_AT_A_TIME) {
    int64_t rows = b->down - done < ROWS_AT_A_TIME ? b->down - done : ROWS_AT_A_TIME;
    add_rows(b->sums, from + done * b->s->stride, b->s->stride, rows, bytes);
    for (int64_t i = 0; i < bytes; i++) b->totals[i / group * channels + i % channels] += b->sums[i];
  }
  for (int64_t i = 0; i < values; i++) b->averages[i] = divide(b, b->totals[i]);
  return b->averages;
}

/* Interpolate along a row of blocks: fixed point with 8 bits behind the point. */
static inline void along(const blocks *b, const uint8_t *row, uint16_t *restrict line, int64_t channels, int64_t size) {
  for (int64_t x = 0; x < b->s->columns; x++) {
    place p = b->columns[x];
    const uint8_t *first = row + (p.first - b->begin) * channels;
    const uint8_t *second = p.first + 1 < size ? first + channels : first; /* whose weight is 0 */
    for (int64_t c = 0; c < channels; c++)
      line[x * channels + c] = (uint16_t)(first[c] * (ONE - p.second) + second[c] * p.second);
  }
}

static void along_any(const blocks *b, const uint8_t *row, uint16_t *line, int64_t size) {
  switch (b->s->channels) {
  case 1: along(b, row, line, 1, size); break;
  case 3: along(b, row, line, 3, size); break;
  default: along(b, row, line, b->s->channels, size);
  }
}

static void between(const uint16_t *restrict above, const uint16_t *restrict below, uint32_t weight, uint8_t *restrict out, int64_t values) {
  for (int64_t i = 0; i < values; i++) out[i] = (uint8_t)((above[i] * (ONE - weight) + below[i] * weight + (1u << 15)) >> 16);
}

typedef struct {
  int64_t columns, lines, sums, totals, averages, all;
} layout;

static layout lay_out(const edgec_scaling *s) {
  layout l;
  int64_t row = s->width * s->channels;
  l.columns = 0;
  l.lines = l.columns + aligned(s->columns * (int64_t)sizeof(place));
  l.sums = l.lines + 2 * aligned(s->columns * s->channels * (int64_t)sizeof(uint16_t));
  l.totals = l.sums + aligned(row * (int64_t)sizeof(uint16_t));
  l.averages = l.totals + (s->height / s->to_height > ROWS_AT_A_TIME ? aligned(row * (int64_t)sizeof(uint64_t)) : 0);
  l.all = l.averages + aligned(row);
  return l;
}

int64_t edgec_resize_scratch(const edgec_scaling *s) { return lay_out(s).all; }

edgec_reads edgec_resize_reads(const edgec_scaling *s) {
  int64_t down = at_least_one(s->height / s->to_height), across = at_least_one(s->width / s->to_width);
  int64_t height = s->height / down, width = s->width / across;
  place first_row = find_place(s->top, s->to_height, height), last_row = find_place(s->top + s->rows - 1, s->to_height, height);
  place first = find_place(s->left, s->to_width, width), last = find_place(s->left + s->columns - 1, s->to_width, width);
  int64_t right = last.first + 2 < width ? last.first + 2 : width;
  return (edgec_reads){first_row.first * down, first.first * across, (last_row.first + 1 + (last_row.second > 0)) * down, right * across};
}

void edgec_resize(const edgec_scaling *s, const uint8_t *picture, void *scratch, uint8_t *out, int64_t out_stride) {
  layout l = lay_out(s);
  char *memory = scratch;
  place *columns = (place *)(memory + l.columns);
  blocks b = {.s = s, .picture = picture, .columns = columns, .sums = (uint16_t *)(memory + l.sums),
              .totals = (uint64_t *)(memory + l.totals), .averages = (uint8_t *)(memory + l.averages)};
  b.down = at_least_one(s->height / s->to_height);
  b.across = at_least_one(s->width / s->to_width);
  b.area = (uint64_t)(b.down * b.across);
  b.reciprocal = ((1ull << 40) + 2 * b.area - 1) / (2 * b.area);
  int64_t height = s->height / b.down, width = s->width / b.across;
  for (int64_t x = 0; x < s->columns; x++) columns[x] = find_place(s->left + x, s->to_width, width);
  b.begin = columns[0].first;
  b.end = columns[s->columns - 1].first + 2;
  if (b.end > width) b.end = width;
  int64_t values = s->columns * s->channels, held[2] = {-1, -1};
  uint16_t *lines[2];
  for (int i = 0; i < 2; i++) lines[i] = (uint16_t *)(memory + l.lines + i * ((l.sums - l.lines) / 2));
  for (int64_t y = 0; y < s->rows; y++) {
    place p = find_place(s->top + y, s->to_height, height);
    int64_t wanted[2] = {p.first, p.second ? p.first + 1 : p.first};
    for (int i = 0; i < 2; i++) {
      int64_t row = wanted[i], slot = row % 2;
      if (held[slot] == row) continue;
      along_any(&b, row_of_blocks(&b, row), lines[slot], width);
      held[slot] = row;
    }
    between(lines[wanted[0] % 2], lines[wanted[1] % 2], (uint32_t)p.second, out + y * out_stride, values);
  }
}
