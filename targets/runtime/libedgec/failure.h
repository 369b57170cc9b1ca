/* How functions of the library say what went wrong. */
#ifndef EDGEC_FAILURE_H
#define EDGEC_FAILURE_H

#include "edgec.h"

/* Fill `error`, unless it is NULL, and return `status`. */
edgec_status edgec_fail(edgec_error *error, edgec_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
edgec_status edgec_succeed(edgec_error *error);

#endif
