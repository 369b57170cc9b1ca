/* Limits of the service. docs/reliability.md has them as a table. */
#ifndef EDGEC_BOUNDS_H
#define EDGEC_BOUNDS_H

enum {
  SERVE_CONNECTIONS = 64,
  SERVE_HEAD_BYTES = 1 << 14,
  SERVE_BODY_BYTES = 1 << 26,
  SERVE_ALL_BODIES_BYTES = 1 << 27, /* of all requests at the same time, and once more for their answers */
  SERVE_DECODING_BYTES = 1 << 29,   /* of memory in which picture files are decoded at the same time */
  SERVE_IMAGES = 64,                /* of one request */
  SERVE_REGIONS = 64,               /* of shared memory */
  SERVE_QUEUE = 1024,               /* images of all requests */
  SERVE_WORKERS = 256,
  SERVE_STACK_BYTES = 2 << 20,      /* of a thread; edgec.h: a run needs 1 MiB */
  SERVE_REQUEST_SECONDS = 20,       /* from a request's first byte to its last, and for the answer as long */
  SERVE_IDLE_SECONDS = 60
};

#endif
