/* Regions of POSIX shared memory that clients have named: the extension system_shared_memory of KServe v2.

   A client may cut off a region at any moment. The missing pages then become zeros of this process alone, and the region is
   broken: what was read from it, or written to it, counts no more. */
#ifndef EDGEC_REGIONS_H
#define EDGEC_REGIONS_H

#include "text.h"

#include <stdint.h>

typedef struct region region;

/* Allow regions whose key begins with this, behind its slash. 0, or -1: the signal for lost pages cannot be handled. */
int regions_allow(const char *prefix);
int regions_allowed(void);

/* NULL, or why not. */
const char *region_register(const char *name, const char *key, int64_t offset, int64_t size);

/* 0, or -1: there is no such region. One that is in use stays until it no longer is. NULL: all. */
int region_unregister(const char *name);

/* Write the regions, or the one of this name, as JSON. 0, or -1: there is none. */
int regions_tell(const char *name, text *into);

/* Use a part of a region, until region_release. NULL if there is none, or the part is not inside it. */
region *region_use(const char *name, int64_t offset, int64_t size, uint8_t **at);
int region_is_broken(region *r);
void region_release(region *r); /* NULL is allowed */

#endif
