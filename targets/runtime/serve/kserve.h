/* The Open Inference Protocol (KServe v2) for one network, with the binary tensors and classes of Triton's extensions. */
#ifndef EDGEC_KSERVE_H
#define EDGEC_KSERVE_H

#include "edgec.h"
#include "request.h"
#include "text.h"

typedef struct {
  const edgec_network *network;
  edgec_description about;
  const char *name;
} service;

typedef struct {
  int status;
  const char *type;
  text body;
  size_t header; /* how many bytes of the body are JSON, where binary tensors follow it; or 0 */
} answer;

/* Answer to everything below /v2. */
void kserve_answer(const service *s, const request *r, answer *a);

/* Write an error as JSON. */
void refuse(answer *a, int status, const char *why);

#endif
