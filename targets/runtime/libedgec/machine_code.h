/* The machine code of an engine, from the shared library in its file into memory, without the system's loader: so
   programs without one, static ones, can open engines, too, and any C library will do. */
#ifndef EDGEC_MACHINE_CODE_H
#define EDGEC_MACHINE_CODE_H

#include "edgec.h"
#include "engine.h"

typedef struct {
  void *memory;
  size_t size;
  const edgec_program *program; /* edgec_generated of that library */
} edgec_code;

/* Load an ELF file that was compared with its digest: what it says about itself is checked, its instructions are not. */
edgec_status edgec_load_code(const uint8_t *elf, size_t size, edgec_code *code, edgec_error *error);
void edgec_unload_code(edgec_code *code); /* a zeroed one is allowed */

#endif
