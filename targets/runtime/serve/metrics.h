/* Numbers of the service, as Prometheus reads them. */
#ifndef EDGEC_METRICS_H
#define EDGEC_METRICS_H

#include "kserve.h"

/* Count an answer: its status, and the seconds from the request's last byte. */
void metrics_count(int status, double took);

/* Answer with all numbers. */
void metrics_answer(answer *a, int connections);

#endif
