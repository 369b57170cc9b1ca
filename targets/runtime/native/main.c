/* The static command-line program. The engine follows it in the same file, which it reads through its own path. */
#define _GNU_SOURCE
#include "engine_file.h"
#include "fit.h"
#include "picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: ENGINE selftest [--threads N]             compare logits of embedded images with the expected bits\n"
    "       ENGINE bench [--runs N] [--threads N]     time inference on this machine\n"
    "       ENGINE classify PICTURE [--threads N]     the five most probable classes of a JPEG or PNG of any size,\n"
    "                                             or those of most of its pixels if the network classifies these\n"
    "       ENGINE logits [--threads N]               raw uint8 images on stdin to raw float32 logits on stdout\n";

static char self[4096];
static edgec_engine engine;

static int fail(const char *message) {
  fprintf(stderr, "%s\n", message);
  return 1;
}

static size_t image_bytes(void) { return (size_t)(edgec_generated.height * edgec_generated.width * edgec_generated.channels); }

static int option(int count, char **arguments, const char *name, int otherwise) {
  for (int i = 2; i + 1 < count; i++)
    if (!strcmp(arguments[i], name)) {
      char *end;
      long value = strtol(arguments[i + 1], &end, 10);
      if (*end || value < 1 || value > 1000000000) {
        fprintf(stderr, "%s needs a number from 1 on, not '%s'\n", name, arguments[i + 1]);
        exit(2);
      }
      return (int)value;
    }
  return otherwise;
}

