/* The queue of images of all requests, the contexts, and the threads that take images from the queue. */
#ifndef EDGEC_JOBS_H
#define EDGEC_JOBS_H

#include "edgec.h"
#include "picture_files.h"

typedef struct batch batch;

typedef struct {
  batch *of;
  const uint8_t *pixels; /* the network's input, or NULL: */
  picture_file file;     /* or none: */
  edgec_frame frame;
  float *logits;
} job;

struct batch {
  int left; /* images that are not done */
  edgec_error error; /* of one of those that failed */
};

typedef struct {
  long waiting, done, failed;
  double seconds; /* of all runs together */
} job_counts;

/* 0, or -1 with an error. */
int jobs_start(const edgec_network *network, int workers, edgec_error *error);

/* Run all and wait. One alone runs in the caller's thread if a context is idle. 0, or -1: the queue is too full. */
int jobs_run(job *jobs, int count, batch *b);

job_counts jobs_counted(void);

#endif
