/* One HTTP/1.1 request (RFC 9112), read in full: ambiguous requests are refused. */
#ifndef EDGEC_REQUEST_H
#define EDGEC_REQUEST_H

#include "bounds.h"

#include <stddef.h>

typedef struct {
  const char *method, *path; /* the path is decoded, without what is behind a question mark */
  const char *host, *origin, *authorization, *site, *inference_header;
  char *body; /* with a zero behind it */
  size_t body_size;
  int keep; /* the connection, after the answer */
  char head[SERVE_HEAD_BYTES + 1];
} request;

/* Once for a connection: request_read gives up where no request begins for SERVE_IDLE_SECONDS. */
void request_wait_at_most(int connection);

/* Return 0, the status with which it is refused, or -1 if the client is gone. Unless 0, the connection has to be closed. */
int request_read(int connection, request *r, const char **why);
void request_free(request *r);

/* 0, or -1 if not all could be sent in time. */
int send_all(int connection, const void *bytes, size_t size);

#endif
