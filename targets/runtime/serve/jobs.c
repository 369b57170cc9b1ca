#define _GNU_SOURCE
#include "jobs.h"
#include "bounds.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static job *queue[SERVE_QUEUE];
static int first, waiting;
static edgec_context *idle[SERVE_WORKERS]; /* contexts that no thread uses */
static int idle_count;
static const edgec_network *served;
static size_t logit_count; /* of an image */
static job_counts counts;

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* No class follows from logits that are not numbers, and JSON has no word for them. */
static edgec_status check_finite(const float *logits, edgec_error *error) {
  size_t wrong = 0;
  for (size_t i = 0; i < logit_count; i++) wrong += !isfinite(logits[i]);
  if (!wrong) return EDGEC_OK;
  error->status = EDGEC_SYSTEM;
  snprintf(error->text, sizeof error->text, "the engine gave %zu of %zu logits that are not numbers, so there is no answer", wrong, logit_count);
  return error->status;
}

static edgec_status compute(const job *one, edgec_context *context, edgec_error *error) {
  if (one->pixels) return edgec_run(context, one->pixels, one->logits);
  if (one->file.bytes) return picture_run(served, context, one->file, one->logits, error);
  return edgec_run_frame(context, &one->frame, one->logits, error);
}

/* Run a job with a context, and count it. Call it with the lock held; it is free meanwhile. */
static void run(job *one, edgec_context *context) {
  pthread_mutex_unlock(&lock);
  edgec_error error = {0};
  double begin = seconds();
  edgec_status status = compute(one, context, &error);
  double took = seconds() - begin;
  if (status == EDGEC_OK) status = check_finite(one->logits, &error);
  pthread_mutex_lock(&lock);
  idle[idle_count++] = context;
  if (waiting) pthread_cond_signal(&some);
  counts.seconds += took;
  counts.done++;
  counts.failed += status != EDGEC_OK;
  if (status) one->of->error = error;
}

static void *work(void *nothing) {
  pthread_mutex_lock(&lock);
  for (;;) {
    while (!waiting || !idle_count) pthread_cond_wait(&some, &lock);
    job *one = queue[first];
    first = (first + 1) % SERVE_QUEUE;
    waiting--;
    run(one, idle[--idle_count]);
    if (!--one->of->left) pthread_cond_broadcast(&done);
  }
  return nothing;
}

static int failed(edgec_error *error) {
  *error = (edgec_error){EDGEC_SYSTEM, "threads cannot be started"};
  return -1;
}

int jobs_start(const edgec_network *network, int workers, edgec_error *error) {
  pthread_attr_t large;
  pthread_attr_init(&large);
  pthread_attr_setstacksize(&large, SERVE_STACK_BYTES);
  edgec_description about = {.size = sizeof about};
  edgec_describe(network, &about);
  served = network;
  logit_count = about.logits;
  for (; idle_count < workers; idle_count++) /* before there are threads */
    if (edgec_context_new(network, NULL, &idle[idle_count], error)) return -1;
  for (int i = 0; i < workers; i++) {
    pthread_t thread;
    if (pthread_create(&thread, &large, work, NULL)) return failed(error);
    pthread_detach(thread);
  }
  return 0;
}

int jobs_run(job *jobs, int count, batch *b) {
  b->left = count;
  b->error.status = EDGEC_OK;
  pthread_mutex_lock(&lock);
  if (count == 1 && idle_count && !waiting) { /* in this thread: waking another takes longer than all the rest */
    jobs->of = b;
    run(jobs, idle[--idle_count]);
    pthread_mutex_unlock(&lock);
    return 0;
  }
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
