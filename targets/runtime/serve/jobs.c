#define _GNU_SOURCE
#include "jobs.h"
#include "bounds.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static job *queue[SERVE_QUEUE];
static int first, waiting;
static job_counts counts;

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *work(void *context) {
  for (;;) {
    pthread_mutex_lock(&lock);
    while (!waiting) pthread_cond_wait(&some, &lock);
    job *one = queue[first];
    first = (first + 1) % SERVE_QUEUE;
    waiting--;
    pthread_mutex_unlock(&lock);
    edgec_error error = {0};
    double begin = seconds();
    edgec_status status = one->pixels ? edgec_run(context, one->pixels, one->logits) : edgec_run_frame(context, &one->frame, one->logits, &error);
    double took = seconds() - begin;
    pthread_mutex_lock(&lock);
    counts.seconds += took;
    counts.done++;
    counts.failed += status != EDGEC_OK;
    if (status) one->of->error = error;
    if (!--one->of->left) pthread_cond_broadcast(&done);
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

static int failed(edgec_error *error) {
  *error = (edgec_error){EDGEC_SYSTEM, "threads cannot be started"};
  return -1;
}

int jobs_start(const edgec_network *network, int workers, edgec_error *error) {
  pthread_attr_t large;
  pthread_attr_init(&large);
  pthread_attr_setstacksize(&large, 2 << 20); /* edgec.h: a run needs 1 MiB */
  for (int i = 0; i < workers; i++) {
    edgec_context *context;
    pthread_t thread;
    if (edgec_context_new(network, NULL, &context, error)) return -1;
    if (pthread_create(&thread, &large, work, context)) return failed(error);
    pthread_detach(thread);
  }
  return 0;
}

int jobs_run(job *jobs, int count, batch *b) {
  b->left = count;
  b->error.status = EDGEC_OK;
  pthread_mutex_lock(&lock);
  int room = SERVE_QUEUE - waiting >= count;
  for (int i = 0; room && i < count; i++) {
    jobs[i].of = b;
    queue[(first + waiting++) % SERVE_QUEUE] = &jobs[i];
  }
  if (room) pthread_cond_broadcast(&some);
  while (room && b->left) pthread_cond_wait(&done, &lock);
  pthread_mutex_unlock(&lock);
  return room ? 0 : -1;
}

job_counts jobs_counted(void) {
  pthread_mutex_lock(&lock);
  job_counts found = counts;
  found.waiting = waiting;
  pthread_mutex_unlock(&lock);
  return found;
}
