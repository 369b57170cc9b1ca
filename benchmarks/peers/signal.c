/* How long a signal takes from one core to another: half of there and back, median of rounds. Prints nanoseconds.
   Arguments: the two CPUs. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TURNS = 2000, ROUNDS = 101 };

static _Alignas(256) atomic_int there;
static _Alignas(256) atomic_int back;

static void stay_on(const char *cpu) {
  cpu_set_t place;
  CPU_ZERO(&place);
  CPU_SET(atoi(cpu), &place);
  sched_setaffinity(0, sizeof place, &place);
}

static void *answer(void *cpu) {
  stay_on(cpu);
  for (int i = 1; i <= TURNS * ROUNDS; i++) {
    while (atomic_load(&there) < i) {}
    atomic_store(&back, i);
  }
  return NULL;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int count, char **arguments) {
  pthread_t other;
  double rounds[ROUNDS];
  if (count < 3 || pthread_create(&other, NULL, answer, arguments[2])) return 1;
  stay_on(arguments[1]);
  for (int round = 0, i = 1; round < ROUNDS; round++) {
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int turn = 0; turn < TURNS; turn++, i++) {
      atomic_store(&there, i);
      while (atomic_load(&back) < i) {}
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    rounds[round] = ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) / (2.0 * TURNS);
  }
  pthread_join(other, NULL);
  qsort(rounds, ROUNDS, sizeof *rounds, by_size);
  printf("%.0f\n", rounds[ROUNDS / 2]);
  return 0;
}
