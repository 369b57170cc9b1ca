#define _GNU_SOURCE
#include "engine_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_at(int file, void *into, uint64_t bytes, uint64_t offset) {
  for (uint64_t done = 0; done < bytes;) {
    ssize_t count = pread(file, (char *)into + done, bytes - done, (off_t)(offset + done));
    if (count <= 0) return -1;
    done += (uint64_t)count;
  }
  return 0;
}

static const char *footer_of(int file, edgec_footer *footer) {
  struct stat status;
  if (fstat(file, &status) || status.st_size < (off_t)sizeof *footer ||
      read_at(file, footer, sizeof *footer, (uint64_t)status.st_size - sizeof *footer))
    return "the engine file is too short";
  if (memcmp(footer->magic, EDGEC_MAGIC, sizeof footer->magic))
    return "the file is not an edgec engine of this version, or it was cut off";
  return edgec_footer_fits(footer, &edgec_generated, (uint64_t)status.st_size) ? NULL : "the engine file is damaged";
}

const char *edgec_read_footer(const char *path, edgec_footer *footer) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return "the engine file cannot be opened";
  const char *error = footer_of(file, footer);
  close(file);
  return error;
}

static const char *load(int file, int threads, edgec_engine *engine) {
  edgec_footer footer;
  const char *error = footer_of(file, &footer);
  if (error) return error;
  engine->constants = edgec_allocate((size_t)footer.constants_size);
  if (!engine->constants) return "not enough memory";
  if (read_at(file, engine->constants, footer.constants_size, footer.constants_offset))
    return "the engine file cannot be read";
  engine->executor = edgec_executor_start(&edgec_generated, engine->constants, threads);
  return engine->executor ? NULL : "there is not enough memory, or the threads cannot be started";
}

const char *edgec_engine_open(const char *path, int threads, edgec_engine *engine) {
  memset(engine, 0, sizeof *engine);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return "the engine file cannot be opened";
  const char *error = load(file, threads, engine);
  close(file);
  if (error) edgec_engine_close(engine);
  return error;
}

void edgec_engine_close(edgec_engine *engine) {
  edgec_executor_stop(engine->executor);
  free(engine->constants);
  memset(engine, 0, sizeof *engine);
}
