/* JPEG files (ITU-T T.81, annex B): their segments, and the memory that decoding takes. */
#include "jpeg.h"
#include "exif.h"
#include "jpeg_parts.h"
#include "limits.h"

#include <stdlib.h>
#include <string.h>

enum { SOF0 = 0xc0, SOF2 = 0xc2, DHT = 0xc4, SOF15 = 0xcf, RST0 = 0xd0, SOI = 0xd8, SOS = 0xda, DQT = 0xdb, DNL = 0xdc, DRI = 0xdd,
       APP0 = 0xe0, APP1 = 0xe1, APP14 = 0xee, APP15 = 0xef, COM = 0xfe, TEM = 0x01 };

static const char damaged[] = "the JPEG is damaged", cut_off[] = "the JPEG is cut off", no_memory[] = "not enough memory";

int edgec_is_jpeg(const uint8_t *file, size_t size) { return size > 2 && file[0] == 0xff && file[1] == SOI && file[2] == 0xff; }

static int two(const uint8_t *b) { return b[0] << 8 | b[1]; }

static const char *quantisation(edgec_jpeg *j, const uint8_t *data, size_t length) {
  while (length) {
    int table = data[0] & 15, bytes = data[0] >> 4 ? 2 : 1;
    size_t size = 1 + (size_t)bytes * JPEG_BLOCK;
    if (table >= JPEG_TABLES || length < size) return damaged;
    for (int k = 0; k < JPEG_BLOCK; k++)
      j->steps[table][edgec_jpeg_zigzag[k]] = (uint16_t)(bytes == 2 ? two(data + 1 + 2 * k) : data[1 + k]);
    j->has_steps[table] = 1;
    data += size;
    length -= size;
  }
  return NULL;
}

static const char *codes(edgec_jpeg *j, const uint8_t *data, size_t length) {
  while (length) {
    if (length < 17) return damaged;
    size_t values = 0;
    for (int i = 1; i <= JPEG_LONGEST; i++) values += data[i];
    int kind = data[0] >> 4, table = data[0] & 15;
    if (kind > 1 || table >= JPEG_TABLES || values > 256 || length < 17 + values) return damaged;
    if (edgec_jpeg_make_code(kind ? &j->ac[table] : &j->dc[table], data + 1, data + 17)) return damaged;
    data += 17 + values;
    length -= 17 + values;
  }
  return NULL;
}

static int divided_up(int value, int by) { return (value + by - 1) / by; }

static const char *component(edgec_jpeg *j, edgec_jpeg_component *c, const uint8_t *data) {
  c->id = data[0], c->across = data[1] >> 4, c->down = data[1] & 15, c->table = data[2];
  if (c->across < 1 || c->across > 4 || c->down < 1 || c->down > 4) return damaged;
  for (edgec_jpeg_component *other = j->components; other < c; other++)
    if (other->id == c->id) return damaged;
  memset(c->known, JPEG_UNSEEN, sizeof c->known);
  if (c->across > j->across) j->across = c->across;
  if (c->down > j->down) j->down = c->down;
  return NULL;
}

/* How large the components are, once the greatest sampling is known. */
static void layout(edgec_jpeg *j) {
  for (int i = 0; i < j->count; i++) {
    edgec_jpeg_component *c = &j->components[i];
    c->width = divided_up(j->width * c->across, j->across);
    c->height = divided_up(j->height * c->down, j->down);
    c->blocks_across = divided_up(j->width, j->across * JPEG_SIDE) * c->across;
    c->blocks_down = divided_up(j->height, j->down * JPEG_SIDE) * c->down;
  }
}

