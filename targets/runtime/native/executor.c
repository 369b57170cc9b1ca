/* Steps in order, each divided among threads. */
#define _GNU_SOURCE
#include "executor.h"
#include "workers.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { HUGE_PAGE = 2 << 20, MOSTLY = HUGE_PAGE / 4 * 3, SELDOM = 500000 /* nanoseconds between images */ };

/* A thread's next item of a step and of the one after it. */
typedef struct {
  _Alignas(128) _Atomic int64_t next[2];
} shares;

struct edgec_executor {
  shares shares[EDGEC_MAX_THREADS];
  const edgec_program *program;
  const uint8_t *constants, *image;
  uint8_t *arena;
  edgec_workers *workers;
  int64_t joined;   /* the step that the other threads begin with */
  int has_pieces;   /* whether a step is so large that threads which sleep are needed */
  double ended;     /* when the last inference ended, in nanoseconds */
};

uint8_t *edgec_allocate(size_t bytes) {
  size_t rounded = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  if (bytes < HUGE_PAGE / 2) return aligned_alloc(64, (bytes + 63) / 64 * 64);
  uint8_t *memory = aligned_alloc(HUGE_PAGE, rounded);
  size_t huge = (bytes + HUGE_PAGE - MOSTLY) / HUGE_PAGE * HUGE_PAGE; /* no huge page that would be mostly empty */
  if (memory) madvise(memory, huge, MADV_HUGEPAGE); /* fewer TLB misses; no harm where it is refused */
  if (memory) madvise(memory + huge, rounded - huge, MADV_NOHUGEPAGE);
  return memory;
}

typedef uint8_t sixteen __attribute__((vector_size(16), aligned(1)));

static void repeat(uint8_t *into, int64_t bytes, const uint8_t *pattern, int64_t period) {
  if (period > 1 || bytes < 16) {
    for (int64_t i = 0; i < bytes; i += period) memcpy(into + i, pattern, (size_t)period);
    return;
  }
  sixteen all = (sixteen){0} + pattern[0];
#pragma GCC unroll 4
  for (int64_t i = 0; i < bytes - 16; i += 16) *(volatile sixteen *)(into + i) = all; /* or the compiler would call memset */
  *(volatile sixteen *)(into + bytes - 16) = all;
}

/* Fill what belongs to the items from `begin` to `end`. */
static void fill(const edgec_executor *e, const edgec_step *s, int64_t begin, int64_t end) {
  const edgec_fill *f = &s->fill;
  const uint8_t *pattern = e->constants + f->pattern;
  uint8_t *base = e->arena + f->address;
  if (!f->period || begin == end) return;
  if (begin == 0) repeat(base, f->lead, pattern, f->period);
  int64_t after = end == s->items ? f->rows : (f->rows + 1) * end / s->items;
  for (int64_t row = (f->rows + 1) * begin / s->items; row < after; row++)
    repeat(base + f->first + row * f->stride, f->gap, pattern, f->period);
  if (end == s->items) repeat(base + f->trail_at, f->trail, pattern, f->period);
}

static uint8_t *resolve(const edgec_executor *e, int64_t address) {
  switch (address) {
  case EDGEC_IMAGE: return (uint8_t *)e->image;
  case EDGEC_NOTHING: return NULL;
  default: return e->arena + address;
  }
}

/* A kernel's stack begins at a cache line, whatever the addresses of the process are: else its vectors would lie on one line or
   on two by chance, and a convolution by minimal filters would take up to a third longer in some processes. */
static void run_items(const edgec_executor *e, const edgec_step *s, int64_t begin, int64_t end) {
  if (begin == end) return;
  _Alignas(64) char line[64];
  __asm__ volatile("" : : "r"(line)); /* or the compiler would leave it out */
  s->kernel(resolve(e, s->x), e->constants + s->w, e->constants + s->p, resolve(e, s->r), resolve(e, s->y), begin, end);
}

static void run_step(const edgec_executor *e, const edgec_step *s) {
  fill(e, s, 0, s->items);
  run_items(e, s, 0, s->items);
}

static int64_t share_begin(const edgec_executor *e, int64_t step, int thread, int threads) {
  return step < e->program->step_count ? (e->program->steps[step].items * thread + threads - 1) / threads : 0;
}

static void offer(edgec_executor *e, int64_t step, int thread, int threads) {
  atomic_store_explicit(&e->shares[thread].next[step & 1], share_begin(e, step, thread, threads), memory_order_relaxed);
}

/* Compute what is left of one thread's share, piece by piece. */
static void run_pieces(edgec_executor *e, int64_t step, int owner, int threads) {
  const edgec_step *s = &e->program->steps[step];
  _Atomic int64_t *next = &e->shares[owner].next[step & 1];
  int64_t end = share_begin(e, step, owner + 1, threads), begin;
  while (atomic_load_explicit(next, memory_order_relaxed) < end &&
         (begin = atomic_fetch_add_explicit(next, s->piece, memory_order_relaxed)) < end)
    run_items(e, s, begin, begin + s->piece < end ? begin + s->piece : end);
}

typedef struct { int64_t begin, end; } items;

