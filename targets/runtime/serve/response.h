/* An answer as HTTP/1.1 (RFC 9112). */
#ifndef EDGEC_RESPONSE_H
#define EDGEC_RESPONSE_H

#include "kserve.h"

/* keep: the connection, after the answer. 0, or another number if not all could be sent in time. */
int response_send(int connection, const answer *a, int keep);

#endif
