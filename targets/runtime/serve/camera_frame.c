#include "camera_frame.h"
#include "parameters.h"

enum { LARGEST_SIDE = 16384, LONGEST_ROW = 1 << 20 };

static int is_planar(edgec_pixels pixels) { return pixels == EDGEC_NV12 || pixels == EDGEC_I420; }

/* Bytes of a row of the first plane, and of the others. */
static int64_t row_bytes(const edgec_frame *f, int plane) {
  static const uint8_t of_pixel[] = {0, 3, 3, 1, 4, 4, 1, 1, 2, 2};
  int64_t pairs = ((int64_t)f->width + 1) / 2;
  if (plane) return f->pixels == EDGEC_NV12 ? 2 * pairs : pairs;
  return f->pixels == EDGEC_YUYV || f->pixels == EDGEC_UYVY ? 4 * pairs : (int64_t)f->width * of_pixel[f->pixels];
}

static const char *read_strides(edgec_json told, edgec_frame *f) {
  int64_t first = row_bytes(f, 0), other = row_bytes(f, 1);
  if (read_integer(told, "stride", first, LONGEST_ROW, &first)) return "the parameter stride is not from the bytes of a row to 1048576";
  f->strides[0] = (size_t)first;
  if (!is_planar(f->pixels)) return edgec_json_member(told, "chroma_stride").at ? "only NV12 and I420 have a chroma_stride" : NULL;
  if (read_integer(told, "chroma_stride", other, LONGEST_ROW, &other))
    return "the parameter chroma_stride is not from the bytes of a row of U or V to 1048576";
  f->strides[1] = f->strides[2] = (size_t)other;
  return NULL;
}

/* libedgec checks that the part lies inside the frame. */
static const char *read_crop(edgec_json told, edgec_frame *f) {
  static const char *const names[] = {"top", "left", "crop_height", "crop_width"};
  int32_t *const into[] = {&f->top, &f->left, &f->crop_height, &f->crop_width};
  for (int i = 0; i < 4; i++) {
    int64_t value = 0;
    if (read_integer(told, names[i], 0, LARGEST_SIDE, &value)) return "the parameters top, left, crop_height and crop_width are numbers from 0 to 16384";
    *into[i] = (int32_t)value;
  }
  return NULL;
}

const char *frame_read(edgec_json told, edgec_frame *f) {
  static const char *const pixels[] = {"RGB", "BGR", "GRAY", "RGBA", "BGRA", "NV12", "I420", "YUYV", "UYVY"};
  static const char *const matrices[] = {"BT601", "BT709"}, *const ranges[] = {"LIMITED", "FULL"};
  int64_t height = 0, width = 0;
  f->pixels = (edgec_pixels)which_word(edgec_json_member(told, "pixels"), pixels, 9);
  f->matrix = (edgec_matrix)which_word(edgec_json_member(told, "matrix"), matrices, 2);
  f->range = (edgec_range)which_word(edgec_json_member(told, "range"), ranges, 2);
  if (!f->pixels) return "the request's parameter pixels is none of RGB, BGR, GRAY, RGBA, BGRA, NV12, I420, YUYV and UYVY";
  if (f->pixels >= EDGEC_NV12 && (!f->matrix || !f->range)) return "YUV needs the parameters matrix (BT601 or BT709) and range (LIMITED or FULL)";
  if (read_integer(told, "height", 1, LARGEST_SIDE, &height) || read_integer(told, "width", 1, LARGEST_SIDE, &width) || !height || !width)
    return "the parameters height and width are not sizes from 1 to 16384";
  f->height = (int32_t)height;
  f->width = (int32_t)width;
  const char *wrong = read_strides(told, f);
  return wrong ? wrong : read_crop(told, f);
}

int64_t frame_lay_out(edgec_frame *f, const uint8_t *at) {
  int64_t size = (int64_t)f->strides[0] * f->height, rows = ((int64_t)f->height + 1) / 2;
  int planes = f->pixels == EDGEC_NV12 ? 2 : f->pixels == EDGEC_I420 ? 3 : 1;
  f->planes[0] = at;
  for (int i = 1; i < planes; i++) {
    f->planes[i] = at ? at + size : NULL;
    size += (int64_t)f->strides[i] * rows;
  }
  return size;
}
