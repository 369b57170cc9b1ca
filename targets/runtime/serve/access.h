/* Who may ask the service. */
#ifndef EDGEC_ACCESS_H
#define EDGEC_ACCESS_H

#include "request.h"

typedef struct {
  const char *token; /* NULL: none is needed */
  int here_alone;    /* the service is for this machine */
} access_rule;

/* Take the secret from EDGEC_TOKEN. Return NULL, or why a service at `host` must not start. */
const char *access_token(access_rule *rule, const char *host, int without_token);

/* Return NULL if the request is allowed, or why not. */
const char *access_refusal(const access_rule *rule, const request *r);

#endif
