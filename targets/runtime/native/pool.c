/* A small pool of threads: spin briefly for the next job, then sleep. */
#include "edgec.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { MAX_THREADS = 64, SPINS_BEFORE_YIELD = 2000, SPINS_BEFORE_SLEEP = 20000 };

static pthread_t threads[MAX_THREADS];
static int size = 1;
static void (*job)(int thread);
static atomic_int generation, stopping, arrived, phase, sleeping;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

void edgec_pool_wait(void) {
  if (size == 1) return;
  int now = atomic_load(&phase);
  if (atomic_fetch_add(&arrived, 1) == size - 1) {
    atomic_store(&arrived, 0);
    atomic_store(&phase, now + 1);
    return;
  }
  for (int spins = 0; atomic_load(&phase) == now; spins++) {
    if (spins < SPINS_BEFORE_YIELD) pause_briefly();
    else sched_yield();
  }
}

static void wait_for_job(int seen) {
  for (int spins = 0; spins < SPINS_BEFORE_SLEEP; spins++) {
    if (atomic_load(&generation) != seen) return;
    pause_briefly();
  }
  pthread_mutex_lock(&mutex);
  atomic_fetch_add(&sleeping, 1);
  while (atomic_load(&generation) == seen) pthread_cond_wait(&wake, &mutex);
  atomic_fetch_sub(&sleeping, 1);
  pthread_mutex_unlock(&mutex);
}

static void *worker(void *argument) {
  int thread = (int)(intptr_t)argument;
  for (int seen = 0;; seen++) {
    wait_for_job(seen);
    if (atomic_load(&stopping)) return NULL;
    job(thread);
    edgec_pool_wait();
  }
}

static void announce(void) {
  atomic_fetch_add(&generation, 1);
  if (atomic_load(&sleeping)) {
    pthread_mutex_lock(&mutex);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&mutex);
  }
}

void edgec_pool_run(void (*work)(int thread)) {
  job = work;
  if (size > 1) announce();
  work(0);
  edgec_pool_wait();
}

int edgec_pool_start(int count) {
  if (count < 1 || count > MAX_THREADS) return -1;
  atomic_store(&generation, 0);
  atomic_store(&stopping, 0);
  for (size = 1; size < count; size++)
    if (pthread_create(&threads[size], NULL, worker, (void *)(intptr_t)size)) {
      edgec_pool_stop();
      return -1;
    }
  return 0;
}

void edgec_pool_stop(void) {
  if (size > 1) {
    atomic_store(&stopping, 1);
    announce();
  }
  for (int i = 1; i < size; i++) pthread_join(threads[i], NULL);
  size = 1;
}

int edgec_pool_size(void) { return size; }
