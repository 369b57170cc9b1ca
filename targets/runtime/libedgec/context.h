#ifndef EDGEC_CONTEXT_H
#define EDGEC_CONTEXT_H

#include "network.h"

struct edgec_context {
  const edgec_network *network;
  edgec_executor *executor;
  edgec_context_options limits;
  uint8_t *band, *scratch, *pixels; /* rows that were converted, of the resize, the network's input */
};

#endif
