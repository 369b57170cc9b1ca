/* PNG files (ISO/IEC 15948): their chunks and checksums, and the orientation that eXIf may say. */
#define _GNU_SOURCE
#include "png.h"
#include "inflate.h"
#include "limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ORIENTATION = 0x0112, SHORT = 3, ENTRY = 12 };

typedef struct {
  edgec_png png;
  uint8_t *packed; /* image data */
  size_t packed_size;
  int has_palette;
} contents;

static uint32_t big_endian(const uint8_t *b) { return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]; }

/* Annex D. */
static uint32_t checksum(const uint8_t *data, size_t size) {
  static uint32_t table[256];
  if (!table[1])
    for (uint32_t n = 0; n < 256; n++) {
      table[n] = n;
      for (int bit = 0; bit < 8; bit++) table[n] = table[n] & 1 ? 0xedb88320u ^ (table[n] >> 1) : table[n] >> 1;
    }
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < size; i++) crc = table[(crc ^ data[i]) & 255] ^ (crc >> 8);
  return ~crc;
}

static int depth_fits(int kind, int depth) {
  switch (kind) {
  case PNG_GRAY: return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
  case PNG_PALETTE: return depth == 1 || depth == 2 || depth == 4 || depth == 8;
  case PNG_RGB:
  case PNG_GRAY_ALPHA:
  case PNG_RGB_ALPHA: return depth == 8 || depth == 16;
  default: return 0;
  }
}

static const char *header(edgec_png *p, const uint8_t *data, uint32_t size) {
  static const int samples[] = {[PNG_GRAY] = 1, [PNG_RGB] = 3, [PNG_PALETTE] = 1, [PNG_GRAY_ALPHA] = 2, [PNG_RGB_ALPHA] = 4};
  if (size != 13 || p->width || !depth_fits(data[9], data[8]) || data[10] || data[11] || data[12] > 1)
    return "the PNG header is damaged";
  uint32_t width = big_endian(data), height = big_endian(data + 4);
  if (!width || !height || width > EDGEC_PNG_SIDE || height > EDGEC_PNG_SIDE || width * height > EDGEC_PNG_PIXELS)
    return "the picture's size is out of range";
  p->width = (int)width;
  p->height = (int)height;
  p->depth = data[8];
  p->kind = data[9];
  p->samples = samples[p->kind];
  p->interlaced = data[12];
  return NULL;
}

/* TIFF 6.0, section 2: numbers in the byte order that the first two bytes name; the first directory's entries. */
static int orientation(const uint8_t *data, uint32_t size) {
  if (size < 8) return 1;
  int little = data[0] == 'I';
#define TWO(at) (uint32_t)(little ? data[at] | data[(at) + 1] << 8 : data[at] << 8 | data[(at) + 1])
#define FOUR(at) (little ? TWO(at) | TWO((at) + 2) << 16 : TWO(at) << 16 | TWO((at) + 2))
  if (memcmp(data, little ? "II*\0" : "MM\0*", 4)) return 1;
  uint64_t at = FOUR(4);
  if (at + 2 > size) return 1;
  uint64_t entries = TWO(at);
  at += 2;
  for (; entries && at + ENTRY <= size; entries--, at += ENTRY)
    if (TWO(at) == ORIENTATION && TWO(at + 2) == SHORT) return TWO(at + 8) >= 1 && TWO(at + 8) <= 8 ? (int)TWO(at + 8) : 1;
  return 1;
#undef FOUR
#undef TWO
}

/* Take one chunk; image data is moved together at the front of the file's buffer. */
static const char *take(contents *c, const uint8_t *kind, const uint8_t *data, uint32_t length) {
  if (!memcmp(kind, "IHDR", 4)) return header(&c->png, data, length);
  if (!c->png.width) return "the PNG header is damaged";
  if (!memcmp(kind, "PLTE", 4)) {
    memcpy(c->png.palette, data, length < sizeof c->png.palette ? length : sizeof c->png.palette);
    c->has_palette = 1;
  } else if (!memcmp(kind, "IDAT", 4)) {
    memmove(c->packed + c->packed_size, data, length);
    c->packed_size += length;
  } else if (!memcmp(kind, "eXIf", 4)) {
    if (!c->png.orientation) c->png.orientation = orientation(data, length); /* the first counts */
  } else if (!(kind[0] & 32)) return "the PNG file has a part of a kind that is not known";
  return NULL;
}

static const char *chunks(contents *c, uint8_t *file, size_t size) {
  static const uint8_t signature[8] = {137, 'P', 'N', 'G', 13, 10, 26, 10};
  if (size < 8 || memcmp(file, signature, 8))
    return "this is no PNG file. Convert it to PNG, or use the bundle's ./run, which reads others too";
  c->packed = file;
  for (size_t at = 8; at + 12 <= size;) {
    uint32_t length = big_endian(file + at);
    const uint8_t *kind = file + at + 4, *data = file + at + 8;
    if (length > size - at - 12) break;
    if (checksum(kind, (size_t)length + 4) != big_endian(data + length)) return "the PNG file is damaged: a checksum is wrong";
    if (!memcmp(kind, "IEND", 4)) {
      if (c->png.kind == PNG_PALETTE && !c->has_palette) return "the PNG file has no palette";
      return c->packed_size ? NULL : "the PNG file holds no picture";
    }
    const char *error = take(c, kind, data, length);
    if (error) return error;
    at += 12 + (size_t)length;
  }
  return "the PNG file is cut off";
}

static const char *decode(uint8_t *file, size_t size, int channels, edgec_picture *picture) {
  contents c = {0};
  const char *error = chunks(&c, file, size);
  if (error) return error;
  const edgec_png *p = &c.png;
  size_t raw_size = edgec_png_raw_size(p);
  uint8_t *raw = malloc(raw_size);
  picture->pixels = malloc((size_t)p->height * (size_t)p->width * (size_t)channels);
  if (!raw || !picture->pixels) error = "not enough memory";
  else if (edgec_inflate(c.packed, c.packed_size, raw, raw_size) || edgec_png_pixels(p, raw, channels, picture->pixels))
    error = "the PNG file is damaged";
  free(raw);
  if (error) free(picture->pixels);
  picture->height = p->orientation > 4 ? p->width : p->height;
  picture->width = p->orientation > 4 ? p->height : p->width;
  return error;
}

static int read_all(int file, uint8_t *into, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t count = read(file, into + done, size - done);
    if (count <= 0) return -1;
    done += (size_t)count;
  }
  return 0;
}

const char *edgec_read_png(const char *path, int channels, edgec_picture *picture) {
  int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe must not make its reader wait */
  if (file < 0) return "the picture cannot be opened";
  const char *error = "the picture cannot be read";
  uint8_t *data = NULL;
  struct stat status;
  if (!fstat(file, &status) && S_ISREG(status.st_mode) && status.st_size > 0 && status.st_size <= EDGEC_PNG_BYTES &&
      (data = malloc((size_t)status.st_size)) && !read_all(file, data, (size_t)status.st_size))
    error = decode(data, (size_t)status.st_size, channels, picture);
  close(file);
  free(data);
  return error;
}
