/* Integers with 20 bits behind the point. BT.601 in limited range is OpenCV's conversion and in full range libjpeg's, in
   every bit; BT.709 is Recommendation ITU-R BT.709-6's, each factor rounded to 20 bits. A pixel's U and V are those of the
   sample that covers it, as in OpenCV. */
#include "frame.h"
#include "failure.h"

#include <string.h>

enum { ONE = 1 << 20, HALF = ONE / 2, TILE = 256 /* pixels */ };

typedef struct {
  int32_t black, y, v_red, u_green, v_green, u_blue;
} factors;

/* R = (y (Y - black) + v_red (V - 128)) / ONE, and so on, rounded half up. */
static const factors conversions[3][3] = {
    [EDGEC_BT601] = {[EDGEC_LIMITED_RANGE] = {16, 1220542, 1673527, -409993, -852492, 2116026},
                     [EDGEC_FULL_RANGE] = {0, ONE, 91881 * 16, -22554 * 16, -46802 * 16, 116130 * 16}},
    [EDGEC_BT709] = {[EDGEC_LIMITED_RANGE] = {16, 1220945, 1879825, -223607, -558796, 2215014},
                     [EDGEC_FULL_RANGE] = {0, ONE, 1651297, -196424, -490864, 1945738}},
};

static int is_yuv(edgec_pixels p) { return p >= EDGEC_NV12 && p <= EDGEC_UYVY; }

/* How many bytes a row of a plane has at least; 0: there is no such plane. */
static uint64_t row_bytes(const edgec_frame *f, int plane) {
  uint64_t width = (uint64_t)f->width, pairs = (width + 1) / 2;
  switch (f->pixels) {
  case EDGEC_RGB:
  case EDGEC_BGR: return plane ? 0 : 3 * width;
  case EDGEC_GRAY: return plane ? 0 : width;
  case EDGEC_RGBA:
  case EDGEC_BGRA: return plane ? 0 : 4 * width;
  case EDGEC_NV12: return plane == 0 ? width : plane == 1 ? 2 * pairs : 0;
  case EDGEC_I420: return plane == 0 ? width : pairs;
  case EDGEC_YUYV:
  case EDGEC_UYVY: return plane ? 0 : 4 * pairs;
  }
  return 0;
}

static edgec_status check_planes(const edgec_frame *f, edgec_error *error) {
  for (int plane = 0; plane < 3; plane++) {
    uint64_t bytes = row_bytes(f, plane);
    if (!bytes) continue;
    if (!f->planes[plane]) return edgec_fail(error, EDGEC_BAD_FRAME, "planes[%d] of the frame is NULL", plane);
    if (f->strides[plane] < bytes || f->strides[plane] > 1 << 30)
      return edgec_fail(error, EDGEC_BAD_FRAME, "strides[%d] of the frame is %zu; a row of it has %llu bytes", plane, f->strides[plane],
                        (unsigned long long)bytes);
  }
  return EDGEC_OK;
}

static int is_outside(int32_t begin, int32_t *count, int32_t all) {
  if (begin < 0 || begin >= all || *count < 0) return 1;
  if (!*count) *count = all - begin;
  return *count > all - begin;
}

edgec_status edgec_check_frame(edgec_frame *f, int32_t max_height, int32_t max_width, edgec_error *error) {
  if (f->pixels < EDGEC_RGB || f->pixels > EDGEC_UYVY) return edgec_fail(error, EDGEC_BAD_FRAME, "the frame's pixels are %d, which is not an edgec_pixels", (int)f->pixels);
  if (f->height < 1 || f->width < 1 || f->height > max_height || f->width > max_width)
    return edgec_fail(error, EDGEC_BAD_FRAME, "the frame is %d x %d (height x width); this context takes up to %d x %d: see max_height and max_width",
                      f->height, f->width, max_height, max_width);
  if (is_yuv(f->pixels) && (f->matrix < EDGEC_BT601 || f->matrix > EDGEC_BT709))
    return edgec_fail(error, EDGEC_BAD_FRAME, "the frame's matrix is not set; YUV needs EDGEC_BT601 or EDGEC_BT709");
  if (is_yuv(f->pixels) && (f->range < EDGEC_LIMITED_RANGE || f->range > EDGEC_FULL_RANGE))
    return edgec_fail(error, EDGEC_BAD_FRAME, "the frame's range is not set; YUV needs EDGEC_LIMITED_RANGE or EDGEC_FULL_RANGE");
  if (is_outside(f->top, &f->crop_height, f->height) || is_outside(f->left, &f->crop_width, f->width))
    return edgec_fail(error, EDGEC_BAD_FRAME, "the crop of %d x %d at row %d, column %d is not inside the frame of %d x %d", f->crop_height,
                      f->crop_width, f->top, f->left, f->height, f->width);
  return check_planes(f, error);
}

int edgec_is_ready(const edgec_frame *f, int64_t channels) { return f->pixels == (channels == 3 ? EDGEC_RGB : EDGEC_GRAY); }

/* A few pixels with their channels apart. */
typedef struct {
  uint8_t red[TILE], green[TILE], blue[TILE];
} tile;

