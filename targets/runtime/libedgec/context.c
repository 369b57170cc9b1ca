/* Contexts: what one thread at a time runs a network with. */
#include "context.h"
#include "failure.h"
#include "frame.h"

#include <stdlib.h>
#include <string.h>

enum { BAND = 256 << 10 /* bytes of converted rows, which the second cache holds */, LARGEST_SIDE = 16384 };

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* The bytes of converted rows that one row of the input needs: at most two rows of blocks. A block has as many rows as the
   frame has for one row of the input; with "pad" and "letterbox" the narrower side may be rounded to a half of that. */
static int64_t largest_band(const edgec_fitting *f, const edgec_context_options *o) {
  int64_t block = larger(o->max_height / f->height, 2 * (o->max_width / f->width)) + 2;
  return larger(BAND, 2 * block * (o->max_width + 2) * f->channels);
}

static int64_t largest_scratch(const edgec_fitting *f, const edgec_context_options *o) {
  edgec_scaling s = {.height = o->max_height, .width = o->max_width, .channels = f->channels, .to_height = 1, .to_width = 1,
                     .rows = f->height, .columns = f->width};
  return edgec_resize_scratch(&s);
}

/* Memory whose pages are mapped now, so that no run waits for a page. */
static uint8_t *touched(int64_t bytes) {
  uint8_t *memory = edgec_allocate((size_t)bytes);
  if (memory) memset(memory, 0, (size_t)bytes);
  return memory;
}

static edgec_status read_options(const edgec_context_options *options, edgec_context_options *o, edgec_error *error) {
  *o = (edgec_context_options){.size = sizeof *o};
  if (options && options->size < sizeof *o) return edgec_fail(error, EDGEC_BAD_ARGUMENT, "the size of edgec_context_options is not set");
  if (options) *o = *options;
  if (!o->threads) o->threads = 1;
  if (!o->max_height) o->max_height = 2160;
  if (!o->max_width) o->max_width = 3840;
  if (o->threads < 1 || o->threads > 64) return edgec_fail(error, EDGEC_BAD_ARGUMENT, "threads is %d; from 1 to 64 are allowed", o->threads);
  if (o->max_height < 1 || o->max_width < 1 || o->max_height > LARGEST_SIDE || o->max_width > LARGEST_SIDE)
    return edgec_fail(error, EDGEC_BAD_ARGUMENT, "max_height and max_width are %d and %d; up to %d are allowed", o->max_height, o->max_width, LARGEST_SIDE);
  return EDGEC_OK;
}

edgec_status edgec_context_new(const edgec_network *network, const edgec_context_options *options, edgec_context **context, edgec_error *error) {
  edgec_context_options o;
  if (context) *context = NULL;
  if (!network || !context) return edgec_fail(error, EDGEC_BAD_ARGUMENT, "NULL was given for the network, or where to put the context");
  edgec_status status = read_options(options, &o, error);
  if (status) return status;
  const edgec_program *p = network->code.program;
  const edgec_fitting *f = &network->manifest.fitting;
  edgec_context *c = calloc(1, sizeof *c);
  if (!c) return edgec_fail(error, EDGEC_NO_MEMORY, "not enough memory for a context");
  c->network = network;
  c->limits = o;
  c->band = touched(largest_band(f, &o));
  c->scratch = touched(largest_scratch(f, &o));
  c->pixels = touched(p->height * p->width * p->channels);
  int enough = c->band && c->scratch && c->pixels;
  if (enough) c->executor = edgec_executor_start(p, network->constants, o.threads);
  if (!c->executor) {
    edgec_context_free(c);
    return edgec_fail(error, enough ? EDGEC_SYSTEM : EDGEC_NO_MEMORY, "not enough memory for a context, or its threads cannot be started");
  }
  *context = c;
  return edgec_succeed(error);
}

void edgec_context_free(edgec_context *c) {
  if (!c) return;
  edgec_executor_stop(c->executor);
  free(c->band);
  free(c->scratch);
  free(c->pixels);
  free(c);
}

edgec_status edgec_run(edgec_context *c, const uint8_t *pixels, float *logits) {
  if (!c || !pixels || !logits) return EDGEC_BAD_ARGUMENT;
  edgec_executor_run(c->executor, pixels, logits);
  return EDGEC_OK;
}

/* Scale rows [begin, end) of the placed part of the input out of rows that are converted for them. */
static void prepare_rows(edgec_context *c, const edgec_frame *f, const edgec_placement *at, int64_t begin, int64_t end, uint8_t *out) {
  edgec_scaling s = at->scaling;
  s.top += begin;
  s.rows = end - begin;
  edgec_reads r = edgec_resize_reads(&s);
  int64_t above = f->top + at->top, before = f->left + at->left; /* from the frame to the part that is scaled */
  int64_t first = (before + r.left) / 2 * 2, last = (before + r.right + 1) / 2 * 2;
  if (last > f->width) last = f->width;
  s.stride = (last - first) * s.channels;
  s.from_row = r.top;
  s.from_column = first - before;
  for (int64_t row = r.top; row < r.bottom; row++)
    edgec_convert_row(f, above + row, first, last, s.channels, c->band + (row - r.top) * s.stride);
  edgec_resize(&s, c->band, c->scratch, out, c->network->manifest.fitting.width * s.channels);
}

/* How many rows of the input can be made at a time, from `begin` on, so that what is converted for them fits the band. */
static int64_t rows_that_fit(const edgec_placement *at, int64_t begin) {
  edgec_scaling s = at->scaling;
  int64_t rows = s.rows - begin;
  s.top += begin;
  for (;; rows = (rows + 1) / 2) {
    s.rows = rows;
    edgec_reads r = edgec_resize_reads(&s);
    if (rows == 1 || (r.bottom - r.top) * (r.right - r.left + 2) * s.channels <= BAND) return rows;
  }
}

edgec_status edgec_prepare(edgec_context *c, const edgec_frame *frame, uint8_t *pixels, edgec_error *error) {
  if (!c || !frame || !pixels) return edgec_fail(error, EDGEC_BAD_ARGUMENT, "NULL was given for the context, the frame or its pixels");
  edgec_frame f = *frame;
  edgec_status status = edgec_check_frame(&f, c->limits.max_height, c->limits.max_width, error);
  if (status) return status;
  const edgec_fitting *how = &c->network->manifest.fitting;
  edgec_placement at = edgec_place(how, f.crop_height, f.crop_width);
  edgec_set_border(how, &at, pixels);
  int64_t pitch = how->width * how->channels;
  uint8_t *out = pixels + at.to_top * pitch + at.to_left * how->channels;
  if (edgec_is_ready(&f, how->channels)) {
    at.scaling.stride = (int64_t)f.strides[0];
    const uint8_t *picture = f.planes[0] + (f.top + at.top) * at.scaling.stride + (f.left + at.left) * how->channels;
    edgec_resize(&at.scaling, picture, c->scratch, out, pitch);
    return edgec_succeed(error);
  }
  for (int64_t row = 0, rows; row < at.scaling.rows; row += rows) {
    rows = rows_that_fit(&at, row);
    prepare_rows(c, &f, &at, row, row + rows, out + row * pitch);
  }
  return edgec_succeed(error);
}

edgec_status edgec_run_frame(edgec_context *c, const edgec_frame *frame, float *logits, edgec_error *error) {
  if (!c || !logits) return edgec_fail(error, EDGEC_BAD_ARGUMENT, "NULL was given for the context or the logits");
  edgec_status status = edgec_prepare(c, frame, c->pixels, error);
  if (!status) edgec_executor_run(c->executor, c->pixels, logits);
  return status;
}
