/* Threads of the engine's pool, with a random number of them: for TSan, ASan and UBSan. */
#include "edgec.h"

#include <stdio.h>
#include <stdlib.h>

static int sums[EDGEC_MAX_THREADS], total;

static void work(int thread) {
  sums[thread]++;
  edgec_pool_arrive(thread);
  edgec_pool_meet(thread);
  if (!thread)
    for (int i = 0; i < edgec_pool_size(); i++) total += sums[i];
  edgec_pool_arrive(thread);
  edgec_pool_meet(thread);
  sums[thread]--;
}

int main(int count, char **arguments) {
  srand(count > 1 ? (unsigned)atoi(arguments[1]) : 1);
  for (int round = 0; round < 12; round++) {
    int threads = 1 + rand() % 8;
    if (edgec_pool_start(threads)) return 2;
    for (int run = 0; run < 40; run++) {
      total = 0;
      if (run % 3 == 0) edgec_pool_wake();
      edgec_pool_run(work);
      if (total != edgec_pool_size()) {
        printf("%d threads: %d of %d came\n", threads, total, edgec_pool_size());
        return 1;
      }
    }
    edgec_pool_stop();
  }
  printf("12 pools\n");
  return 0;
}
