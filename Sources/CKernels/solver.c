#include "ckernels_solver.h"

#include <math.h>

// Elements per block: partial sums of a block stay in the first-level cache.
#define BLOCK 512
// Independent sums, a fixed number so that the result does not depend on the vector width.
#define LANES 16

// sum[0..m) = Σ_i c_i·k_i[start..start+m); returns 0 if all coefficients are 0.
__attribute__((always_inline)) static inline int combine_block(
    float *restrict sum, const float *const *terms, const float *coefficients, size_t term_count,
    size_t start, size_t m) {
#pragma clang fp contract(off)
  int begun = 0;
  for (size_t i = 0; i < term_count; i++) {
    const float c = coefficients[i];
    const float *restrict k = terms[i] + start;
    if (c == 0) continue;
    if (begun) {
      for (size_t j = 0; j < m; j++) sum[j] += c * k[j];
    } else {
      for (size_t j = 0; j < m; j++) sum[j] = c * k[j];
    }
    begun = 1;
  }
  if (!begun) {
    for (size_t j = 0; j < m; j++) sum[j] = 0;
  }
  return begun;
}

LF_CLONES
void lf_linear_combination(
    float *out, const float *base, const float *const *terms, const float *coefficients,
    size_t term_count, size_t n) {
  float sum[BLOCK];
  for (size_t start = 0; start < n; start += BLOCK) {
    const size_t m = n - start < BLOCK ? n - start : BLOCK;
    const int begun = combine_block(sum, terms, coefficients, term_count, start, m);
    float *o = out + start;
    if (!base) {
      for (size_t j = 0; j < m; j++) o[j] = sum[j];
    } else if (begun) {
      const float *b = base + start;
#pragma clang loop vectorize(assume_safety)
      for (size_t j = 0; j < m; j++) o[j] = b[j] + sum[j];
    } else if (base != out) {
      const float *b = base + start;
      for (size_t j = 0; j < m; j++) o[j] = b[j];
    }
  }
}

LF_CLONES
double lf_scaled_square_sum(
    const float *const *terms, const float *coefficients, size_t term_count, const float *a,
    const float *b, float absolute, float relative, size_t n) {
#pragma clang fp contract(off)
  float ratio[BLOCK];
  double lanes[LANES] = {0};
  for (size_t start = 0; start < n; start += BLOCK) {
    const size_t m = n - start < BLOCK ? n - start : BLOCK;
    combine_block(ratio, terms, coefficients, term_count, start, m);
    for (size_t j = 0; j < m; j++) {
      const float x = fabsf(a[start + j]), y = fabsf(b[start + j]);
      ratio[j] /= absolute + relative * (x > y ? x : y);
    }
    for (size_t j = m; j < BLOCK; j++) ratio[j] = 0;
    for (size_t j = 0; j < BLOCK; j += LANES)
      for (size_t l = 0; l < LANES; l++) lanes[l] += (double)ratio[j + l] * ratio[j + l];
  }
  for (size_t width = LANES / 2; width > 0; width /= 2)
    for (size_t l = 0; l < width; l++) lanes[l] += lanes[l + width];
  return lanes[0];
}

LF_CLONES
void lf_quartic(
    float *out, const float *y0, const float *middle, const float *y1, const float *f0,
    const float *f1, float dt, float x, size_t n) {
#pragma clang fp contract(off)
  const float x2 = x * x, x3 = x2 * x, x4 = x3 * x;
  for (size_t j = 0; j < n; j++) {
    const float a = 2 * dt * (f1[j] - f0[j]) - 8 * (y1[j] + y0[j]) + 16 * middle[j];
    const float b = dt * (5 * f0[j] - 3 * f1[j]) + 18 * y0[j] + 14 * y1[j] - 32 * middle[j];
    const float c = dt * (f1[j] - 4 * f0[j]) - 11 * y0[j] - 5 * y1[j] + 16 * middle[j];
    out[j] = y0[j] + x * (dt * f0[j]) + x2 * c + x3 * b + x4 * a;
  }
}
