/* The memory that picture files take while they are decoded: a bound for all threads together. */
#ifndef EDGEC_DECODING_MEMORY_H
#define EDGEC_DECODING_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* The most bytes that decoding a file takes, by the size in its header; SERVE_DECODING_BYTES if that is not found at once. */
size_t decoding_memory(const uint8_t *file, size_t size);

/* Wait until so many of SERVE_DECODING_BYTES are free, and take them. Who waits is served before who comes later. */
void decoding_memory_take(size_t bytes);

void decoding_memory_give_back(size_t bytes);

#endif
