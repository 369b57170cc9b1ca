/* A small pool of threads: spin briefly for the next job, then sleep. */
#define _GNU_SOURCE
#include "edgec.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { STACK = 2 << 20 }; /* bytes: kernels use up to half of it, and musl gives a thread no more than 128 KiB */
enum { SPINS_BEFORE_YIELD = 2000, SPINS_BEFORE_SLEEP = 20000, LINES = 128 };

static pthread_t threads[EDGEC_MAX_THREADS];
static int size = 1;
static void (*job)(int thread);
static struct { _Alignas(LINES) atomic_uint arrivals; } progress[EDGEC_MAX_THREADS]; /* each written by its thread alone */
static atomic_int generation, stopping, sleeping, crowded;
static int callers_cpu = -1, calls; /* calls: changed with the mutex held */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

void edgec_pool_arrive(int thread) {
  unsigned before = atomic_load_explicit(&progress[thread].arrivals, memory_order_relaxed);
  atomic_store_explicit(&progress[thread].arrivals, before + 1, memory_order_release);
}

void edgec_pool_meet(int thread) {
  unsigned now = atomic_load_explicit(&progress[thread].arrivals, memory_order_relaxed);
  int patience = atomic_load_explicit(&crowded, memory_order_relaxed) ? 0 : SPINS_BEFORE_YIELD;
  for (int other = 0, spins = 0; other < size; spins++) {
    if ((int)(atomic_load_explicit(&progress[other].arrivals, memory_order_acquire) - now) >= 0) other++;
    else if (spins < patience) pause_briefly();
    else sched_yield();
  }
}

static void wait_for_job(int seen) {
  for (;;) {
    for (int spins = 0; spins < SPINS_BEFORE_SLEEP && !atomic_load_explicit(&crowded, memory_order_relaxed); spins++) {
      if (atomic_load(&generation) != seen) return;
      pause_briefly();
    }
    pthread_mutex_lock(&mutex);
    atomic_fetch_add(&sleeping, 1);
    for (int heard = calls; atomic_load(&generation) == seen && calls == heard;) pthread_cond_wait(&wake, &mutex);
    atomic_fetch_sub(&sleeping, 1);
    pthread_mutex_unlock(&mutex);
    if (atomic_load(&generation) != seen) return;
  }
}

static void *worker(void *argument) {
  int thread = (int)(intptr_t)argument;
  for (int seen = 0;; seen++) {
    wait_for_job(seen);
    if (atomic_load(&stopping)) return NULL;
    job(thread);
  }
}

static void call(void) {
  pthread_mutex_lock(&mutex);
  calls++;
  pthread_cond_broadcast(&wake);
  pthread_mutex_unlock(&mutex);
}

static void announce(void) {
  atomic_fetch_add(&generation, 1);
  if (atomic_load(&sleeping)) call();
}

/* Deal the CPUs that the caller may use, but for the one it is on, to the workers. Left alone, kernels wake a thread
   where its waker runs, above all in virtual machines, whose idle CPUs look busy: there each of the two spins to the end
   of its time slice while the other has work. Where there are too few CPUs nobody spins. */
static void place_workers(void) {
  cpu_set_t allowed, places[EDGEC_MAX_THREADS];
  int here = sched_getcpu(), workers = size - 1, dealt = 0;
  if (here == callers_cpu || sched_getaffinity(0, sizeof allowed, &allowed)) return;
  callers_cpu = here;
  memset(places, 0, sizeof places);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (cpu != here && CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &places[1 + dealt++ % workers]);
  atomic_store(&crowded, dealt < workers);
  for (int i = 1; i < size; i++)
    pthread_setaffinity_np(threads[i], sizeof allowed, dealt < workers ? &allowed : &places[i]);
}

int edgec_pool_awake(void) { return !atomic_load(&sleeping); }

void edgec_pool_wake(void) {
  if (size == 1) return;
  place_workers();
  if (!edgec_pool_awake() && !atomic_load(&crowded)) call();
}

void edgec_pool_run(void (*work)(int thread)) {
  job = work;
  if (size > 1) announce();
  work(0);
  edgec_pool_meet(0);
}

int edgec_pool_start(int count) {
  if (count < 1 || count > EDGEC_MAX_THREADS) return -1;
  atomic_store(&generation, 0);
  atomic_store(&stopping, 0);
  memset(progress, 0, sizeof progress);
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes)) return -1;
  pthread_attr_setstacksize(&attributes, STACK);
  for (size = 1; size < count; size++)
    if (pthread_create(&threads[size], &attributes, worker, (void *)(intptr_t)size)) {
      pthread_attr_destroy(&attributes);
      edgec_pool_stop();
      return -1;
    }
  pthread_attr_destroy(&attributes);
  callers_cpu = -1;
  if (size > 1) place_workers();
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
