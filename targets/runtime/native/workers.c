/* Threads that spin briefly for the next job, then sleep. No lock is ever held: who calls them never waits for one that
   the scheduler has stopped. */
#define _GNU_SOURCE
#include "workers.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STACK = 2 << 20 }; /* bytes: kernels use up to half of it, and musl gives a thread no more than 128 KiB */
enum { SPINS_BEFORE_YIELD = 2000, SPINS_BEFORE_SLEEP = 20000, LINES = 128 };

typedef struct {
  edgec_workers *pool;
  int thread;
} place;

struct edgec_workers {
  struct { _Alignas(LINES) atomic_uint arrivals; } progress[EDGEC_MAX_THREADS]; /* each written by its thread alone */
  pthread_t threads[EDGEC_MAX_THREADS];
  place places[EDGEC_MAX_THREADS];
  int count, callers_cpu;
  void (*job)(void *with, int thread);
  void *with;
  atomic_int generation, stopping, sleeping, crowded;
  atomic_int calls; /* what threads sleep on */
};

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

void edgec_workers_arrive(edgec_workers *w, int thread) {
  unsigned before = atomic_load_explicit(&w->progress[thread].arrivals, memory_order_relaxed);
  atomic_store_explicit(&w->progress[thread].arrivals, before + 1, memory_order_release);
}

void edgec_workers_meet(edgec_workers *w, int thread) {
  unsigned now = atomic_load_explicit(&w->progress[thread].arrivals, memory_order_relaxed);
  int patience = atomic_load_explicit(&w->crowded, memory_order_relaxed) ? 0 : SPINS_BEFORE_YIELD;
  for (int other = 0, spins = 0; other < w->count; spins++) {
    if ((int)(atomic_load_explicit(&w->progress[other].arrivals, memory_order_acquire) - now) >= 0) other++;
    else if (spins < patience) pause_briefly();
    else sched_yield();
  }
}

/* A caller raises the generation, looks for sleepers, then changes `calls`. A thread that is about to sleep says so first and
   then looks at the generation. So one of the two sees the other, and a changed `calls` ends the sleep. */
static void wait_for_job(edgec_workers *w, int seen) {
  for (;;) {
    for (int spins = 0; spins < SPINS_BEFORE_SLEEP && !atomic_load_explicit(&w->crowded, memory_order_relaxed); spins++) {
      if (atomic_load(&w->generation) != seen) return;
      pause_briefly();
    }
    int heard = atomic_load(&w->calls);
    atomic_fetch_add(&w->sleeping, 1);
    if (atomic_load(&w->generation) == seen) syscall(SYS_futex, &w->calls, FUTEX_WAIT_PRIVATE, heard, NULL, NULL, 0);
    atomic_fetch_sub(&w->sleeping, 1);
    if (atomic_load(&w->generation) != seen) return;
  }
}

static void *worker(void *argument) {
  place here = *(place *)argument;
  for (int seen = 0;; seen++) {
    wait_for_job(here.pool, seen);
    if (atomic_load(&here.pool->stopping)) return NULL;
    here.pool->job(here.pool->with, here.thread);
  }
}

static void call(edgec_workers *w) {
  atomic_fetch_add(&w->calls, 1);
  syscall(SYS_futex, &w->calls, FUTEX_WAKE_PRIVATE, EDGEC_MAX_THREADS, NULL, NULL, 0);
}

static void announce(edgec_workers *w) {
  atomic_fetch_add(&w->generation, 1);
  if (atomic_load(&w->sleeping)) call(w);
}

/* Give each worker a CPU of its own among those that the caller may use, but for the caller's. Linux often wakes a thread on
   the CPU of its waker, above all in virtual machines, whose idle CPUs look busy. Both threads then share a CPU, and each
   spins to the end of its time slice while the other has work. With too few CPUs nobody spins. */
static void place_workers(edgec_workers *w) {
  cpu_set_t allowed, places[EDGEC_MAX_THREADS];
  int here = sched_getcpu(), workers = w->count - 1, dealt = 0;
  if (here == w->callers_cpu || sched_getaffinity(0, sizeof allowed, &allowed)) return;
  w->callers_cpu = here;
  memset(places, 0, sizeof places);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (cpu != here && CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &places[1 + dealt++ % workers]);
  atomic_store(&w->crowded, dealt < workers);
  for (int i = 1; i < w->count; i++)
    pthread_setaffinity_np(w->threads[i], sizeof allowed, dealt < workers ? &allowed : &places[i]);
}

int edgec_workers_count(const edgec_workers *w) { return w->count; }

int edgec_workers_awake(edgec_workers *w) { return !atomic_load(&w->sleeping); }

void edgec_workers_wake(edgec_workers *w) {
  if (w->count == 1) return;
  place_workers(w);
  if (!edgec_workers_awake(w) && !atomic_load(&w->crowded)) call(w);
}

void edgec_workers_run(edgec_workers *w, void (*work)(void *with, int thread), void *with) {
  w->job = work;
  w->with = with;
  if (w->count > 1) announce(w);
  work(with, 0);
  edgec_workers_meet(w, 0);
}

static int start_all(edgec_workers *w, int threads) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes)) return -1;
  int failed = pthread_attr_setstacksize(&attributes, STACK);
  for (w->count = 1; w->count < threads && !failed; w->count += !failed) {
    w->places[w->count] = (place){w, w->count};
    failed = pthread_create(&w->threads[w->count], &attributes, worker, &w->places[w->count]);
  }
  pthread_attr_destroy(&attributes);
  return failed ? -1 : 0;
}

edgec_workers *edgec_workers_start(int threads) {
  if (threads < 1 || threads > EDGEC_MAX_THREADS) return NULL;
  edgec_workers *w = aligned_alloc(LINES, (sizeof *w + LINES - 1) / LINES * LINES);
  if (!w) return NULL;
  memset(w, 0, sizeof *w);
  w->callers_cpu = -1;
  if (start_all(w, threads)) {
    edgec_workers_stop(w);
    return NULL;
  }
  if (threads > 1) place_workers(w);
  return w;
}

void edgec_workers_stop(edgec_workers *w) {
  if (!w) return;
  if (w->count > 1) {
    atomic_store(&w->stopping, 1);
    announce(w);
  }
  for (int i = 1; i < w->count; i++) pthread_join(w->threads[i], NULL);
  free(w);
}
