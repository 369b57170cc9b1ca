/* Runs the kernels of one convolution, so that they can be timed or counted.
 *
 *   harness time MILLISECONDS KERNEL...   nanoseconds a run of these, timed in turns: a line a kernel, a number a round.
 *                                         CPU time, so that other processes may run beside it
 *   harness run KERNEL TIMES
 *
 * Every run takes the next of several copies of the weights: in a network, they are cold.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void (*kernel)(const uint8_t *x, const uint8_t *w, const uint8_t *p, const uint8_t *r, uint8_t *y, int64_t begin,
                       int64_t end);
typedef struct {
  kernel run;
  int64_t items;
} candidate;

/* Generated for each convolution. Sizes in bytes. */
extern const candidate candidates[];
extern const int64_t x_size, w_size, w_lists, w_copies, p_size, p_floats, r_size, y_size;

enum { MAX_ROUNDS = 1000, BURST_NS = 200000 };

static uint8_t *x, *w, *p, *r, *y;
static int64_t turn;

static void run(int which) {
  const candidate *c = &candidates[which];
  _Alignas(64) char line[64]; /* as in runtime/native/executor.c */
  __asm__ volatile("" : : "r"(line));
  c->run(x, w + turn++ % w_copies * w_size, p, r, y, 0, c->items);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double burst(int which, int runs) {
  double start = now();
  for (int i = 0; i < runs; i++) run(which);
  return (now() - start) / runs;
}

static void time_in_turns(double nanoseconds, int chosen, char **kernels) {
  double *found = calloc((size_t)chosen * MAX_ROUNDS, sizeof *found), end = now() + nanoseconds;
  int rounds = 0;
  if (!found) exit(1);
  for (; rounds < MAX_ROUNDS && (rounds < 3 || now() < end); rounds++)
    for (int i = 0; i < chosen; i++) {
      int at = rounds % 2 ? chosen - 1 - i : i, which = atoi(kernels[at]);
      double once = burst(which, 1);
      found[at * MAX_ROUNDS + rounds] = burst(which, 1 + (int)(BURST_NS / (once + 1)));
    }
  for (int i = 0; i < chosen; i++)
    for (int round = 0; round < rounds; round++)
      printf("%.1f%c", found[i * MAX_ROUNDS + round], round + 1 < rounds ? ' ' : '\n');
}

static uint8_t *block(int64_t size) {
  uint8_t *memory = aligned_alloc(64, ((size_t)size + 4095) / 4096 * 4096 + 4096);
  if (!memory) exit(1);
  for (int64_t i = 0; i < size; i++) memory[i] = (uint8_t)(i * 37 + i / 251);
  return memory;
}

int main(int arguments, char **argument) {
  if (arguments < 3) return 2;
  x = block(x_size), w = block(w_size * w_copies), p = block(p_size), r = block(r_size), y = block(y_size);
  memset(p, 0, (size_t)p_size);
  memset(x, 0, (size_t)x_size); /* no top bits, as of split activations; below: no weights multiplied twice */
  for (int64_t i = 1; i <= w_copies; i++) memset(w + i * w_size - w_lists, 0, (size_t)w_lists);
  for (int64_t i = 0; i < p_floats; i++) ((float *)p)[p_floats + i] = 1e-4f;
  if (!strcmp(argument[1], "time")) time_in_turns(atof(argument[2]) * 1e6, arguments - 3, argument + 3);
  else if (arguments > 3)
    for (int i = atoi(argument[3]); i--;) run(atoi(argument[2]));
  return 0;
}
