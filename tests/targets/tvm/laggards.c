/* The engine's steps in the slowest order that threads may run them in, on one thread: of every step, those in
   `laggards` compute what is inside their shares only when all others have computed the whole next step. */
#include "executor.c"
#include "engine_file.h"

static edgec_engine engine;

const char *open_engine(const char *path) { return edgec_engine_open(path, 1, &engine); }

void close_engine(void) { edgec_engine_close(&engine); }

static items part(int64_t step, int thread, int threads) {
  return (items){share_begin(engine.executor, step, thread, threads), share_begin(engine.executor, step, thread + 1, threads)};
}

void lagging(const uint8_t *input, float *output, int threads, unsigned laggards) {
  static items left[EDGEC_MAX_THREADS];
  memset(left, 0, sizeof left);
  edgec_executor *e = engine.executor;
  e->image = input;
  for (int64_t i = 0; i <= edgec_generated.step_count; i++)
    for (int late = 0; late < 2; late++)
      for (int thread = 0; thread < threads; thread++) {
        if ((laggards >> thread & 1) != (unsigned)late) continue;
        if (late && i > 0) run_items(e, &edgec_generated.steps[i - 1], left[thread].begin, left[thread].end);
        if (i == edgec_generated.step_count) continue;
        const edgec_step *s = &edgec_generated.steps[i];
        items share = part(i, thread, threads);
        fill(e, s, share.begin, share.end);
        left[thread] = s->piece ? share : run_edges(e, s, share, thread, threads);
        if (!late || s->piece) {
          run_items(e, s, left[thread].begin, left[thread].end);
          left[thread].begin = left[thread].end;
        }
      }
  memcpy(output, e->arena + edgec_generated.logits_offset, (size_t)edgec_generated.classes * sizeof *output);
}

/* How many steps let other threads begin before a share is done. */
int overlapping(void) {
  int count = 0;
  for (int64_t i = 0; i < edgec_generated.step_count; i++) count += edgec_generated.steps[i].edge >= 0;
  return count;
}
