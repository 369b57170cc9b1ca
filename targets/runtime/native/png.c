/* PNG files (ISO/IEC 15948): their chunks and checksums. */
#include "png.h"
#include "exif.h"
#include "inflate.h"
#include "limits.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t signature[8] = {137, 'P', 'N', 'G', 13, 10, 26, 10};

typedef struct {
  edgec_png png;
  uint8_t *packed; /* image data */
  size_t packed_size;
  int has_palette;
  uint32_t checksums[256];
} contents;

static uint32_t big_endian(const uint8_t *b) { return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]; }

/* Annex D. */
static void prepare_checksums(uint32_t *table) {
  for (uint32_t n = 0; n < 256; n++) {
    table[n] = n;
    for (int bit = 0; bit < 8; bit++) table[n] = table[n] & 1 ? 0xedb88320u ^ (table[n] >> 1) : table[n] >> 1;
  }
}

static uint32_t checksum(const uint32_t *table, const uint8_t *data, size_t size) {
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
  if (!width || !height || width > EDGEC_PICTURE_SIDE || height > EDGEC_PICTURE_SIDE || width * height > EDGEC_PNG_PIXELS)
    return "the picture's size is out of range";
  p->width = (int)width;
  p->height = (int)height;
  p->depth = data[8];
  p->kind = data[9];
  p->samples = samples[p->kind];
  p->interlaced = data[12];
  return NULL;
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
    if (!c->png.orientation) c->png.orientation = edgec_exif_orientation(data, length); /* the first counts */
  } else if (!(kind[0] & 32)) return "the PNG file has a part of a kind that is not known";
  return NULL;
}

int edgec_is_png(const uint8_t *file, size_t size) { return size >= sizeof signature && !memcmp(file, signature, sizeof signature); }

static const char *chunks(contents *c, uint8_t *file, size_t size) {
  c->packed = file;
  prepare_checksums(c->checksums);
  for (size_t at = 8; at + 12 <= size;) {
    uint32_t length = big_endian(file + at);
    const uint8_t *kind = file + at + 4, *data = file + at + 8;
    if (length > size - at - 12) break;
    if (checksum(c->checksums, kind, (size_t)length + 4) != big_endian(data + length)) return "the PNG file is damaged: a checksum is wrong";
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

/* Whether all is black, or nearly so: as of 12 bits or fewer that are stored in 16 without scaling. */
static int is_nearly_black(const uint8_t *pixels, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (pixels[i] > 16) return 0;
  return 1;
}

const char *edgec_decode_png(uint8_t *file, size_t size, int channels, edgec_picture *picture) {
  contents c = {0};
  const char *error = chunks(&c, file, size);
  if (error) return error;
  const edgec_png *p = &c.png;
  size_t raw_size = edgec_png_raw_size(p);
  size_t pixels_size = (size_t)p->height * (size_t)p->width * (size_t)channels;
  uint8_t *raw = malloc(raw_size);
  picture->pixels = malloc(pixels_size);
  if (!raw || !picture->pixels) error = "not enough memory";
  else if (edgec_inflate(c.packed, c.packed_size, raw, raw_size) || edgec_png_pixels(p, raw, channels, picture->pixels))
    error = "the PNG file is damaged";
  else if (p->depth == 16 && is_nearly_black(picture->pixels, pixels_size))
    error = "its numbers of 16 bits are so small that all of it is black or nearly so, as where 12 bits are"
            " stored without scaling; scale them so that white is 65535";
  free(raw);
  if (error) free(picture->pixels);
  picture->height = p->orientation > 4 ? p->width : p->height;
  picture->width = p->orientation > 4 ? p->height : p->width;
  return error;
}
