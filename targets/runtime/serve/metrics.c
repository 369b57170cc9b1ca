#include "metrics.h"
#include "jobs.h"

#include <pthread.h>

enum { LATENCIES = 9 };
static const double limits[LATENCIES] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long answered[600], below[LATENCIES + 1];
static double answered_seconds;

void metrics_answer(answer *a, int connections) {
  job_counts c = jobs_counted();
  text *t = &a->body;
  a->type = "text/plain; version=0.0.4";
  pthread_mutex_lock(&lock);
  text_print(t, "# HELP edgec_requests_total Answers, by status.\n# TYPE edgec_requests_total counter\n");
  for (int i = 200; i < 600; i++)
    if (answered[i]) text_print(t, "edgec_requests_total{code=\"%d\"} %ld\n", i, answered[i]);
  text_print(t, "# HELP edgec_request_duration_seconds From a request's last byte to its answer.\n# TYPE edgec_request_duration_seconds histogram\n");
  long count = 0;
  for (int i = 0; i < LATENCIES; i++) text_print(t, "edgec_request_duration_seconds_bucket{le=\"%g\"} %ld\n", limits[i], count += below[i]);
  count += below[LATENCIES];
  text_print(t, "edgec_request_duration_seconds_bucket{le=\"+Inf\"} %ld\nedgec_request_duration_seconds_sum %.9f\nedgec_request_duration_seconds_count %ld\n", count, answered_seconds, count);
  pthread_mutex_unlock(&lock);
  text_print(t, "# HELP edgec_images_total Images that ran.\n# TYPE edgec_images_total counter\nedgec_images_total %ld\n", c.done);
  text_print(t, "# HELP edgec_images_failed_total Images that were refused.\n# TYPE edgec_images_failed_total counter\nedgec_images_failed_total %ld\n", c.failed);
  text_print(t, "# HELP edgec_images_seconds_total Time of all runs together, with decoding and preparing.\n# TYPE edgec_images_seconds_total counter\nedgec_images_seconds_total %.9f\n", c.seconds);
  text_print(t, "# HELP edgec_images_waiting Images in the queue.\n# TYPE edgec_images_waiting gauge\nedgec_images_waiting %ld\n", c.waiting);
  text_print(t, "# HELP edgec_connections Open connections.\n# TYPE edgec_connections gauge\nedgec_connections %d\n", connections);
}

void metrics_count(int status, double took) {
  int i = 0;
  while (i < LATENCIES && took > limits[i]) i++;
  pthread_mutex_lock(&lock);
  answered[status]++;
  below[i]++;
  answered_seconds += took;
  pthread_mutex_unlock(&lock);
}
