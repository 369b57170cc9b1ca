/* Clocks around edgec_run_frame, for programs that are linked with --wrap=edgec_run_frame. A program that finds the
   function itself, such as Python, tells it to edgec_timed. */
#include "edgec.h"
#include "own_time.h"

typedef edgec_status run(edgec_context *, const edgec_frame *, float *, edgec_error *);

run __real_edgec_run_frame __attribute__((weak)), __wrap_edgec_run_frame;
__attribute__((visibility("default"))) run *edgec_timed;

__attribute__((visibility("default"))) edgec_status __wrap_edgec_run_frame(edgec_context *context, const edgec_frame *frame, float *logits, edgec_error *error) {
  volatile own_time *own = own_time_of_runs();
  run *timed = edgec_timed ? edgec_timed : __real_edgec_run_frame;
  long long of_thread = clock_of(CLOCK_THREAD_CPUTIME_ID), begin = clock_of(CLOCK_MONOTONIC);
  edgec_status status = timed(context, frame, logits, error);
  if (!own) return status;
  own->last = clock_of(CLOCK_MONOTONIC) - begin;
  own->processor += clock_of(CLOCK_THREAD_CPUTIME_ID) - of_thread;
  return status;
}
