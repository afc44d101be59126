#include "cimage.h"

#if defined(__x86_64__) && defined(__linux__)
#define CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define CLONES
#endif

// Sums start at one half, in units of 2^-22: what is shifted out rounds to nearest.
#define FRACTION 22
#define HALF (1 << (FRACTION - 1))

typedef int32_t v8 __attribute__((vector_size(32)));

static inline uint8_t level(int32_t sum) {
  int32_t value = sum >> FRACTION;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

// Two rows at a time: pixel x of both in one vector, (r, g, b, 0, r', g', b', 0).
CLONES void cimage_resample_x(
    const uint8_t *in, size_t in_stride, int32_t in_width, uint8_t *out, size_t out_stride,
    int32_t rows, cimage_taps taps, int32_t *scratch) {
  v8 *pixels = (v8 *)scratch;
  for (int32_t row = 0; row < rows; row += 2) {
    int32_t other = row + 1 < rows ? row + 1 : row;
    const uint8_t *a = in + row * in_stride, *b = in + other * in_stride;
    for (int32_t x = 0; x < in_width; x++)
      pixels[x] = (v8){a[3 * x], a[3 * x + 1], a[3 * x + 2], 0,
                       b[3 * x], b[3 * x + 1], b[3 * x + 2], 0};
    uint8_t *to = out + row * out_stride, *to_other = out + other * out_stride;
    for (int32_t i = 0; i < taps.count; i++) {
      const v8 *from = pixels + taps.first[i];
      const int32_t *weights = taps.weights + (size_t)i * taps.width;
      v8 sum = {HALF, HALF, HALF, 0, HALF, HALF, HALF, 0};
      for (int32_t k = 0; k < taps.width; k++) sum += from[k] * weights[k];
      for (int c = 0; c < 3; c++) {
        to[3 * i + c] = level(sum[c]);
        to_other[3 * i + c] = level(sum[4 + c]);
      }
    }
  }
}

#define BLOCK 64

CLONES void cimage_resample_y(
    const uint8_t *in, size_t in_stride, uint8_t *out, size_t out_stride, int32_t bytes,
    cimage_taps taps) {
  for (int32_t i = 0; i < taps.count; i++) {
    const uint8_t *from = in + taps.first[i] * in_stride;
    const int32_t *weights = taps.weights + (size_t)i * taps.width;
    uint8_t *to = out + i * out_stride;
    int32_t x = 0;
    for (; x + BLOCK <= bytes; x += BLOCK) {
      int32_t sums[BLOCK];
      for (int j = 0; j < BLOCK; j++) sums[j] = HALF;
      for (int32_t k = 0; k < taps.width; k++)
        for (int j = 0; j < BLOCK; j++) sums[j] += weights[k] * from[k * in_stride + x + j];
      for (int j = 0; j < BLOCK; j++) to[x + j] = level(sums[j]);
    }
    for (; x < bytes; x++) {
      int32_t sum = HALF;
      for (int32_t k = 0; k < taps.width; k++) sum += weights[k] * from[k * in_stride + x];
      to[x] = level(sum);
    }
  }
}
