#include "processor.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  const char *name;
  uint64_t needed; /* bits of `found` */
} instruction_set;

#if defined(__x86_64__)
#include <cpuid.h>

enum { /* in the order of `bits` */
  SSSE3, SSE4_1, SSE4_2, POPCNT, FMA, AVX2, BMI2, AVX512BW, AVX512DQ, AVX512VL, AVX512CD, AVX512_VNNI, AVX_VNNI, FLAGS
};
#define BIT(flag) (1ull << (flag))
#define AVX512 (BIT(AVX512BW) | BIT(AVX512DQ) | BIT(AVX512VL) | BIT(AVX512CD))

static const instruction_set sets[] = {
    {"avx512vnni", AVX512 | BIT(AVX512_VNNI)},
    {"avxvnni", BIT(AVX_VNNI) | BIT(AVX2) | BIT(FMA)},
    {"avx512", AVX512},
    {"avx2", BIT(AVX2) | BIT(FMA) | BIT(BMI2)},
    {"sse4", BIT(SSE4_1) | BIT(SSE4_2) | BIT(SSSE3) | BIT(POPCNT)},
};

enum { YMM = 6, ZMM = 0xe6 }; /* registers that the system keeps, in XCR0 */

/* Intel's manual, volume 2, CPUID: leaf, subleaf, register (EAX, EBX, ECX), bit, and the registers that it needs. */
static const struct { uint32_t leaf, subleaf, place, bit, kept; } bits[FLAGS] = {
    [SSSE3] = {1, 0, 2, 9, 0},           [SSE4_1] = {1, 0, 2, 19, 0},        [SSE4_2] = {1, 0, 2, 20, 0},
    [POPCNT] = {1, 0, 2, 23, 0},         [FMA] = {1, 0, 2, 12, YMM},         [AVX2] = {7, 0, 1, 5, YMM},
    [BMI2] = {7, 0, 1, 8, 0},            [AVX512BW] = {7, 0, 1, 30, ZMM},    [AVX512DQ] = {7, 0, 1, 17, ZMM},
    [AVX512VL] = {7, 0, 1, 31, ZMM},     [AVX512CD] = {7, 0, 1, 28, ZMM},    [AVX512_VNNI] = {7, 0, 2, 11, ZMM},
    [AVX_VNNI] = {7, 1, 0, 4, YMM},
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
    if (has && r[bits[flag].place] >> bits[flag].bit & 1 && (kept & bits[flag].kept) == bits[flag].kept) all |= BIT(flag);
  }
  return all;
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

enum { ASIMD = 1 << 1, ASIMDDP = 1 << 20, I8MM = 1 << 13 }; /* Linux, arm64 uapi/asm/hwcap.h; the last in AT_HWCAP2 */
#define SECOND(bits) ((uint64_t)(bits) << 32)

static const instruction_set sets[] = {{"i8mm", ASIMDDP | SECOND(I8MM)}, {"dotprod", ASIMDDP}, {"neon", ASIMD}};

static uint64_t found(void) { return (getauxval(AT_HWCAP) & 0xffffffffu) | SECOND(getauxval(AT_HWCAP2) & 0xffffffffu); }
#else
#error "engines are for x86-64 and 64-bit ARM"
#endif

int edgec_processor_has(const char *instructions) {
  for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
    if (!strcmp(sets[i].name, instructions)) return (found() & sets[i].needed) == sets[i].needed;
  return 0;
}
