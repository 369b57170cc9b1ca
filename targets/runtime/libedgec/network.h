/* What the handles are. */
#ifndef EDGEC_NETWORK_H
#define EDGEC_NETWORK_H

#include "executor.h"
#include "fit.h"
#include "machine_code.h"
#include "manifest.h"

struct edgec_network {
  edgec_code code;
  uint8_t *constants;
  edgec_manifest manifest; /* without strings and classes for an engine file */
  char instructions[32], sha256[65];
};

#endif