static inline uint8_t clipped(int32_t value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

/* Take pairs of pixels, whose Y are `y_step` bytes apart and whose U and V are read every `uv_step`. Inlined with numbers. */
static inline void take_pairs(tile *restrict t, const factors *c, const uint8_t *restrict y, int y_step, const uint8_t *restrict u,
                              const uint8_t *restrict v, int uv_step, int pairs) {
  for (int i = 0; i < pairs; i++) {
    int32_t from_u = u[i * uv_step] - 128, from_v = v[i * uv_step] - 128;
    int32_t red = c->v_red * from_v + HALF, green = c->u_green * from_u + c->v_green * from_v + HALF, blue = c->u_blue * from_u + HALF;
    for (int k = 0; k < 2; k++) {
      int32_t above = y[(2 * i + k) * y_step] - c->black, light = c->y * (above > 0 ? above : 0);
      t->red[2 * i + k] = clipped((light + red) >> 20);
      t->green[2 * i + k] = clipped((light + green) >> 20);
      t->blue[2 * i + k] = clipped((light + blue) >> 20);
    }
  }
}

/* The last pixel of a row of odd width has no other one beside it. */
static void take_last(tile *t, const factors *c, uint8_t y, uint8_t u, uint8_t v, int at) {
  tile one;
  const uint8_t twice[2] = {y, y};
  take_pairs(&one, c, twice, 1, &u, &v, 1, 1);
  t->red[at] = one.red[0];
  t->green[at] = one.green[0];
  t->blue[at] = one.blue[0];
}

/* `column` is even. */
static void take_yuv(tile *t, const edgec_frame *f, int64_t row, int64_t column, int count) {
  const factors *c = &conversions[f->matrix][f->range];
  const uint8_t *line = f->planes[0] + (uint64_t)row * f->strides[0], *y = line + column, *u, *v;
  int pairs = count / 2, y_step = 1, uv_step;
  switch (f->pixels) {
  case EDGEC_NV12:
    u = f->planes[1] + (uint64_t)(row / 2) * f->strides[1] + column;
    v = u + 1;
    uv_step = 2;
    take_pairs(t, c, y, 1, u, v, 2, pairs);
    break;
  case EDGEC_I420:
    u = f->planes[1] + (uint64_t)(row / 2) * f->strides[1] + column / 2;
    v = f->planes[2] + (uint64_t)(row / 2) * f->strides[2] + column / 2;
    uv_step = 1;
    take_pairs(t, c, y, 1, u, v, 1, pairs);
    break;
  default: {
    int chroma_first = f->pixels == EDGEC_UYVY;
    y = line + 2 * column + chroma_first;
    u = line + 2 * column + !chroma_first;
    v = u + 2;
    y_step = 2;
    uv_step = 4;
    take_pairs(t, c, y, 2, u, v, 4, pairs);
  }
  }
  if (count % 2) take_last(t, c, y[(count - 1) * y_step], u[pairs * uv_step], v[pairs * uv_step], count - 1);
}

static inline void take_apart(tile *restrict t, const uint8_t *restrict from, int step, int red, int blue, int count) {
  for (int i = 0; i < count; i++) {
    t->red[i] = from[i * step + red];
    t->green[i] = from[i * step + 1];
    t->blue[i] = from[i * step + blue];
  }
}

static void take(tile *t, const edgec_frame *f, int64_t row, int64_t column, int count) {
  const uint8_t *line = f->planes[0] + (uint64_t)row * f->strides[0];
  switch (f->pixels) {
  case EDGEC_RGB: take_apart(t, line + 3 * column, 3, 0, 2, count); break;
  case EDGEC_BGR: take_apart(t, line + 3 * column, 3, 2, 0, count); break;
  case EDGEC_RGBA: take_apart(t, line + 4 * column, 4, 0, 2, count); break;
  case EDGEC_BGRA: take_apart(t, line + 4 * column, 4, 2, 0, count); break;
  case EDGEC_GRAY:
    memcpy(t->red, line + column, (size_t)count);
    memcpy(t->green, line + column, (size_t)count);
    memcpy(t->blue, line + column, (size_t)count);
    break;
  default: take_yuv(t, f, row, column, count);
  }
}

static inline void write_rgb(const tile *restrict t, uint8_t *restrict out, int count) {
  for (int i = 0; i < count; i++) {
    out[3 * i] = t->red[i];
    out[3 * i + 1] = t->green[i];
    out[3 * i + 2] = t->blue[i];
  }
}

/* OpenCV's COLOR_RGB2GRAY: BT.601's luma with 15 bits behind the point. */
static inline void write_gray(const tile *restrict t, uint8_t *restrict out, int count) {
  for (int i = 0; i < count; i++) out[i] = (uint8_t)((9798u * t->red[i] + 19235u * t->green[i] + 3735u * t->blue[i] + (1u << 14)) >> 15);
}

void edgec_convert_row(const edgec_frame *f, int64_t row, int64_t begin, int64_t end, int64_t channels, uint8_t *out) {
  tile t;
  for (int64_t column = begin; column < end; column += TILE) {
    int count = (int)(end - column < TILE ? end - column : TILE);
    take(&t, f, row, column, count);
    if (channels == 3) write_rgb(&t, out + (column - begin) * 3, count);
    else write_gray(&t, out + (column - begin), count);
  }
}
