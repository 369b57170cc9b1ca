/* A small pool of threads, of which the caller is the first. */
#ifndef EDGEC_WORKERS_H
#define EDGEC_WORKERS_H

enum { EDGEC_MAX_THREADS = 64 };

typedef struct edgec_workers edgec_workers;

/* Start all threads but the caller's. NULL if they cannot be started, or there would be less than 1 or too many. */
edgec_workers *edgec_workers_start(int threads);
void edgec_workers_stop(edgec_workers *w); /* NULL is allowed */
int edgec_workers_count(const edgec_workers *w);

/* Wake sleeping threads, and whether all would begin at once. */
void edgec_workers_wake(edgec_workers *w);
int edgec_workers_awake(edgec_workers *w);

/* Run `work(with, thread)` on all threads, and return when all have. All arrive equally often. */
void edgec_workers_run(edgec_workers *w, void (*work)(void *with, int thread), void *with);

/* Inside work, a barrier in two parts: tell the others to have come so far, and wait until all others have, too. */
void edgec_workers_arrive(edgec_workers *w, int thread);
void edgec_workers_meet(edgec_workers *w, int thread);

#endif
