#ifndef EDGEC_CAMERA_FRAME_H
#define EDGEC_CAMERA_FRAME_H

#include "edgec.h"
#include "json.h"

/* Read a request's parameters about its frames: pixels, matrix, range, height, width, strides and crop. NULL, or what is wrong. */
const char *frame_read(edgec_json told, edgec_frame *f);

/* Where the planes of a frame lie, one behind the other; returns its bytes. `at` may be NULL. */
int64_t frame_lay_out(edgec_frame *f, const uint8_t *at);

#endif
