/* Frames of cameras, row by row, as RGB or gray. */
#ifndef EDGEC_FRAME_H
#define EDGEC_FRAME_H

#include "edgec.h"

/* Check a frame's description, and set crop sizes that are 0. Frames have at most `max_height` x `max_width` pixels. */
edgec_status edgec_check_frame(edgec_frame *frame, int32_t max_height, int32_t max_width, edgec_error *error);

/* Whether the frame's own rows are pixels of `channels` channels in the network's order, so that nothing is to be converted. */
int edgec_is_ready(const edgec_frame *frame, int64_t channels);

/* Write the pixels of one row of the frame, from column `begin`, which is even, up to `end`: 3 channels, RGB, or 1, gray. */
void edgec_convert_row(const edgec_frame *frame, int64_t row, int64_t begin, int64_t end, int64_t channels, uint8_t *out);

#endif
