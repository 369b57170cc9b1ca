/* Picture files in requests: decoded and brought to the network's size by libedgec. */
#ifndef EDGEC_PICTURE_FILES_H
#define EDGEC_PICTURE_FILES_H

#include "edgec.h"

typedef struct {
  const uint8_t *bytes; /* NULL: there is none */
  size_t size;
} picture_file;

/* Find the `count` files of a BYTES tensor: four bytes with a file's length, the lowest first, then the file. NULL, or what is
   wrong. */
const char *pictures_find(const uint8_t *tensor, size_t size, int64_t count, picture_file *files);

/* Write the logits of a JPEG or PNG file of any size. Waits until the files that other threads decode leave it enough of
   SERVE_DECODING_BYTES. EDGEC_OK, or a status with an error. */
edgec_status picture_run(const edgec_network *network, edgec_context *context, picture_file file, float *logits, edgec_error *error);

#endif
