#ifndef EDGEC_INFER_H
#define EDGEC_INFER_H

#include "kserve.h"

/* Answer a POST of .../infer. */
void infer(const service *s, const request *r, answer *a);

#endif
