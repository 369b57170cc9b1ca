/* Scans of JPEGs: sequential (ITU-T T.81, F.2) and progressive (G.2), with restart markers. */
#include "jpeg_parts.h"

#include <string.h>

const uint8_t edgec_jpeg_zigzag[JPEG_BLOCK] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
                                               41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
                                               30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

typedef struct scan scan;
typedef void decoder(scan *s, int which, int16_t *block);

struct scan {
  edgec_jpeg_bits bits;
  int count;
  edgec_jpeg_component *components[JPEG_COMPONENTS];
  const edgec_jpeg_code *dc[JPEG_COMPONENTS], *ac[JPEG_COMPONENTS];
  int first, last, high, low; /* Ss, Se, Ah, Al */
  int predicted[JPEG_COMPONENTS];
  int skipped;                /* blocks whose band has ended before them: EOBRUN */
  decoder *decode;
};

static int16_t fitting(scan *s, int value) {
  if (value < INT16_MIN || value > INT16_MAX) s->bits.failed = 1;
  return (int16_t)value;
}

static int16_t next_dc(scan *s, int which) {
  int difference = edgec_jpeg_signed(&s->bits, edgec_jpeg_value(&s->bits, s->dc[which]));
  s->predicted[which] = fitting(s, s->predicted[which] + difference);
  return fitting(s, s->predicted[which] * (1 << s->low));
}

static void sequential(scan *s, int which, int16_t *block) {
  block[0] = next_dc(s, which);
  for (int k = 1; k < JPEG_BLOCK; k++) {
    int value = edgec_jpeg_value(&s->bits, s->ac[which]), zeros = value >> 4, size = value & 15;
    if (!size && zeros != 15) break; /* only zeros are left */
    k += zeros;
    if (!size) continue;
    int found = edgec_jpeg_signed(&s->bits, size);
    if (k >= JPEG_BLOCK) s->bits.failed = 1;
    else block[edgec_jpeg_zigzag[k]] = (int16_t)found;
  }
}

static void first_dc(scan *s, int which, int16_t *block) { block[0] = next_dc(s, which); }

static void refined_dc(scan *s, int which, int16_t *block) {
  (void)which;
  if (edgec_jpeg_take(&s->bits, 1)) block[0] = (int16_t)(block[0] | 1 << s->low);
}

/* How many blocks, this one included, have zeros alone from here on. */
static int band_end(scan *s, int size) { return (1 << size) + edgec_jpeg_take(&s->bits, size); }

static void first_ac(scan *s, int which, int16_t *block) {
  if (s->skipped) {
    s->skipped--;
    return;
  }
  for (int k = s->first; k <= s->last; k++) {
    int value = edgec_jpeg_value(&s->bits, s->ac[which]), zeros = value >> 4, size = value & 15;
    if (!size && zeros != 15) {
      s->skipped = band_end(s, zeros) - 1;
      return;
    }
    k += zeros;
    if (!size) continue;
    int found = edgec_jpeg_signed(&s->bits, size);
    if (k > s->last) s->bits.failed = 1;
    else block[edgec_jpeg_zigzag[k]] = fitting(s, found * (1 << s->low));
  }
}

/* Add a bit to a coefficient that is not zero, away from zero. */
static void refine(scan *s, int16_t *coefficient) {
  if (!edgec_jpeg_take(&s->bits, 1) || *coefficient & 1 << s->low) return;
  *coefficient = fitting(s, *coefficient + (*coefficient < 0 ? -(1 << s->low) : 1 << s->low));
}

