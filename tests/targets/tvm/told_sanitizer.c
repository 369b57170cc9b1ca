/* What kernels tell of their accesses, passed on to the sanitizer that the program is compiled with. */
#include "workers.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __has_feature
#define HAS(feature) __has_feature(feature)
#else
#define HAS(feature) 0
#endif

#if defined __SANITIZE_THREAD__ || HAS(thread_sanitizer)
void __tsan_read_range(void *at, size_t size);
void __tsan_write_range(void *at, size_t size);
void told_read(void *at, int64_t size) { __tsan_read_range(at, (size_t)size); }
void told_write(void *at, int64_t size) { __tsan_write_range(at, (size_t)size); }
#else
void __asan_loadN(void *at, size_t size);
void __asan_storeN(void *at, size_t size);
void told_read(void *at, int64_t size) { __asan_loadN(at, (size_t)size); }
void told_write(void *at, int64_t size) { __asan_storeN(at, (size_t)size); }
#endif

/* Linked in the place of the runtime's own: nobody computes alone because others have not woken up. */
int __wrap_edgec_workers_awake(edgec_workers *w) {
  edgec_workers_wake(w);
  return 1;
}
