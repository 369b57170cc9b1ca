/* libFuzzer's entry: the end of an engine file, read as the program reads its own. */
#define _GNU_SOURCE
#include "engine_file.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static const edgec_step steps[1] = {{0}};
const edgec_program edgec_generated = {
    .steps = steps, .arena_size = 64, .constants_size = 64, .height = 4, .width = 4, .channels = 3, .classes = 10, .output_pixels = 1};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  int memory = memfd_create("engine", 0);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
  if (memory >= 0 && write(memory, data, size) == (ssize_t)size) {
    edgec_footer footer;
    edgec_read_footer(path, &footer);
    edgec_engine engine;
    if (!edgec_engine_open(path, 1, &engine)) edgec_engine_close(&engine);
  }
  close(memory);
  return 0;
}
