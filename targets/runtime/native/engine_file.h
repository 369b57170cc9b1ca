/* Reading an engine file with a program that is linked in: the engine's own, or its library in Python. */
#ifndef EDGEC_ENGINE_FILE_H
#define EDGEC_ENGINE_FILE_H

#include "executor.h"

typedef struct {
  uint8_t *constants;
  edgec_executor *executor;
} edgec_engine;

/* Read a footer; NULL or what is wrong with the file. */
const char *edgec_read_footer(const char *path, edgec_footer *footer);

/* Load the constants from the file at `path` and start `threads` threads, the caller's included, for edgec_generated.
   Returns NULL, or what went wrong; then nothing is to be closed. */
const char *edgec_engine_open(const char *path, int threads, edgec_engine *engine);
void edgec_engine_close(edgec_engine *engine);

#endif
