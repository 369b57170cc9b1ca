/* How a picture of any size becomes the model's input: Preprocessing of preprocess.py. */
#ifndef EDGEC_FIT_H
#define EDGEC_FIT_H

#include "resize.h"

enum { FIT_PAD, FIT_LETTERBOX, FIT_CROP, FIT_STRETCH };

typedef struct {
  int64_t height, width, channels; /* of the input */
  int fit;
  int64_t resize;    /* with FIT_CROP: of the shorter side; 0: no more than needed */
  uint8_t border[4]; /* one value a channel, around what FIT_PAD and FIT_LETTERBOX place in the middle */
} edgec_fitting;

/* Generated for each network. */
extern const edgec_fitting edgec_pictures;

/* Which part of a picture is scaled, to what, and where in the input it goes. */
typedef struct {
  edgec_scaling scaling;    /* of the part that begins at `top`, `left`; its stride is not set */
  int64_t top, left;        /* in the picture */
  int64_t to_top, to_left;  /* in the input: what is around it is border */
} edgec_placement;

/* Place a picture of a size. */
edgec_placement edgec_place(const edgec_fitting *how, int64_t height, int64_t width);

/* Set the whole input to the border, if the placed picture leaves any of it free. */
void edgec_set_border(const edgec_fitting *how, const edgec_placement *at, uint8_t *input);

/* Write the input, uint8 [height][width][channels], for a picture uint8 [height][width][channels] of another size.
   0, or -1 if there is not enough memory. */
int edgec_fit(const edgec_fitting *how, const uint8_t *picture, int64_t height, int64_t width, uint8_t *input);

#endif
