/* RFC 1950 and 1951: unpacking. */
#ifndef EDGEC_INFLATE_H
#define EDGEC_INFLATE_H

#include <stddef.h>
#include <stdint.h>

/* Unpack a zlib stream into exactly `size` bytes. 0, or -1 if the stream is damaged. */
int edgec_inflate(const uint8_t *packed, size_t packed_size, uint8_t *out, size_t size);

/* The same for deflated data without anything around it; `used` is how many bytes of `packed` it takes. */
int edgec_inflate_deflated(const uint8_t *packed, size_t packed_size, size_t *used, uint8_t *out, size_t size);

#endif