/* Compute what other threads' next step needs of a share. Returns what is left of it. */
static items run_edges(const edgec_executor *e, const edgec_step *s, items share, int thread, int threads) {
  int64_t edge = s->edge < 0 || threads > EDGEC_OVERLAPPING ? share.end - share.begin : s->edge;
  items inside = {share.begin + (thread > 0 ? edge : 0), share.end - (thread + 1 < threads ? edge : 0)};
  if (inside.begin >= inside.end) inside.begin = inside.end = share.end;
  run_items(e, s, share.begin, inside.begin);
  run_items(e, s, inside.end, share.end);
  return inside;
}

/* Bring what other threads wrote into this one's cache. */
static void fetch(const edgec_executor *e, const edgec_step *s, int64_t begin, int64_t end) {
  const uint8_t *y = resolve(e, s->y);
  for (int64_t at = begin * s->pitch; at < end * s->pitch; at += 64) __builtin_prefetch(y + at);
}

/* Compute the rest of a share. By the time half of it is done the edges of the others are there, and they are fetched
   before the next step reads them. */
static void run_inside(const edgec_executor *e, const edgec_step *s, items inside, items share, int thread, int threads) {
  int64_t middle = inside.begin + (inside.end - inside.begin) / 2;
  run_items(e, s, inside.begin, middle);
  if (inside.begin < inside.end && thread > 0) fetch(e, s, share.begin - s->edge, share.begin);
  if (inside.begin < inside.end && thread + 1 < threads) fetch(e, s, share.end, share.end + s->edge);
  run_items(e, s, middle, inside.end);
}

/* Compute a share. Of a step in pieces, then compute the pieces that other threads have not begun: cores differ in speed and
   have other work. Which thread computes an item does not change the result. */
static void run_share(edgec_executor *e, int64_t step, int thread, int threads) {
  const edgec_step *s = &e->program->steps[step];
  items share = {share_begin(e, step, thread, threads), share_begin(e, step, thread + 1, threads)}, inside = {0, 0};
  fill(e, s, share.begin, share.end); /* not the bytes that other threads' kernels write */
  if (s->piece)
    for (int n = 0; n < threads; n++) run_pieces(e, step, (thread + n) % threads, threads);
  else
    inside = run_edges(e, s, share, thread, threads);
  edgec_workers_arrive(e->workers, thread);
  run_inside(e, s, inside, share, thread, threads);
}

static void run_together(void *executor, int thread) {
  edgec_executor *e = executor;
  int threads = edgec_workers_count(e->workers);
  for (int64_t i = e->joined; i < e->program->step_count; i++) {
    if (i > e->joined) edgec_workers_meet(e->workers, thread);
    offer(e, i + 1, thread, threads); /* nobody looks at it before all have met again */
    run_share(e, i, thread, threads);
  }
}

static double nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Waking a thread takes as long as a small network. Until all are awake the caller works alone, unless a step is so large
   that they can take pieces of it whenever they arrive. Without such a step, and with long pauses between images, the
   caller would be done before they arrive, so it lets them sleep. */
static void run_all(edgec_executor *e) {
  int threads = edgec_workers_count(e->workers);
  const edgec_program *p = e->program;
  if (threads == 1) {
    for (int64_t i = 0; i < p->step_count; i++) run_step(e, &p->steps[i]);
    return;
  }
  if (nanoseconds() - e->ended < SELDOM || e->has_pieces) edgec_workers_wake(e->workers);
  for (e->joined = 0; e->joined < p->step_count; e->joined++) {
    if (edgec_workers_awake(e->workers) || p->steps[e->joined].piece) break;
    run_step(e, &p->steps[e->joined]);
  }
  if (e->joined < p->step_count) {
    for (int thread = 0; thread < threads; thread++) offer(e, e->joined, thread, threads);
    edgec_workers_run(e->workers, run_together, e);
  }
  e->ended = nanoseconds();
}

void edgec_executor_run(edgec_executor *e, const uint8_t *image, float *logits) {
  e->image = image;
  run_all(e);
  memcpy(logits, e->arena + e->program->logits_offset, (size_t)e->program->classes * sizeof *logits);
}

double edgec_executor_time_step(edgec_executor *e, int64_t step, int runs) {
  if (step < 0 || step >= e->program->step_count || runs < 1) return -1;
  double start = nanoseconds();
  for (int i = 0; i < runs; i++) run_step(e, &e->program->steps[step]);
  return (nanoseconds() - start) / runs;
}

int edgec_executor_threads(const edgec_executor *e) { return edgec_workers_count(e->workers); }

edgec_executor *edgec_executor_start(const edgec_program *program, const uint8_t *constants, int threads) {
  edgec_executor *e = (edgec_executor *)edgec_allocate(sizeof *e);
  if (!e) return NULL;
  memset(e, 0, sizeof *e);
  e->program = program;
  e->constants = constants;
  for (int64_t i = 0; i < program->step_count; i++) e->has_pieces |= program->steps[i].piece != 0;
  e->arena = edgec_allocate((size_t)program->arena_size);
  e->workers = edgec_workers_start(threads);
  if (!e->arena || !e->workers) {
    edgec_executor_stop(e);
    return NULL;
  }
  memset(e->arena, 0, (size_t)program->arena_size); /* touch every page now, not in the first inference */
  return e;
}

void edgec_executor_stop(edgec_executor *e) {
  if (!e) return;
  edgec_workers_stop(e->workers);
  free(e->arena);
  free(e);
}
