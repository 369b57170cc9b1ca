#ifndef EDGEC_SHA256_H
#define EDGEC_SHA256_H

#include <stddef.h>

/* Write the digest of `bytes` as 64 hexadecimal digits and a zero: FIPS 180-4. */
void edgec_sha256(const void *bytes, size_t size, char digest[65]);

#endif