static int selftest(void) {
  edgec_footer footer;
  const char *error = edgec_read_footer(self, &footer);
  if (error) return fail(error);
  if (!footer.golden_count) return fail("the engine holds no golden images");
  size_t pixels = image_bytes(), classes = (size_t)edgec_generated.classes;
  uint8_t *image = malloc(pixels);
  float *expected = malloc(classes * sizeof *expected), *found = malloc(classes * sizeof *found);
  FILE *file = fopen(self, "rb");
  if (!image || !expected || !found || !file || fseek(file, (long)footer.golden_offset, SEEK_SET))
    return fail("the golden images cannot be read");
  for (uint64_t n = 0; n < footer.golden_count; n++) {
    if (fread(image, 1, pixels, file) != pixels || fread(expected, sizeof *expected, classes, file) != classes)
      return fail("the golden images cannot be read");
    edgec_executor_run(engine.executor, image, found);
    for (size_t k = 0; k < classes; k++)
      if (memcmp(&found[k], &expected[k], sizeof *found)) {
        printf("FAIL: image %d, logit %d is %a (%g), expected %a (%g)\n", (int)n, (int)k, found[k], found[k],
               expected[k], expected[k]);
        return 1;
      }
  }
  printf("pass: %d images, all %d logits bit for bit\n", (int)footer.golden_count, (int)edgec_generated.classes);
  fclose(file);
  free(image);
  free(expected);
  free(found);
  return 0;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double milliseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int bench(int runs) {
  uint8_t *image = malloc(image_bytes());
  float *logits = malloc((size_t)edgec_generated.classes * sizeof *logits);
  double *times = malloc((size_t)runs * sizeof *times);
  if (!image || !logits || !times) return fail("not enough memory");
  for (size_t i = 0; i < image_bytes(); i++) image[i] = (uint8_t)(i * 37 + (i >> 8));
  for (int i = 0; i < runs; i++) {
    double start = milliseconds();
    edgec_executor_run(engine.executor, image, logits);
    times[i] = milliseconds() - start;
  }
  double first = times[0];
  qsort(times, (size_t)runs, sizeof *times, by_size);
  printf("{\"runs\": %d, \"threads\": %d, \"first_ms\": %.4f, \"min_ms\": %.4f, \"p50_ms\": %.4f, \"p99_ms\": %.4f}\n", runs,
         edgec_executor_threads(engine.executor), first, times[0], times[runs / 2], times[(runs - 1) * 99 / 100]);
  free(image);
  free(logits);
  free(times);
  return 0;
}

static int logits(void) {
  uint8_t *image = malloc(image_bytes());
  float *result = malloc((size_t)edgec_generated.classes * sizeof *result);
  if (!image || !result) return fail("not enough memory");
  size_t count;
  while ((count = fread(image, 1, image_bytes(), stdin)) == image_bytes()) {
    edgec_executor_run(engine.executor, image, result);
    if (fwrite(result, sizeof *result, (size_t)edgec_generated.classes, stdout) != (size_t)edgec_generated.classes)
      return fail("the logits cannot be written");
    fflush(stdout); /* a sender of single images waits for their logits */
  }
  if (count) return fail("the last image on stdin is cut off");
  free(image);
  free(result);
  return 0;
}

static int areas(const float *logits) {
  int64_t pixels = edgec_generated.output_pixels, classes = edgec_generated.classes / pixels;
  int64_t *counts = calloc((size_t)classes, sizeof *counts);
  if (!counts) return fail("not enough memory");
  for (int64_t p = 0; p < pixels; p++) {
    int64_t best = 0;
    for (int64_t k = 1; k < classes; k++)
      if (logits[k * pixels + p] > logits[best * pixels + p]) best = k;
    counts[best]++;
  }
  for (int place = 0; place < 5 && place < classes; place++) {
    int64_t most = 0;
    for (int64_t k = 1; k < classes; k++)
      if (counts[k] > counts[most]) most = k;
    if (!counts[most]) break;
    printf("class %d  %.2f %% of the pixels\n", (int)most, 100.0 * (double)counts[most] / (double)pixels);
    counts[most] = 0;
  }
  free(counts);
  return 0;
}

static int likeliest(float *logits) {
  for (int place = 0; place < 5 && place < edgec_generated.classes; place++) {
    int best = 0;
    for (int k = 1; k < edgec_generated.classes; k++)
      if (logits[k] > logits[best]) best = k;
    printf("class %d  logit %.4f\n", best, logits[best]);
    logits[best] = -INFINITY;
  }
  return 0;
}

/* What stands first among logits that are not numbers means nothing. */
static int check_finite(const char *path, const float *logits) {
  int wrong = 0;
  for (int k = 0; k < edgec_generated.classes; k++) wrong += !isfinite(logits[k]);
  if (wrong)
    fprintf(stderr, "%s: the engine gave %d of %d logits that are not numbers, so there is no class\n", path, wrong,
            (int)edgec_generated.classes);
  return wrong > 0;
}

static int classify(const char *path) {
  edgec_picture picture;
  const char *error = edgec_read_picture(path, (int)edgec_generated.channels, &picture);
  if (error) {
    fprintf(stderr, "%s: %s\n", path, error);
    return 1;
  }
  uint8_t *input = malloc(image_bytes());
  float *result = malloc((size_t)edgec_generated.classes * sizeof *result);
  if (!input || !result || edgec_fit(&edgec_pictures, picture.pixels, picture.height, picture.width, input))
    return fail("not enough memory");
  edgec_executor_run(engine.executor, input, result);
  int status = check_finite(path, result);
  if (!status) status = edgec_generated.output_pixels > 1 ? areas(result) : likeliest(result);
  free(result);
  free(input);
  free(picture.pixels);
  return status;
}

int main(int count, char **arguments) {
  const char *command = count > 1 ? arguments[1] : "";
  int picture = !strcmp(command, "classify");
  if ((strcmp(command, "selftest") && strcmp(command, "bench") && strcmp(command, "logits") && !picture) ||
      (picture && count < 3)) {
    fputs(usage, stderr);
    return 2;
  }
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length <= 0) return fail("/proc is not mounted, so the program cannot find its own file");
  const char *error = edgec_engine_open(self, option(count, arguments, "--threads", 1), &engine);
  if (error) return fail(error);
  int status = !strcmp(command, "selftest") ? selftest()
               : !strcmp(command, "bench")  ? bench(option(count, arguments, "--runs", 100))
               : !strcmp(command, "logits") ? logits()
                                            : classify(arguments[2]);
  edgec_engine_close(&engine);
  return status;
}