/* G.1.2.3: zeros that stay zero are counted, coefficients among them get their next bit. */
static void refined_ac(scan *s, int which, int16_t *block) {
  int k = s->first;
  while (!s->skipped && k <= s->last && !s->bits.failed) {
    int value = edgec_jpeg_value(&s->bits, s->ac[which]), zeros = value >> 4, size = value & 15;
    int becomes = 0;
    if (size > 1) s->bits.failed = 1;
    else if (size) becomes = edgec_jpeg_take(&s->bits, 1) ? 1 << s->low : -(1 << s->low);
    else if (zeros != 15) {
      s->skipped = band_end(s, zeros);
      break;
    }
    for (; k <= s->last; k++) {
      int16_t *coefficient = &block[edgec_jpeg_zigzag[k]];
      if (*coefficient) refine(s, coefficient);
      else if (--zeros < 0) break;
    }
    if (becomes && k > s->last) s->bits.failed = 1;
    else if (becomes) block[edgec_jpeg_zigzag[k]] = (int16_t)becomes;
    k++;
  }
  if (!s->skipped) return;
  for (; k <= s->last; k++)
    if (block[edgec_jpeg_zigzag[k]]) refine(s, &block[edgec_jpeg_zigzag[k]]);
  s->skipped--;
}

/* Decode a block of a component: of a sequential picture to its samples, as nothing is added to it later. */
static void block(scan *s, int which, int x, int y) {
  edgec_jpeg_component *c = s->components[which];
  size_t number = (size_t)y * (size_t)c->blocks_across + (size_t)x, stride = (size_t)c->blocks_across * JPEG_SIDE;
  if (c->coefficients) {
    s->decode(s, which, c->coefficients + number * JPEG_BLOCK);
    return;
  }
  int16_t coefficients[JPEG_BLOCK] = {0};
  s->decode(s, which, coefficients);
  edgec_jpeg_inverse(coefficients, c->steps, c->samples + (size_t)y * JPEG_SIDE * stride + (size_t)x * JPEG_SIDE, stride);
}

/* A.2: one component goes block by block, several by MCUs, which hold some blocks of each. */
static void unit(scan *s, int x, int y) {
  if (s->count == 1) {
    block(s, 0, x, y);
    return;
  }
  for (int i = 0; i < s->count; i++) {
    const edgec_jpeg_component *c = s->components[i];
    for (int down = 0; down < c->down; down++)
      for (int across = 0; across < c->across; across++) block(s, i, x * c->across + across, y * c->down + down);
  }
}

static int divided_up(int value, int by) { return (value + by - 1) / by; }

/* Go to the next marker, and drop the bits before it. The marker, or -1; 0 if whole bytes are left over and it is not the
   end of the picture: then a part of the picture may be lost. */
static int next_marker(edgec_jpeg_bits *b) {
  size_t left = (size_t)b->count / 8;
  b->count = 0;
  for (; b->at + 1 < b->size; b->at++) {
    if (b->data[b->at] != 0xff) left++;
    else if (!b->data[b->at + 1]) left += 2;
    else if (b->data[b->at + 1] != 0xff) return left && b->data[b->at + 1] != JPEG_END ? 0 : b->data[b->at + 1];
  }
  return -1;
}

static int restart(scan *s, int number) {
  edgec_jpeg_bits *b = &s->bits;
  if (next_marker(b) != 0xd0 + number % 8) return -1;
  b->at += 2;
  memset(s->predicted, 0, sizeof s->predicted);
  s->skipped = 0;
  return 0;
}

static const char *units(const edgec_jpeg *jpeg, scan *s) {
  const edgec_jpeg_component *only = s->components[0];
  int width = s->count == 1 ? divided_up(only->width, JPEG_SIDE) : divided_up(jpeg->width, jpeg->across * JPEG_SIDE);
  int height = s->count == 1 ? divided_up(only->height, JPEG_SIDE) : divided_up(jpeg->height, jpeg->down * JPEG_SIDE);
  int left = jpeg->restart, restarts = 0;
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      if (jpeg->restart && !left) {
        if (restart(s, restarts++)) return "the JPEG is damaged: a restart marker is missing";
        left = jpeg->restart;
      }
      unit(s, x, y);
      left--;
      if (s->bits.failed) return "the JPEG is damaged or cut off";
    }
  return NULL;
}

