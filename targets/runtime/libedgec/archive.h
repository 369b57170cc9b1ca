/* A .edgec file: a gzipped tar as pipeline/bundle/pack.py writes it, and no other. */
#ifndef EDGEC_ARCHIVE_H
#define EDGEC_ARCHIVE_H

#include "edgec.h"

typedef struct {
  const uint8_t *bytes;
  size_t size;
} edgec_part;

/* Whether bytes begin as a gzip file does. */
int edgec_is_packed(edgec_part file);

/* Unpack a gzip file into memory that the caller frees. */
edgec_status edgec_unpack(edgec_part file, uint8_t **memory, size_t *size, edgec_error *error);

/* The file called `name` below the single folder of a tar; its bytes are NULL if it is not there, or is there twice.
   -1 if it is not a tar of edgec's. */
int edgec_find_in_tar(edgec_part tar, const char *name, edgec_part *found);

#endif
