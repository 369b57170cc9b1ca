/* Running a network's steps in order. */
#ifndef EDGEC_EXECUTOR_H
#define EDGEC_EXECUTOR_H

#include "engine.h"

enum { EDGEC_OVERLAPPING = 8 }; /* with more threads a step's `edge` does not hold */

/* One inference at a time. Several may share a program and its constants. */
typedef struct edgec_executor edgec_executor;

/* Start `threads` threads, the caller's included, and allocate all that an inference needs. `program` and `constants`,
   which are aligned to 64 bytes, have to stay. NULL if there is not enough memory or a thread cannot be started. */
edgec_executor *edgec_executor_start(const edgec_program *program, const uint8_t *constants, int threads);
void edgec_executor_stop(edgec_executor *e); /* NULL is allowed */
int edgec_executor_threads(const edgec_executor *e);

/* One inference: uint8 [height][width][channels] in, float [classes] out. Nothing is allocated, and no lock is taken. */
void edgec_executor_run(edgec_executor *e, const uint8_t *image, float *logits);

/* Run one step `runs` times and return nanoseconds a run, or -1; for profiles. The arena keeps what the last run left. */
double edgec_executor_time_step(edgec_executor *e, int64_t step, int runs);

/* Memory aligned to 64 bytes, in huge pages where it is large. NULL if there is none; `free` it. */
uint8_t *edgec_allocate(size_t bytes);

#endif