static const char *frame(edgec_jpeg *j, int marker, const uint8_t *data, size_t length) {
  if (marker > SOF2) return "this kind of JPEG (lossless, hierarchical or with arithmetic coding) is not read";
  if (j->count || length < 6 || length != 6 + 3 * (size_t)data[5]) return damaged;
  if (data[0] != 8) return "a JPEG with more than 8 bits is not read";
  if (data[5] != 1 && data[5] != 3 && data[5] != 4) return "the JPEG's number of colours is not known";
  j->height = two(data + 1), j->width = two(data + 3), j->count = data[5], j->progressive = marker == SOF2;
  if (!j->height || !j->width || j->height > EDGEC_PICTURE_SIDE || j->width > EDGEC_PICTURE_SIDE || j->height * j->width > EDGEC_JPEG_PIXELS)
    return "the picture's size is out of range";
  for (int i = 0; i < j->count; i++) {
    const char *error = component(j, &j->components[i], data + 6 + 3 * i);
    if (error) return error;
  }
  layout(j);
  return NULL;
}

static void application(edgec_jpeg *j, int marker, const uint8_t *data, size_t length) {
  if (marker == APP0 && length >= 14 && !memcmp(data, "JFIF", 5)) j->has_jfif = 1;
  if (marker == APP14 && length >= 12 && !memcmp(data, "Adobe", 5)) j->adobe = data[11];
  if (marker == APP1 && length > 6 && !memcmp(data, "Exif\0", 6) && !j->orientation) /* the first that gives one counts */
    j->orientation = edgec_exif_orientation(data + 6, length - 6);
}

/* What the components mean, as libjpeg guesses it: the markers first, then the components' names. */
static edgec_jpeg_colors colors(const edgec_jpeg *j) {
  const edgec_jpeg_component *c = j->components;
  if (j->count == 1) return JPEG_GRAY;
  if (j->count == 4) return j->adobe == -1 || !j->adobe ? JPEG_CMYK : JPEG_YCCK;
  if (j->has_jfif) return JPEG_YCC;
  if (j->adobe != -1) return j->adobe ? JPEG_YCC : JPEG_RGB;
  return c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B' ? JPEG_RGB : JPEG_YCC;
}

/* What its pixels are made of: gray ones of Y alone, whatever the others are. */
static const char *shown(edgec_jpeg *j, int channels) {
  j->colors = colors(j);
  j->shown = channels == 1 && j->colors == JPEG_YCC ? 1 : j->count;
  for (int i = 0; i < j->shown; i++)
    if (j->across % j->components[i].across || j->down % j->components[i].down)
      return "the JPEG's samples are not a whole number of pixels apart";
  return NULL;
}

/* Take the memory for all samples and pixels, and nothing later. */
static const char *memory(edgec_jpeg *j, int channels, edgec_picture *picture) {
  size_t pixels = (size_t)j->height * (size_t)j->width * (size_t)channels, needed = pixels;
  for (int i = 0; i < j->count; i++) {
    size_t samples = (size_t)j->components[i].blocks_across * (size_t)j->components[i].blocks_down * JPEG_BLOCK;
    needed += samples * (j->progressive ? 1 + sizeof(int16_t) : 1);
  }
  if (needed > EDGEC_JPEG_MEMORY) return "the picture takes too much memory to decode";
  for (int i = 0; i < j->count; i++) {
    edgec_jpeg_component *c = &j->components[i];
    size_t samples = (size_t)c->blocks_across * (size_t)c->blocks_down * JPEG_BLOCK;
    if (!(c->samples = malloc(samples)) || (j->progressive && !(c->coefficients = calloc(samples, sizeof(int16_t))))) return no_memory;
  }
  return (picture->pixels = malloc(pixels)) ? NULL : no_memory;
}

static const char *scan(edgec_jpeg *j, const uint8_t *data, size_t length, const uint8_t *file, size_t size, size_t *at, int channels,
                        edgec_picture *picture) {
  if (!j->count) return damaged;
  if (!j->scans++) {
    const char *error = shown(j, channels);
    if (error || (error = memory(j, channels, picture))) return error;
  }
  if (j->scans > EDGEC_JPEG_SCANS) return "the JPEG has too many scans";
  return edgec_jpeg_scan(j, data, length, file, size, at);
}

