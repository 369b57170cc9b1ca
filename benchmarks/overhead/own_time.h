/* Where edgec_run_frame's own time is told: the file of EDGEC_OWN_TIME, in the memory of all who measure. */
#ifndef OWN_TIME_H
#define OWN_TIME_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  long long last;      /* nanoseconds of the last run, by the clock */
  long long processor; /* of its thread, of all runs together */
} own_time;

static long long clock_of(clockid_t which) {
  struct timespec t;
  clock_gettime(which, &t);
  return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* NULL: nobody asks for it. */
static volatile own_time *own_time_of_runs(void) {
  static volatile own_time *found;
  const char *path = getenv("EDGEC_OWN_TIME");
  int file = found || !path ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return found;
  void *at = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (at != MAP_FAILED) found = (volatile own_time *)at;
  return found;
}

#endif
