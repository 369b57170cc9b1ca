/* PROGRAM BUNDLE ANOTHER PICTURE PICTURE: both networks by turns in eight threads, of frames and of files that each decodes, and
   what cannot be opened: for sanitizers. */
#include "edgec.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, RUNS = 60, LOGITS = 64, SIDE = 48, FILES = 2 };

static edgec_network *networks[2];
static uint8_t pictures[THREADS][SIDE * SIDE * 3];
static float expected[THREADS][2][LOGITS], of_files[FILES][2][LOGITS];
static struct {
  char bytes[1 << 16];
  size_t size;
} files[FILES];

/* A file's logits by a network, whose frame is as large as the context takes. */
static int run_file(edgec_context *context, int file, int k, float *logits) {
  edgec_frame frame;
  int wrong = edgec_decode(networks[k], files[file].bytes, files[file].size, &frame, NULL) || edgec_run_frame(context, &frame, logits, NULL);
  edgec_free_decoded(&frame);
  return wrong;
}

static int run_both(int n, int threads, int runs, int is_first) {
  edgec_context *contexts[2];
  edgec_context_options options = {sizeof options, threads, SIDE, SIDE};
  edgec_frame frame = {.pixels = EDGEC_BGR, .height = SIDE, .width = SIDE, .planes = {pictures[n]}, .strides = {SIDE * 3}};
  int wrong = 0;
  for (int k = 0; k < 2; k++)
    if (edgec_context_new(networks[k], &options, &contexts[k], NULL)) return 1;
  for (int run = 0; run < runs; run++)
    for (int k = 0; k < 2; k++) {
      float logits[LOGITS] = {0};
      wrong |= edgec_run_frame(contexts[k], &frame, is_first ? expected[n][k] : logits, NULL) != EDGEC_OK;
      wrong |= !is_first && memcmp(logits, expected[n][k], sizeof logits) != 0;
      for (int file = 0; file < FILES && run % 10 == 0; file++) {
        float decoded[LOGITS] = {0};
        wrong |= run_file(contexts[k], file, k, is_first ? of_files[file][k] : decoded);
        wrong |= !is_first && memcmp(decoded, of_files[file][k], sizeof decoded) != 0;
      }
    }
  for (int k = 0; k < 2; k++) edgec_context_free(contexts[k]);
  return wrong;
}

static void *work(void *argument) {
  int n = *(int *)argument;
  return run_both(n, 1 + n % 3, RUNS, 0) ? argument : NULL;
}

static int read_files(char **paths) {
  for (int i = 0; i < FILES; i++) {
    FILE *file = fopen(paths[i], "rb");
    if (!file) return -1;
    files[i].size = fread(files[i].bytes, 1, sizeof files[i].bytes, file);
    fclose(file);
  }
  return 0;
}

static int opens_what_is_cut_off(const char *path) {
  FILE *file = fopen(path, "rb");
  static char bytes[4 << 20];
  size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
  int opened = 0;
  for (int eighth = 0; eighth < 8; eighth++) {
    edgec_network *network;
    edgec_error error;
    opened += !edgec_open_memory(bytes, size * (size_t)eighth / 8, NULL, &network, &error);
    edgec_close(network);
  }
  if (file) fclose(file);
  return opened || !size;
}

int main(int count, char **arguments) {
  pthread_t threads[THREADS];
  int numbers[THREADS], wrong = 0;
  if (count < 3 + FILES || read_files(arguments + 3) || edgec_open(arguments[1], NULL, &networks[0], NULL) || edgec_open(arguments[2], NULL, &networks[1], NULL)) return 1;
  for (int n = 0; n < THREADS; n++) {
    for (int i = 0; i < SIDE * SIDE * 3; i++) pictures[n][i] = (uint8_t)(i * (n + 3) + i / 97);
    wrong |= run_both(n, 1, 1, 1);
    numbers[n] = n;
  }
  for (int n = 0; n < THREADS; n++)
    if (pthread_create(&threads[n], NULL, work, &numbers[n])) return 1;
  for (int n = 0; n < THREADS; n++) {
    void *failed;
    pthread_join(threads[n], &failed);
    wrong |= failed != NULL;
  }
  wrong |= opens_what_is_cut_off(arguments[1]);
  for (int k = 0; k < 2; k++) edgec_close(networks[k]);
  puts(wrong ? "wrong" : "the same logits");
  return wrong;
}
