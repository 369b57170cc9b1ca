#include "manifest.h"
#include "failure.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_CLASSES = 1 << 20, LARGEST_SIDE = 1 << 15 };

int edgec_read_fitting(edgec_json from, edgec_fitting *f) {
  static const char *const kinds[] = {[FIT_PAD] = "pad", [FIT_LETTERBOX] = "letterbox", [FIT_CROP] = "crop", [FIT_STRETCH] = "stretch"};
  edgec_json kind = edgec_json_member(from, "fit");
  char text[16];
  *f = (edgec_fitting){.fit = -1};
  if (edgec_json_integer(edgec_json_member(from, "height"), 1, LARGEST_SIDE, &f->height) ||
      edgec_json_integer(edgec_json_member(from, "width"), 1, LARGEST_SIDE, &f->width) ||
      edgec_json_integer(edgec_json_member(from, "channels"), 1, 3, &f->channels) || f->channels == 2 ||
      edgec_json_integer(edgec_json_member(from, "resize"), 0, LARGEST_SIDE, &f->resize) || !edgec_json_length(kind) ||
      edgec_json_length(kind) >= sizeof text)
    return -1;
  edgec_json_text(kind, text);
  for (int i = 0; i < 4; i++)
    if (!strcmp(text, kinds[i])) f->fit = i;
  if (f->fit < 0 || (f->fit == FIT_CROP && f->resize && f->resize < (f->height > f->width ? f->height : f->width))) return -1;
  edgec_json border = edgec_json_member(from, "border");
  int64_t value = 0, count = 0;
  for (edgec_json item = edgec_json_first(border); item.at; item = edgec_json_next(item), count++) {
    if (count == f->channels || edgec_json_integer(item, 0, 255, &value)) return -1;
    f->border[count] = (uint8_t)value;
  }
  if (count == 1) memset(f->border, (int)value, sizeof f->border);
  return border.at && count != 1 && count != f->channels ? -1 : 0;
}

static int32_t count_classes(edgec_json classes) {
  int32_t count = 0;
  for (edgec_json item = edgec_json_first(classes); item.at; item = edgec_json_next(item))
    if (!edgec_json_length(item) || ++count > MOST_CLASSES) return 0;
  return count;
}

static const char *keep(edgec_json text, char **free_part) {
  char *here = *free_part;
  *free_part += edgec_json_text(text, here) + 1;
  return here;
}

static int is_text(edgec_json value, const char *wanted) {
  char text[32];
  size_t length = edgec_json_length(value);
  return length && length < sizeof text && edgec_json_text(value, text) == strlen(wanted) && !strcmp(text, wanted);
}

static int read_pixels(edgec_json pixels, edgec_manifest *m) {
  m->output_height = m->output_width = 1;
  if (!pixels.at || edgec_json_is_null(pixels)) return 0;
  edgec_json height = edgec_json_first(pixels);
  if (!height.at || edgec_json_integer(height, 1, LARGEST_SIDE, &m->output_height)) return -1;
  edgec_json width = edgec_json_next(height);
  return !width.at || edgec_json_integer(width, 1, LARGEST_SIDE, &m->output_width) || edgec_json_next(width).at ? -1 : 0;
}

/* Copy the strings, which takes no more than the text of the manifest, and an address for each class. */
static int read_strings(edgec_json all, size_t text_size, edgec_manifest *m) {
  edgec_json classes = edgec_json_member(all, "classes"), files = edgec_json_member(all, "files");
  edgec_json model = edgec_json_member(all, "model"), target = edgec_json_member(all, "target"), engine = edgec_json_member(all, "engine");
  if (read_pixels(edgec_json_member(all, "pixels"), m)) return -1;
  m->class_count = count_classes(classes);
  if (!m->class_count || !edgec_json_length(model) || !edgec_json_length(target) || !edgec_json_length(engine)) return -1;
  m->memory = malloc((size_t)m->class_count * sizeof *m->classes + text_size + 1);
  if (!m->memory) return -2;
  m->classes = (const char **)(void *)m->memory;
  char *free_part = m->memory + (size_t)m->class_count * sizeof *m->classes;
  m->model = keep(model, &free_part);
  m->target = keep(target, &free_part);
  m->engine = keep(engine, &free_part);
  int32_t n = 0;
  for (edgec_json item = edgec_json_first(classes); item.at; item = edgec_json_next(item)) m->classes[n++] = keep(item, &free_part);
  edgec_json digest = edgec_json_member(files, m->engine);
  if (!edgec_json_length(digest)) return -1;
  m->engine_sha256 = keep(digest, &free_part);
  return strlen(m->engine_sha256) == 64 ? 0 : -1;
}

edgec_status edgec_read_manifest(edgec_part part, edgec_manifest *m, edgec_error *error) {
  int64_t version;
  *m = (edgec_manifest){0};
  char *text = malloc(part.size + 1);
  if (!text) return edgec_fail(error, EDGEC_NO_MEMORY, "not enough memory for the manifest");
  memcpy(text, part.bytes, part.size);
  text[part.size] = 0;
  edgec_json all = edgec_json_parse(text, part.size), state = edgec_json_member(all, "state");
  edgec_status status = EDGEC_OK;
  if (!is_text(edgec_json_member(all, "format"), "edgec-bundle") || edgec_json_integer(edgec_json_member(all, "version"), 1, 1, &version))
    status = edgec_fail(error, EDGEC_NO_BUNDLE, "manifest.json is not of a bundle of version 1");
  else if (!is_text(edgec_json_member(all, "runner"), "native_runner") || (state.at && !is_text(state, "built")))
    status = edgec_fail(error, EDGEC_NO_BUNDLE, "the bundle's engine is not for CPUs: libedgec runs those of `host` and the ARM boards");
  else if (edgec_read_fitting(edgec_json_member(all, "preprocessing"), &m->fitting))
    status = edgec_fail(error, EDGEC_NO_BUNDLE, "manifest.json has a preprocessing that this version of libedgec does not know");
  else {
    int failed = read_strings(all, part.size, m);
    if (failed == -2) status = edgec_fail(error, EDGEC_NO_MEMORY, "not enough memory for the manifest");
    else if (failed) status = edgec_fail(error, EDGEC_NO_BUNDLE, "manifest.json lacks classes, an engine or its sha256, or its pixels are not a size");
  }
  free(text);
  if (status) {
    free(m->memory);
    m->memory = NULL;
  }
  return status;
}
