#include "processor.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef INSTRUCTION_SETS
#error "no instruction sets: compiled_libedgec.py makes them of NEEDED in cpu.py"
#endif
#define FLAG(name) (1ull << FLAG_##name)

#if defined(__x86_64__)
#include <cpuid.h>

enum { /* in the order of `bits` */
  FLAG_ssse3, FLAG_sse4_1, FLAG_sse4_2, FLAG_popcnt, FLAG_fma, FLAG_avx2, FLAG_bmi2, FLAG_avx512bw, FLAG_avx512dq,
  FLAG_avx512vl, FLAG_avx512cd, FLAG_avx512_vnni, FLAG_avx_vnni, FLAGS
};
enum { YMM = 6, ZMM = 0xe6 }; /* registers that the system keeps, in XCR0 */

/* Intel's manual, volume 2, CPUID: leaf, subleaf, register (EAX, EBX, ECX), bit, and the registers that it needs. */
static const struct { uint32_t leaf, subleaf, place, bit, kept; } bits[FLAGS] = {
    [FLAG_ssse3] = {1, 0, 2, 9, 0},         [FLAG_sse4_1] = {1, 0, 2, 19, 0},      [FLAG_sse4_2] = {1, 0, 2, 20, 0},
    [FLAG_popcnt] = {1, 0, 2, 23, 0},       [FLAG_fma] = {1, 0, 2, 12, YMM},       [FLAG_avx2] = {7, 0, 1, 5, YMM},
    [FLAG_bmi2] = {7, 0, 1, 8, 0},          [FLAG_avx512bw] = {7, 0, 1, 30, ZMM},  [FLAG_avx512dq] = {7, 0, 1, 17, ZMM},
    [FLAG_avx512vl] = {7, 0, 1, 31, ZMM},   [FLAG_avx512cd] = {7, 0, 1, 28, ZMM},  [FLAG_avx512_vnni] = {7, 0, 2, 11, ZMM},
    [FLAG_avx_vnni] = {7, 1, 0, 4, YMM},
};

static uint32_t kept_by_the_system(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
  __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return a;
}

static uint64_t found(void) {
  uint64_t all = 0;
  uint32_t kept = kept_by_the_system();
  for (int flag = 0; flag < FLAGS; flag++) {
    uint32_t r[4];
    int has = __get_cpuid_count(bits[flag].leaf, bits[flag].subleaf, &r[0], &r[1], &r[2], &r[3]);
    if (has && r[bits[flag].place] >> bits[flag].bit & 1 && (kept & bits[flag].kept) == bits[flag].kept) all |= 1ull << flag;
  }
  return all;
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

/* Linux, arm64 uapi/asm/hwcap.h: bits of AT_HWCAP, and above them those of AT_HWCAP2 */
enum { FLAG_asimd = 1, FLAG_asimddp = 20, FLAG_i8mm = 32 + 13 };

static uint64_t found(void) {
  return (getauxval(AT_HWCAP) & 0xffffffffu) | (uint64_t)(getauxval(AT_HWCAP2) & 0xffffffffu) << 32;
}
#else
#error "engines are for x86-64 and 64-bit ARM"
#endif

static const struct {
  const char *name;
  uint64_t needed; /* bits of `found` */
} sets[] = {INSTRUCTION_SETS};

int edgec_processor_has(const char *instructions) {
  for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
    if (!strcmp(sets[i].name, instructions)) return (found() & sets[i].needed) == sets[i].needed;
  return 0;
}