/* A component keeps the quantisation steps of its first scan, whatever the file says later. */
static int has_steps(edgec_jpeg *jpeg, edgec_jpeg_component *c) {
  if (c->scanned) return 1;
  c->scanned = 1;
  if (c->table >= JPEG_TABLES || !jpeg->has_steps[c->table]) return 0;
  memcpy(c->steps, jpeg->steps[c->table], sizeof c->steps);
  return 1;
}

/* Find the components that a scan has, and their codes. */
static const char *members(edgec_jpeg *jpeg, scan *s, const uint8_t *header) {
  int blocks = 0;
  for (int i = 0; i < s->count; i++) {
    edgec_jpeg_component *c = NULL;
    for (int k = 0; k < jpeg->count; k++)
      if (jpeg->components[k].id == header[1 + 2 * i]) c = &jpeg->components[k];
    for (int k = 0; k < i; k++)
      if (s->components[k] == c) c = NULL;
    int dc = header[2 + 2 * i] >> 4, ac = header[2 + 2 * i] & 15;
    if (!c || dc >= JPEG_TABLES || ac >= JPEG_TABLES) return "the JPEG is damaged: its scan";
    if (!jpeg->progressive && c->scanned) return "the JPEG has a part of the picture twice";
    if (!has_steps(jpeg, c)) return "the JPEG has no quantisation table";
    s->components[i] = c;
    s->dc[i] = &jpeg->dc[dc];
    s->ac[i] = &jpeg->ac[ac];
    blocks += c->across * c->down;
  }
  return s->count > 1 && blocks > 10 ? "the JPEG is damaged: its scan" : NULL;
}

/* G.1.1.1: first the upper bits of coefficients, then one bit after the other; of AC coefficients one component's. */
static const char *progression(scan *s) {
  int of_dc = !s->first;
  if (s->last >= JPEG_BLOCK || (of_dc ? s->last : s->last < s->first || s->count > 1) || s->low > 13 || (s->high && s->low != s->high - 1))
    return "the JPEG is damaged: its scan";
  for (int i = 0; i < s->count; i++) {
    int8_t *known = s->components[i]->known;
    if (!of_dc && known[0] == JPEG_UNSEEN) return "the JPEG's scans are in a wrong order";
    for (int k = s->first; k <= s->last; k++) {
      if (s->high != (known[k] == JPEG_UNSEEN ? 0 : known[k])) return "the JPEG's scans are in a wrong order";
      known[k] = (int8_t)s->low;
    }
  }
  if (of_dc) s->decode = s->high ? refined_dc : first_dc;
  else s->decode = s->high ? refined_ac : first_ac;
  return NULL;
}

static int has_codes(const scan *s) {
  int needs_dc = s->decode == sequential || s->decode == first_dc;
  int needs_ac = s->decode != first_dc && s->decode != refined_dc;
  for (int i = 0; i < s->count; i++)
    if ((needs_dc && (!s->dc[i]->there || s->dc[i]->highest > 15)) || (needs_ac && !s->ac[i]->there)) return 0;
  return 1;
}

const char *edgec_jpeg_scan(edgec_jpeg *jpeg, const uint8_t *header, size_t length, const uint8_t *file, size_t size, size_t *at) {
  scan s = {.bits = {.data = file, .size = size, .at = *at}, .count = length ? header[0] : 0, .decode = sequential};
  if (s.count < 1 || s.count > jpeg->count || length != 4 + 2 * (size_t)s.count) return "the JPEG is damaged: its scan";
  const char *error = members(jpeg, &s, header);
  if (error) return error;
  if (jpeg->progressive) {
    const uint8_t *rest = header + 1 + 2 * s.count;
    s.first = rest[0], s.last = rest[1], s.high = rest[2] >> 4, s.low = rest[2] & 15;
    if ((error = progression(&s))) return error;
  }
  if (!has_codes(&s)) return "the JPEG has no Huffman table";
  error = units(jpeg, &s);
  if (!error && !next_marker(&s.bits)) error = "the JPEG is damaged: a scan has bytes too many";
  *at = s.bits.at;
  return error;
}
