/* The engine's C interface, and what generated code tells the runtime. C11, POSIX threads, nothing else. */
#ifndef EDGEC_H
#define EDGEC_H

#include <stddef.h>
#include <stdint.h>

/* Addresses that are no offsets into the arena. */
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

/* Generated for each network. */
extern const edgec_step edgec_steps[];
extern const int64_t edgec_step_count, edgec_arena_size, edgec_logits_offset, edgec_constants_size;
extern const int64_t edgec_height, edgec_width, edgec_channels;
extern const int64_t edgec_classes, edgec_output_pixels; /* all logits, and how many of them belong to one class */

/* How an engine file ends. All numbers are little-endian; offsets count from the start of the file. */
typedef struct {
  uint64_t program_size, library_offset, library_size, constants_offset, constants_size;
  uint64_t golden_offset, golden_count, metadata_offset, metadata_size;
  char magic[8]; /* "EDGEC\0\0\1" */
} edgec_footer;

/* Load the constants from the engine file and start `threads` threads, the caller's included.
   Returns NULL, or what went wrong. Everything an inference needs is allocated here. */
const char *edgec_open(const char *path, int threads);

/* One inference: uint8 [height][width][channels] in, float [classes] out. */
void edgec_run(const uint8_t *image, float *logits);

/* Run one step `runs` times and return nanoseconds a run; for profiles. The arena keeps what the last run left. */
double edgec_time_step(int64_t step, int runs);

void edgec_close(void);

/* Read a footer; NULL or what is wrong with the file. */
const char *edgec_read_footer(const char *path, edgec_footer *footer);

enum { EDGEC_MAX_THREADS = 64, EDGEC_OVERLAPPING = 8 }; /* with more threads `edge` does not hold */

/* Threads. */
int edgec_pool_start(int threads);
void edgec_pool_stop(void);
int edgec_pool_size(void);
/* Wake sleeping threads, and whether all would begin at once. */
void edgec_pool_wake(void);
int edgec_pool_awake(void);
/* Run `work(thread)` on all threads, and return when all have. All arrive equally often. */
void edgec_pool_run(void (*work)(int thread));
/* Inside work, a barrier in two parts: tell the others to have come so far, and wait until all others have, too. */
void edgec_pool_arrive(int thread);
void edgec_pool_meet(int thread);

#endif
