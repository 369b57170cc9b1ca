/* PROGRAM BUNDLE: runs in a process that may only write and end, and whose allocator counts. */
#include "edgec.h"

#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MEMORY = 64 << 20 };

static _Alignas(4096) unsigned char memory[MEMORY];
static size_t used;
static int calls;

/* The program's own allocator, which libedgec and the C library call, too. */
void *aligned_alloc(size_t alignment, size_t size) {
  size_t at = (used + 16 + alignment - 1) / alignment * alignment;
  calls++;
  if (size > MEMORY || at > MEMORY - size) return NULL;
  memcpy(memory + at - 16, &size, sizeof size);
  used = at + size;
  return memory + at;
}
void *malloc(size_t size) { return aligned_alloc(64, size); }
void *calloc(size_t count, size_t size) { return aligned_alloc(64, count * size); } /* never used before: zeros */
void *realloc(void *old, size_t size) {
  void *fresh = malloc(size);
  size_t before = 0;
  if (old) memcpy(&before, (unsigned char *)old - 16, sizeof before);
  if (fresh && old) memcpy(fresh, old, before < size ? before : size);
  return fresh;
}
void free(void *old) { calls += old != NULL; }

static unsigned char plane[3][64 * 64 * 4];
static float logits[64];
static unsigned char pixels[64 * 64 * 3];

int main(int count, char **arguments) {
  edgec_network *network;
  edgec_context *context;
  edgec_error error;
  if (count < 2 || edgec_open(arguments[1], NULL, &network, &error) || edgec_context_new(network, NULL, &context, &error)) return 1;
  edgec_frame frame = {.matrix = EDGEC_BT709, .range = EDGEC_FULL_RANGE, .height = 64, .width = 64,
                       .planes = {plane[0], plane[1], plane[2]}, .strides = {256, 256, 256}};
  int before = calls;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)) return 3;
  for (int n = 0; n < 20; n++) {
    edgec_run(context, pixels, logits);
    for (frame.pixels = EDGEC_RGB; frame.pixels <= EDGEC_UYVY; frame.pixels++)
      if (edgec_run_frame(context, &frame, logits, &error)) syscall(SYS_exit, 4);
    edgec_frame wrong = {.pixels = EDGEC_NV12};
    if (edgec_run_frame(context, &wrong, logits, &error) != EDGEC_BAD_FRAME) syscall(SYS_exit, 5);
  }
  static const char none[] = "no call\n", some[] = "the allocator was called\n";
  if (calls == before) write(1, none, sizeof none - 1);
  else write(1, some, sizeof some - 1);
  syscall(SYS_exit, 0);
}
