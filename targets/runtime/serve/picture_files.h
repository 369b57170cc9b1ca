/* Picture files in requests: decoded and brought to the network's size by libedgec. */
#ifndef EDGEC_PICTURE_FILES_H
#define EDGEC_PICTURE_FILES_H

#include "edgec.h"

/* Write the network's input for a JPEG or PNG file of any size. One thread decodes at a time, since a file of a megabyte may
   take hundreds of them. EDGEC_OK, or a status with an error. */
edgec_status picture_prepare(const edgec_network *network, const uint8_t *file, size_t size, uint8_t *pixels, edgec_error *error);

/* The same for each of `count` files of a BYTES tensor: four bytes with a file's length, the lowest first, then the file. */
edgec_status pictures_prepare(const edgec_network *network, const uint8_t *tensor, size_t size, int64_t count, uint8_t *pixels,
                              edgec_error *error);

#endif