static int is_skipped(int marker) { return (marker >= APP0 && marker <= APP15) || marker == COM || marker == DNL; }

static const char *segment(edgec_jpeg *j, int marker, const uint8_t *data, size_t length) {
  if (marker == DHT) return codes(j, data, length);
  if (marker == DQT) return quantisation(j, data, length);
  if (marker >= SOF0 && marker <= SOF15) return frame(j, marker, data, length);
  if (marker == DRI) {
    if (length != 2) return damaged;
    j->restart = two(data);
    return NULL;
  }
  if (!is_skipped(marker)) return damaged;
  if (!j->scans) application(j, marker, data, length);
  return NULL;
}

/* Follow the segments to the end marker; phones append films to pictures. */
static const char *segments(edgec_jpeg *j, const uint8_t *file, size_t size, int channels, edgec_picture *picture) {
  for (size_t at = 2; at + 1 < size;) {
    int marker = file[at + 1];
    if (file[at] != 0xff || !marker || marker == 0xff) {
      at++; /* surplus bytes do no harm */
      continue;
    }
    at += 2;
    if (marker == JPEG_END) return NULL;
    if ((marker >= RST0 && marker < SOI) || marker == TEM) continue;
    size_t length = at + 2 <= size ? (size_t)two(file + at) : 0;
    if (length < 2 || length > size - at) return at + length > size ? cut_off : damaged;
    const uint8_t *data = file + at + 2;
    at += length;
    const char *error = marker == SOS ? scan(j, data, length - 2, file, size, &at, channels, picture) : segment(j, marker, data, length - 2);
    if (error) return error;
  }
  return cut_off;
}

/* Whether every part of the picture came. Where the first ten coefficients are not known to their last bit, OpenCV's decoder
   would smooth the picture by guesses. */
static int is_complete(const edgec_jpeg *j) {
  for (int i = 0; i < j->count; i++) {
    const edgec_jpeg_component *c = &j->components[i];
    if (!c->scanned) return 0;
    for (int k = 0; j->progressive && k < 10; k++)
      if (c->known[k]) return 0;
  }
  return j->count > 0;
}

static void transform(const edgec_jpeg_component *c) {
  size_t stride = (size_t)c->blocks_across * JPEG_SIDE;
  for (size_t y = 0; y < (size_t)c->blocks_down; y++)
    for (size_t x = 0; x < (size_t)c->blocks_across; x++)
      edgec_jpeg_inverse(c->coefficients + (y * (size_t)c->blocks_across + x) * JPEG_BLOCK, c->steps,
                         c->samples + y * JPEG_SIDE * stride + x * JPEG_SIDE, stride);
}

static const char *finish(edgec_jpeg *j, int channels, edgec_picture *picture) {
  if (!is_complete(j)) return "the JPEG is not complete";
  uint8_t *rows = malloc(JPEG_COMPONENTS * ((size_t)j->width + 8));
  if (!rows) return no_memory;
  for (int i = 0; j->progressive && i < j->count; i++) transform(&j->components[i]);
  edgec_jpeg_pixels(j, channels, rows, picture->pixels);
  free(rows);
  picture->height = j->orientation > 4 ? j->width : j->height;
  picture->width = j->orientation > 4 ? j->height : j->width;
  return NULL;
}

const char *edgec_decode_jpeg(const uint8_t *file, size_t size, int channels, edgec_picture *picture) {
  edgec_jpeg *j = calloc(1, sizeof *j);
  if (!j) return no_memory;
  picture->pixels = NULL;
  j->adobe = -1;
  j->across = j->down = 1;
  edgec_jpeg_usual_codes(j->dc, j->ac);
  const char *error = segments(j, file, size, channels, picture);
  if (!error) error = finish(j, channels, picture);
  if (error) {
    free(picture->pixels);
    picture->pixels = NULL;
  }
  for (int i = 0; i < j->count; i++) {
    free(j->components[i].samples);
    free(j->components[i].coefficients);
  }
  free(j);
  return error;
}
