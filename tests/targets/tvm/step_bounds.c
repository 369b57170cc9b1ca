/* Runs an engine's steps one after the other, each of which may touch its own tensors alone.

   The file of constants on the command line, images on stdin, logits to stdout. Which parts of the arena belong to a step is
   in a table that the test writes: `may_touch`, ordered by step, ended by a step of -1. */
#include "executor.c"

#include <stdio.h>

typedef struct { int64_t step, begin, end; int writes; } span;
extern const span may_touch[];

static edgec_executor *engine;
static int64_t now = -1;
static const uint8_t *stack_top;

static int inside(const uint8_t *at, int64_t size, const uint8_t *begin, int64_t bytes) {
  return at >= begin && size <= bytes && at - begin <= bytes - size;
}

static int allowed(const uint8_t *at, int64_t size, int writes) {
  const edgec_program *p = &edgec_generated;
  const uint8_t here = 0;
  if (at > &here && at < stack_top) return 1; /* what a kernel keeps on the stack */
  if (!writes && inside(at, size, engine->image, p->height * p->width * p->channels)) return 1;
  if (!writes && inside(at, size, engine->constants, p->constants_size)) return 1;
  for (const span *s = may_touch; s->step >= 0; s++)
    if (s->step == now && s->writes >= writes && inside(at, size, engine->arena + s->begin, s->end - s->begin)) return 1;
  return 0;
}

static void told(const uint8_t *at, int64_t size, int writes) {
  if (allowed(at, size, writes)) return;
  fprintf(stderr, "step %d (%s) %s %d bytes at %ld of the arena\n", (int)now, edgec_generated.steps[now].node,
          writes ? "writes" : "reads", (int)size, (long)(at - engine->arena));
  exit(3);
}

void told_read(const uint8_t *at, int64_t size) { told(at, size, 0); }
void told_write(const uint8_t *at, int64_t size) { told(at, size, 1); }

/* The runtime's own code reports no accesses, so what it changed is found by comparing the arena. */
static void fill_checked(const edgec_step *s, uint8_t *before) {
  edgec_executor *e = engine;
  int64_t size = edgec_generated.arena_size;
  memcpy(before, e->arena, (size_t)size);
  fill(e, s, 0, s->items);
  for (int64_t i = 0; i < size; i++)
    if (e->arena[i] != before[i]) told(e->arena + i, 1, 1);
}

int main(int count, char **arguments) {
  stack_top = (const uint8_t *)__builtin_frame_address(0);
  const edgec_program *p = &edgec_generated;
  uint8_t *constants = edgec_allocate((size_t)p->constants_size);
  FILE *file = count > 1 ? fopen(arguments[1], "rb") : NULL;
  if (!file || !constants || fread(constants, 1, (size_t)p->constants_size, file) != (size_t)p->constants_size) return 2;
  edgec_executor *e = engine = edgec_executor_start(p, constants, 1);
  size_t pixels = (size_t)(p->height * p->width * p->channels), bytes = (size_t)p->classes * sizeof(float);
  uint8_t *image = malloc(pixels), *before = malloc((size_t)p->arena_size);
  float *logits = malloc(bytes);
  if (!e || !image || !before || !logits) return 2;
  uint64_t noise = 88172645463325252ull;
  while (fread(image, 1, pixels, stdin) == pixels) {
    for (int64_t i = 0; i < p->arena_size; i++) { /* nothing may depend on what was there */
      noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
      e->arena[i] = (uint8_t)(noise >> 24);
    }
    e->image = image;
    for (now = 0; now < p->step_count; now++) {
      fill_checked(&p->steps[now], before);
      run_items(e, &p->steps[now], 0, p->steps[now].items);
    }
    memcpy(logits, e->arena + p->logits_offset, bytes);
    if (fwrite(logits, 1, bytes, stdout) != bytes) return 2;
  }
  return 0;
}
