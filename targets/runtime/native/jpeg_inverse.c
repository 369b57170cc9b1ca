/* The inverse cosine transform of libjpeg's jidctint (Loeffler, Ligtenberg and Moschytz, ICASSP 1989, with 13 bits of
   fraction), bit for bit. Where coefficients are far out of range, which only a made-up file has, numbers wrap and
   saturate as in libjpeg-turbo's vector code for x86. */
#include "jpeg_parts.h"

enum { FRACTION = 13, KEPT = 2 }; /* bits; KEPT between the two passes */

static int16_t saturated(int32_t value) { return (int16_t)(value > 32767 ? 32767 : value < -32768 ? -32768 : value); }
static int16_t wrapped(int32_t value) { return (int16_t)(uint16_t)value; }

static int16_t scaled(uint32_t sum, int shift) { return saturated((int32_t)(sum + (1u << (shift - 1))) >> shift); }

/* Eight numbers that are `step` apart, in place. All sums are modulo 2^32. */
static void transform(int16_t *v, int step, int shift) {
#define V(k) (uint32_t)(int32_t) v[(k) * step]
  uint32_t even2 = V(2) * 4433u + V(6) * (uint32_t)(4433 - 15137), even3 = V(2) * (4433u + 6270u) + V(6) * 4433u;
  uint32_t even0 = (uint32_t)wrapped(v[0] + v[4 * step]) << FRACTION, even1 = (uint32_t)wrapped(v[0] - v[4 * step]) << FRACTION;
  uint32_t sum[4] = {even0 + even3, even1 + even2, even1 - even2, even0 - even3};

  uint32_t a = (uint32_t)wrapped(v[7 * step] + v[3 * step]), b = (uint32_t)wrapped(v[5 * step] + v[step]);
  uint32_t z3 = a * (uint32_t)(9633 - 16069) + b * 9633u, z4 = a * 9633u + b * (9633u - 3196u);
  uint32_t odd[4] = {
      V(7) * (uint32_t)-7373 + V(1) * (12299u - 7373u) + z4,
      V(5) * (uint32_t)-20995 + V(3) * (25172u - 20995u) + z3,
      V(5) * (uint32_t)(16819 - 20995) + V(3) * (uint32_t)-20995 + z4,
      V(7) * (uint32_t)(2446 - 7373) + V(1) * (uint32_t)-7373 + z3,
  };
  for (int k = 0; k < 4; k++) {
    v[k * step] = scaled(sum[k] + odd[k], shift);
    v[(7 - k) * step] = scaled(sum[k] - odd[k], shift);
  }
#undef V
}

void edgec_jpeg_inverse(const int16_t *coefficients, const uint16_t *steps, uint8_t *samples, size_t stride) {
  int16_t v[JPEG_BLOCK];
  int others = 0;
  for (int i = 0; i < JPEG_BLOCK; i++) {
    v[i] = wrapped((int32_t)((uint32_t)coefficients[i] * steps[i]));
    if (i >= JPEG_SIDE) others |= coefficients[i];
  }
  for (int x = 0; x < JPEG_SIDE; x++) {
    if (others) transform(v + x, JPEG_SIDE, FRACTION - KEPT);
    else
      for (int y = JPEG_SIDE - 1; y >= 0; y--) v[y * JPEG_SIDE + x] = wrapped(v[x] * (1 << KEPT));
  }
  for (int y = 0; y < JPEG_SIDE; y++) {
    int16_t *row = v + y * JPEG_SIDE;
    transform(row, 1, FRACTION + KEPT + 3);
    for (int x = 0; x < JPEG_SIDE; x++) samples[(size_t)y * stride + (size_t)x] = (uint8_t)((row[x] < -128 ? -128 : row[x] > 127 ? 127 : row[x]) + 128);
  }
}
