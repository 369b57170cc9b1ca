#ifndef EDGEC_PROCESSOR_H
#define EDGEC_PROCESSOR_H

/* Whether this processor, and its system, have what an instruction set of engines needs: NEEDED in cpu.py. */
int edgec_processor_has(const char *instructions);

#endif
