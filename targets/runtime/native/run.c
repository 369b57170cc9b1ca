/* Loading an engine and running its steps in order. */
#define _GNU_SOURCE
#include "edgec.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20, MOSTLY = HUGE_PAGE / 4 * 3, SELDOM = 500000 /* nanoseconds between images */ };

static uint8_t *arena, *constants;
static const uint8_t *image;

static uint8_t *allocate(size_t bytes) {
  size_t rounded = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  if (bytes < HUGE_PAGE / 2) return aligned_alloc(64, (bytes + 63) / 64 * 64);
  uint8_t *memory = aligned_alloc(HUGE_PAGE, rounded);
  size_t huge = (bytes + HUGE_PAGE - MOSTLY) / HUGE_PAGE * HUGE_PAGE; /* what is mostly empty is no huge page */
  if (memory) madvise(memory, huge, MADV_HUGEPAGE); /* fewer TLB misses; no harm where it is refused */
  if (memory) madvise(memory + huge, rounded - huge, MADV_NOHUGEPAGE);
  return memory;
}

static int read_at(int file, void *into, uint64_t bytes, uint64_t offset) {
  for (uint64_t done = 0; done < bytes;) {
    ssize_t count = pread(file, (char *)into + done, bytes - done, (off_t)(offset + done));
    if (count <= 0) return -1;
    done += (uint64_t)count;
  }
  return 0;
}

static int inside(uint64_t offset, uint64_t bytes, uint64_t size) { return offset <= size && bytes <= size - offset; }

const char *edgec_read_footer(const char *path, edgec_footer *footer) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return "the engine file cannot be opened";
  struct stat status;
  const char *error = NULL;
  if (fstat(file, &status) || status.st_size < (off_t)sizeof *footer ||
      read_at(file, footer, sizeof *footer, (uint64_t)status.st_size - sizeof *footer))
    error = "the engine file is too short";
  else if (memcmp(footer->magic, "EDGEC\0\0\1", 8))
    error = "the file is no edgec engine of this version, or it was cut off";
  else {
    uint64_t size = (uint64_t)status.st_size, example = (uint64_t)(edgec_height * edgec_width * edgec_channels + 4 * edgec_classes);
    if (footer->constants_size != (uint64_t)edgec_constants_size ||
        !inside(footer->constants_offset, footer->constants_size, size) || footer->golden_count > 1024 ||
        !inside(footer->golden_offset, footer->golden_count * example, size))
      error = "the engine file is damaged";
  }
  close(file);
  return error;
}

const char *edgec_open(const char *path, int threads) {
  edgec_footer footer;
  const char *error = edgec_read_footer(path, &footer);
  if (error) return error;
  edgec_close();
  arena = allocate((size_t)edgec_arena_size);
  constants = allocate((size_t)edgec_constants_size);
  if (!arena || !constants) return "not enough memory";
  memset(arena, 0, (size_t)edgec_arena_size); /* touch every page now, not in the first inference */
  int file = open(path, O_RDONLY | O_CLOEXEC);
  int failed = file < 0 || read_at(file, constants, footer.constants_size, footer.constants_offset);
  if (file >= 0) close(file);
  if (failed) return "the engine file cannot be read";
  if (edgec_pool_start(threads)) return "the threads cannot be started";
  return NULL;
}

void edgec_close(void) {
  edgec_pool_stop();
  free(arena);
  free(constants);
  arena = constants = NULL;
}

typedef uint8_t sixteen __attribute__((vector_size(16), aligned(1)));

static void repeat(uint8_t *into, int64_t bytes, const uint8_t *pattern, int64_t period) {
  if (period > 1 || bytes < 16) {
    for (int64_t i = 0; i < bytes; i += period) memcpy(into + i, pattern, (size_t)period);
    return;
  }
  sixteen all = (sixteen){0} + pattern[0];
#pragma GCC unroll 4
  for (int64_t i = 0; i < bytes - 16; i += 16) *(volatile sixteen *)(into + i) = all; /* no call of memset for a few */
  *(volatile sixteen *)(into + bytes - 16) = all;
}

/* Fill what belongs to the items from `begin` to `end`. */
static void fill(const edgec_step *s, int64_t begin, int64_t end) {
  const edgec_fill *f = &s->fill;
  const uint8_t *pattern = constants + f->pattern;
  uint8_t *base = arena + f->address;
  if (!f->period || begin == end) return;
  if (begin == 0) repeat(base, f->lead, pattern, f->period);
  int64_t after = end == s->items ? f->rows : (f->rows + 1) * end / s->items;
  for (int64_t row = (f->rows + 1) * begin / s->items; row < after; row++)
    repeat(base + f->first + row * f->stride, f->gap, pattern, f->period);
  if (end == s->items) repeat(base + f->trail_at, f->trail, pattern, f->period);
}

static uint8_t *resolve(int64_t address) {
  switch (address) {
  case EDGEC_IMAGE: return (uint8_t *)image;
  case EDGEC_NOTHING: return NULL;
  default: return arena + address;
  }
}

static void run_items(const edgec_step *s, int64_t begin, int64_t end) {
  if (begin == end) return;
  s->kernel(resolve(s->x), constants + s->w, constants + s->p, resolve(s->r), resolve(s->y), begin, end);
}

static void run_step(const edgec_step *s) {
  fill(s, 0, s->items);
  run_items(s, 0, s->items);
}

