/* JPEG pictures (ITU-T T.81) with Huffman codes and 8 bits: baseline, extended and progressive. The arithmetic is that of
   libjpeg-turbo as OpenCV uses it. A file with any damage is refused. */
#ifndef EDGEC_JPEG_H
#define EDGEC_JPEG_H

#include "picture.h"

int edgec_is_jpeg(const uint8_t *file, size_t size);

/* As edgec_decode_picture, but the file stays as it is. */
const char *edgec_decode_jpeg(const uint8_t *file, size_t size, int channels, edgec_picture *picture);

#endif
