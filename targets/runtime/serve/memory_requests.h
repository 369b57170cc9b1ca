#ifndef EDGEC_MEMORY_REQUESTS_H
#define EDGEC_MEMORY_REQUESTS_H

#include "kserve.h"

/* Answer to everything below /v2/systemsharedmemory: `path` is what follows. */
void memory_answer(const request *r, const char *path, answer *a);

#endif