/* Each thread's next item of a step and of the one after it. */
static struct { _Alignas(128) _Atomic int64_t next[2]; } shares[EDGEC_MAX_THREADS];

static int64_t share_begin(int64_t step, int thread, int threads) {
  return step < edgec_step_count ? (edgec_steps[step].items * thread + threads - 1) / threads : 0;
}

static void offer(int64_t step, int thread, int threads) {
  atomic_store_explicit(&shares[thread].next[step & 1], share_begin(step, thread, threads), memory_order_relaxed);
}

/* Compute what is left of one thread's share, piece by piece. */
static void run_pieces(int64_t step, int owner, int threads) {
  const edgec_step *s = &edgec_steps[step];
  _Atomic int64_t *next = &shares[owner].next[step & 1];
  int64_t end = share_begin(step, owner + 1, threads), begin;
  while (atomic_load_explicit(next, memory_order_relaxed) < end &&
         (begin = atomic_fetch_add_explicit(next, s->piece, memory_order_relaxed)) < end)
    run_items(s, begin, begin + s->piece < end ? begin + s->piece : end);
}

typedef struct { int64_t begin, end; } items;

/* Compute what other threads' next step needs of a share. Returns what is left of it. */
static items run_edges(const edgec_step *s, items share, int thread, int threads) {
  int64_t edge = s->edge < 0 || threads > EDGEC_OVERLAPPING ? share.end - share.begin : s->edge;
  items inside = {share.begin + (thread > 0 ? edge : 0), share.end - (thread + 1 < threads ? edge : 0)};
  if (inside.begin >= inside.end) inside.begin = inside.end = share.end;
  run_items(s, share.begin, inside.begin);
  run_items(s, inside.end, share.end);
  return inside;
}

/* Bring what other threads wrote into this one's cache. */
static void fetch(const edgec_step *s, int64_t begin, int64_t end) {
  const uint8_t *y = resolve(s->y);
  for (int64_t at = begin * s->pitch; at < end * s->pitch; at += 64) __builtin_prefetch(y + at);
}

/* Compute the rest of a share. By the time half of it is done the edges of the others are there, and they are fetched
   before the next step reads them. */
static void run_inside(const edgec_step *s, items inside, items share, int thread, int threads) {
  int64_t middle = inside.begin + (inside.end - inside.begin) / 2;
  run_items(s, inside.begin, middle);
  if (inside.begin < inside.end && thread > 0) fetch(s, share.begin - s->edge, share.begin);
  if (inside.begin < inside.end && thread + 1 < threads) fetch(s, share.end, share.end + s->edge);
  run_items(s, middle, inside.end);
}

/* Compute a share; where it is in pieces then also what others have not begun of theirs: cores differ in speed and have
   other work. Which thread computes an item does not change the result. */
static void run_share(int64_t step, int thread, int threads) {
  const edgec_step *s = &edgec_steps[step];
  items share = {share_begin(step, thread, threads), share_begin(step, thread + 1, threads)}, inside = {0, 0};
  fill(s, share.begin, share.end); /* not the bytes that other threads' kernels write */
  if (s->piece)
    for (int n = 0; n < threads; n++) run_pieces(step, (thread + n) % threads, threads);
  else
    inside = run_edges(s, share, thread, threads);
  edgec_pool_arrive(thread);
  run_inside(s, inside, share, thread, threads);
}

static int64_t joined; /* the step that the other threads begin with */

static void run_together(int thread) {
  int threads = edgec_pool_size();
  for (int64_t i = joined; i < edgec_step_count; i++) {
    if (i > joined) edgec_pool_meet(thread);
    offer(i + 1, thread, threads); /* nobody looks at it before all have met again */
    run_share(i, thread, threads);
  }
}

static double nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Whether a step is so large that threads which sleep are needed. */
static int has_pieces(void) {
  for (int64_t i = 0; i < edgec_step_count; i++)
    if (edgec_steps[i].piece) return 1;
  return 0;
}

/* Waking a thread takes as long as a small network. Until all are awake the caller works alone, unless there is a step
   so large that they can take pieces of it whenever they come. Where there is none, and images come seldom, it would
   be done before they come, and lets them sleep. */
static void run_all(void) {
  static double ended;
  int threads = edgec_pool_size();
  if (threads > 1 && (nanoseconds() - ended < SELDOM || has_pieces())) edgec_pool_wake();
  for (joined = 0; joined < edgec_step_count; joined++) {
    if (threads > 1 && (edgec_pool_awake() || edgec_steps[joined].piece)) break;
    run_step(&edgec_steps[joined]);
  }
  if (joined < edgec_step_count) {
    for (int thread = 0; thread < threads; thread++) offer(joined, thread, threads);
    edgec_pool_run(run_together);
  }
  ended = nanoseconds();
}

void edgec_run(const uint8_t *input, float *output) {
  image = input;
  run_all();
  memcpy(output, arena + edgec_logits_offset, (size_t)edgec_classes * sizeof *output);
}

double edgec_time_step(int64_t step, int runs) {
  if (step < 0 || step >= edgec_step_count || runs < 1) return -1;
  double start = nanoseconds();
  for (int i = 0; i < runs; i++) run_step(&edgec_steps[step]);
  return (nanoseconds() - start) / runs;
}
