/* Picture files, as OpenCV decodes them: the same pixels, or the file is refused. */
#ifndef EDGEC_PICTURE_H
#define EDGEC_PICTURE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  int height, width;
  uint8_t *pixels; /* [height][width][channels]; the caller frees it */
} edgec_picture;

/* Read a JPEG or PNG with 1 (gray) or 3 (RGB) channels, turned upright. NULL, or what is wrong with the file. */
const char *edgec_read_picture(const char *path, int channels, edgec_picture *picture);

/* The same for a file's content, which is overwritten. */
const char *edgec_decode_picture(uint8_t *file, size_t size, int channels, edgec_picture *picture);

#endif
