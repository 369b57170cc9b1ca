/* Runs a target without libFuzzer: every file, and then random changes of them. FILES... with RUNS and SEED in the
   environment; the same runs for the same seed, so a finding is found again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state;
static uint32_t next(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (uint32_t)(state >> 16);
}

int main(int count, char **arguments) {
  enum { MOST = 1 << 16 };
  static uint8_t data[MOST], changed[MOST];
  const char *runs = getenv("RUNS"), *seed = getenv("SEED");
  long left = runs ? atol(runs) : 1000;
  state = 88172645463325252ull + (seed ? (uint64_t)atol(seed) * 2654435761u : 0);
  for (int i = 1; i < count; i++) {
    FILE *file = fopen(arguments[i], "rb");
    size_t size = file ? fread(data, 1, MOST, file) : 0;
    if (file) fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    for (long run = 0; run < left && size; run++) {
      size_t length = size;
      memcpy(changed, data, size);
      for (uint32_t n = 1 + next() % 6; n; n--) switch (next() % 5) {
          case 0: changed[next() % length] ^= (uint8_t)(1 << next() % 8); break;
          case 1: changed[next() % length] = (uint8_t)next(); break;
          case 2: changed[next() % length] = (uint8_t[]){0, 1, 0x7f, 0x80, 0xff}[next() % 5]; break;
          case 3: length -= next() % (length / 4 + 1); length += !length; break;
          default: memmove(changed + next() % length / 2, changed + next() % length / 2, length / 2);
        }
      LLVMFuzzerTestOneInput(changed, length);
    }
  }
  printf("%d files, %ld changes of each\n", count - 1, left);
  return 0;
}
