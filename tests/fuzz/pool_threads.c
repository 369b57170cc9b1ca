/* Threads of an engine, with a random number of them: for TSan, ASan and UBSan. */
#include "workers.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
  edgec_workers *workers;
  int sums[EDGEC_MAX_THREADS], total;
} counts;

static void work(void *with, int thread) {
  counts *c = with;
  c->sums[thread]++;
  edgec_workers_arrive(c->workers, thread);
  edgec_workers_meet(c->workers, thread);
  if (!thread)
    for (int i = 0; i < edgec_workers_count(c->workers); i++) c->total += c->sums[i];
  edgec_workers_arrive(c->workers, thread);
  edgec_workers_meet(c->workers, thread);
  c->sums[thread]--;
}

int main(int count, char **arguments) {
  srand(count > 1 ? (unsigned)atoi(arguments[1]) : 1);
  for (int round = 0; round < 12; round++) {
    counts c = {.workers = edgec_workers_start(1 + rand() % 8)};
    if (!c.workers) return 2;
    for (int run = 0; run < 40; run++) {
      c.total = 0;
      if (run % 3 == 0) edgec_workers_wake(c.workers);
      edgec_workers_run(c.workers, work, &c);
      if (c.total != edgec_workers_count(c.workers)) {
        printf("%d threads: %d of %d came\n", edgec_workers_count(c.workers), c.total, edgec_workers_count(c.workers));
        return 1;
      }
    }
    edgec_workers_stop(c.workers);
  }
  printf("12 pools\n");
  return 0;
}
