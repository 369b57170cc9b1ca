/* TIFF 6.0, section 2, and EXIF 2.3, as OpenCV reads them: it takes the entries by turns and stops at one whose value
   is not inside the data. */
#include "exif.h"

enum { ORIENTATION = 0x0112, ENTRY = 12, INSIDE = 4 };

typedef struct {
  const uint8_t *data;
  size_t size;
  int little; /* whether the lower byte of a number is the first */
  int failed; /* a number lies outside */
} reader;

static uint32_t number(reader *r, size_t at, size_t bytes) {
  if (at > r->size || bytes > r->size - at) {
    r->failed = 1;
    return 0;
  }
  uint32_t value = 0;
  for (size_t i = 0; i < bytes; i++) value = value << 8 | r->data[at + (r->little ? bytes - 1 - i : i)];
  return value;
}

/* Look for what an entry refers to: a text, or so many pairs of numbers. */
static void follow(reader *r, size_t at) {
  static const struct {
    uint16_t tag, pairs; /* no pairs: a text */
  } known[] = {{0x010e, 0}, {0x010f, 0}, {0x0110, 0}, {0x0131, 0}, {0x0132, 0}, {0x8298, 0},
               {0x011a, 1}, {0x011b, 1}, {0x013e, 2}, {0x013f, 6}, {0x0211, 3}, {0x0214, 6}};
  uint32_t tag = number(r, at, 2);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (known[i].tag != tag) continue;
    size_t length = known[i].pairs ? 8u * known[i].pairs : number(r, at + 4, 4);
    size_t place = known[i].pairs || length > INSIDE ? number(r, at + 8, 4) : 8;
    if (place > r->size || length > r->size - place) r->failed = 1;
  }
}

int edgec_exif_orientation(const uint8_t *data, size_t size) {
  reader r = {data, size, size > 1 && data[0] == 'I' && data[1] == 'I', 0};
  if (number(&r, 2, 2) != 42) return 0;
  size_t at = number(&r, 4, 4);
  uint32_t entries = number(&r, at, 2);
  at += 2;
  for (; entries && !r.failed; entries--, at += ENTRY) {
    if (number(&r, at, 2) == ORIENTATION) {
      uint32_t found = number(&r, at + 8, 2);
      if (r.failed) return 0;
      return found >= 1 && found <= 8 ? (int)found : 1;
    }
    follow(&r, at);
  }
  return 0;
}
