/* What generated code tells the runtime, and how an engine file ends. C11, POSIX threads, nothing else. */
#ifndef EDGEC_ENGINE_H
#define EDGEC_ENGINE_H

#include <stddef.h>
#include <stdint.h>

/* Addresses that are not offsets into the arena. */
enum { EDGEC_IMAGE = -1, EDGEC_NOTHING = -2 };

typedef void (*edgec_kernel)(const uint8_t *x, const uint8_t *w, const uint8_t *p, const uint8_t *r, uint8_t *y,
                             int64_t begin, int64_t end);

/* Set `lead` bytes, `rows` gaps of `gap` bytes every `stride` bytes, and `trail` bytes to a repeated pattern: what is
   around the rows of an image, one gap behind each row but the last, or with gaps as long as rows all of it. */
typedef struct {
  int64_t address, lead, stride, first, gap, rows, trail_at, trail, pattern, period;
} edgec_fill;

typedef struct {
  const char *node;
  edgec_kernel kernel;
  int64_t items, piece; /* piece: how many a thread takes at a time, or 0 for its share at once */
  int64_t edge, pitch;  /* items at each end of a share that the others' next step needs, or -1: all; their bytes of y */
  int64_t x, r, y; /* arena, or an address above */
  int64_t w, p;    /* offsets into the constants */
  edgec_fill fill;
} edgec_step;

/* A network as steps. Kernels keep nothing between calls, so any number of threads may run one program. */
typedef struct {
  const edgec_step *steps;
  int64_t step_count, arena_size, logits_offset, constants_size;
  int64_t height, width, channels;
  int64_t classes, output_pixels; /* all logits, and how many of them belong to one class */
} edgec_program;

extern const edgec_program edgec_generated; /* for each network */

/* How an engine file ends. All numbers are little-endian; offsets count from the start of the file. */
typedef struct {
  uint64_t program_size, library_offset, library_size, constants_offset, constants_size;
  uint64_t golden_offset, golden_count, metadata_offset, metadata_size;
  char magic[8]; /* EDGEC_MAGIC */
} edgec_footer;

#define EDGEC_MAGIC "EDGEC\0\0\2"

/* Whether the parts that a program needs lie inside a file of `size` bytes, and fit the program. */
int edgec_footer_fits(const edgec_footer *footer, const edgec_program *program, uint64_t size);

#endif
