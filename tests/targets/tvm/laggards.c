/* The engine's steps in the slowest order that threads may run them in, on one thread: of every step, those in
   `laggards` compute what is inside their shares only when all others have computed the whole next step. */
#include "run.c"

static items part(int64_t step, int thread, int threads) {
  return (items){share_begin(step, thread, threads), share_begin(step, thread + 1, threads)};
}

void lagging(const uint8_t *input, float *output, int threads, unsigned laggards) {
  static items left[EDGEC_MAX_THREADS];
  memset(left, 0, sizeof left);
  image = input;
  for (int64_t i = 0; i <= edgec_step_count; i++)
    for (int late = 0; late < 2; late++)
      for (int thread = 0; thread < threads; thread++) {
        if ((laggards >> thread & 1) != (unsigned)late) continue;
        if (late && i > 0) run_items(&edgec_steps[i - 1], left[thread].begin, left[thread].end);
        if (i == edgec_step_count) continue;
        const edgec_step *s = &edgec_steps[i];
        items share = part(i, thread, threads);
        fill(s, share.begin, share.end);
        left[thread] = s->piece ? share : run_edges(s, share, thread, threads);
        if (!late || s->piece) {
          run_items(s, left[thread].begin, left[thread].end);
          left[thread].begin = left[thread].end;
        }
      }
  memcpy(output, arena + edgec_logits_offset, (size_t)edgec_classes * sizeof *output);
}

/* How many steps let other threads begin before a share is done. */
int overlapping(void) {
  int count = 0;
  for (int64_t i = 0; i < edgec_step_count; i++) count += edgec_steps[i].edge >= 0;
  return count;
}
