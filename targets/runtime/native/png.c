/* PNG (ISO/IEC 15948). Checksums are not checked: inflate and the size of the result catch damage. */
#include "png.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRAY = 0, RGB = 2, PALETTE = 3, GRAY_ALPHA = 4, RGB_ALPHA = 6, LARGEST_SIDE = 16384, LARGEST_FILE = 1 << 28 };

typedef struct {
  int height, width, kind, samples; /* samples of a pixel in the file */
  uint8_t palette[256 * 3];
  uint8_t *packed;
  size_t packed_size;
} png;

static uint32_t big_endian(const uint8_t *b) { return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]; }

static const char *header(png *p, const uint8_t *data, uint32_t size) {
  static const int samples[] = {[GRAY] = 1, [RGB] = 3, [PALETTE] = 1, [GRAY_ALPHA] = 2, [RGB_ALPHA] = 4};
  if (size != 13) return "the PNG header is damaged";
  uint32_t width = big_endian(data), height = big_endian(data + 4);
  if (!width || !height || width > LARGEST_SIDE || height > LARGEST_SIDE) return "the picture's size is out of range";
  if (data[8] != 8 || data[9] > RGB_ALPHA || data[9] == 1 || data[9] == 5) return "only PNG with 8 bits a channel can be read";
  if (data[10] || data[11] || data[12]) return "interlaced PNG cannot be read";
  p->width = (int)width;
  p->height = (int)height;
  p->kind = data[9];
  p->samples = samples[p->kind];
  return NULL;
}

/* Walk the chunks; image data is moved together at the front of the file's buffer. */
static const char *chunks(png *p, uint8_t *file, size_t size) {
  static const uint8_t signature[8] = {137, 'P', 'N', 'G', 13, 10, 26, 10};
  if (size < 8 || memcmp(file, signature, 8)) return "this is no PNG file";
  p->packed = file;
  for (size_t at = 8; at + 12 <= size;) {
    uint32_t length = big_endian(file + at);
    const uint8_t *kind = file + at + 4, *data = file + at + 8;
    if (length > size - at - 12) return "the PNG file is cut off";
    const char *error = NULL;
    if (!memcmp(kind, "IHDR", 4)) error = header(p, data, length);
    else if (!memcmp(kind, "PLTE", 4)) memcpy(p->palette, data, length < sizeof p->palette ? length : sizeof p->palette);
    else if (!memcmp(kind, "IDAT", 4)) {
      memmove(p->packed + p->packed_size, data, length);
      p->packed_size += length;
    } else if (!memcmp(kind, "IEND", 4)) return p->width && p->packed_size ? NULL : "the PNG file holds no picture";
    if (error) return error;
    at += 12 + (size_t)length;
  }
  return "the PNG file is cut off";
}

static uint8_t paeth(int a, int b, int c) {
  int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
  return (uint8_t)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

/* Undo the filters of section 9 in place; rows begin with their filter's number. */
static int unfilter(const png *p, uint8_t *raw) {
  size_t row = (size_t)p->width * (size_t)p->samples, step = (size_t)p->samples;
  for (int y = 0; y < p->height; y++) {
    uint8_t *line = raw + (size_t)y * (row + 1) + 1;
    const uint8_t *above = y ? line - row - 1 : NULL;
    int filter = line[-1];
    if (filter > 4) return -1;
    for (size_t i = 0; i < row; i++) {
      int left = i >= step ? line[i - step] : 0, up = above ? above[i] : 0, corner = above && i >= step ? above[i - step] : 0;
      int add = filter == 1 ? left : filter == 2 ? up : filter == 3 ? (left + up) / 2 : filter == 4 ? paeth(left, up, corner) : 0;
      line[i] = (uint8_t)(line[i] + add);
    }
  }
  return 0;
}

static void convert(const png *p, const uint8_t *raw, int channels, uint8_t *out) {
  for (int y = 0; y < p->height; y++) {
    const uint8_t *from = raw + (size_t)y * ((size_t)p->width * (size_t)p->samples + 1) + 1;
    for (int x = 0; x < p->width; x++, from += p->samples) {
      const uint8_t *rgb = p->kind == PALETTE ? p->palette + 3 * from[0] : from;
      int gray = p->kind == GRAY || p->kind == GRAY_ALPHA;
      for (int c = 0; c < channels; c++) {
        int luma = gray ? rgb[0] : (299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000; /* BT.601 */
        *out++ = (uint8_t)(channels == 1 ? luma : gray ? rgb[0] : rgb[c]);
      }
    }
  }
}

static const char *decode(uint8_t *file, size_t size, int channels, edgec_picture *picture) {
  png p = {0};
  const char *error = chunks(&p, file, size);
  if (error) return error;
  size_t raw_size = (size_t)p.height * ((size_t)p.width * (size_t)p.samples + 1);
  uint8_t *raw = malloc(raw_size);
  picture->pixels = malloc((size_t)p.height * (size_t)p.width * (size_t)channels);
  if (!raw || !picture->pixels) error = "not enough memory";
  else if (edgec_inflate(p.packed, p.packed_size, raw, raw_size) || unfilter(&p, raw)) error = "the PNG file is damaged";
  else convert(&p, raw, channels, picture->pixels);
  free(raw);
  if (error) free(picture->pixels);
  picture->height = p.height;
  picture->width = p.width;
  return error;
}

const char *edgec_read_png(const char *path, int channels, edgec_picture *picture) {
  FILE *file = fopen(path, "rb");
  if (!file) return "the picture cannot be opened";
  const char *error = "the picture cannot be read";
  uint8_t *data = NULL;
  long size = -1;
  if (!fseek(file, 0, SEEK_END)) size = ftell(file);
  if (size > 0 && size <= LARGEST_FILE && !fseek(file, 0, SEEK_SET) && (data = malloc((size_t)size)) &&
      fread(data, 1, (size_t)size, file) == (size_t)size)
    error = decode(data, (size_t)size, channels, picture);
  fclose(file);
  free(data);
  return error;
}
