#include "ckernels_gelu.h"

#include "vectormath.h"

// e^(a²/2)·Φ(−a)/t for a ≥ 0 as a polynomial in t = 1 / (1 + 0.35·a): a Chebyshev fit on (0, 1]
// with weights for the relative error, which is below 2e-8.
LF_INLINE float scaled_tail(float t) {
  float p = 2.003478503e-2f;
  p = p * t - 1.118186045e-1f;
  p = p * t + 2.425061096e-1f;
  p = p * t - 2.330757063e-1f;
  p = p * t + 7.419977981e-2f;
  p = p * t - 3.022919443e-2f;
  p = p * t + 4.883922026e-2f;
  p = p * t + 8.772782886e-2f;
  p = p * t + 1.225568447e-1f;
  p = p * t + 1.396291367e-1f;
  return p * t + 1.396298004e-1f;
}

// Φ(x), the normal distribution; `bell` is e^(−x²/2). Relative error below 2e-6 in the lower tail.
LF_INLINE float normal_distribution(float x, float bell) {
  float t = 1.0f / (1.0f + 0.35f * __builtin_fabsf(x));
  float tail = scaled_tail(t) * t * bell;
  return x < 0.0f ? tail : 1.0f - tail;
}

// x·Φ(x).  Hendrycks and Gimpel 2016, arXiv 1606.08415, section 2.
LF_CLONES
void lf_geglu(const float *x, float *y, size_t rows, size_t d) {
  LF_FAST_SUMS
  for (size_t r = 0; r < rows; r++) {
    const float *a = x + 2 * r * d, *g = a + d;
    float *to = y + r * d;
#pragma clang loop vectorize(assume_safety)
    for (size_t i = 0; i < d; i++) {
      float z = g[i];
      to[i] = a[i] * (z * normal_distribution(z, lf_exp(-0.5f * z * z)));
    }
  }
}

// gelu′(x) = Φ(x) + x·e^(−x²/2)/√(2π)
LF_CLONES
void lf_geglu_pullback(const float *x, const float *dy, float *dx, float beta, size_t rows,
                       size_t d) {
  LF_FAST_SUMS
  for (size_t r = 0; r < rows; r++) {
    const float *a = x + 2 * r * d, *g = a + d, *dyr = dy + r * d;
    float *da = dx + 2 * r * d, *dg = da + d;
#define GATE(BETA_A, BETA_G)                                                                     \
  _Pragma("clang loop vectorize(assume_safety)")                                                 \
  for (size_t i = 0; i < d; i++) {                                                               \
    float z = g[i], bell = lf_exp(-0.5f * z * z), phi = normal_distribution(z, bell);            \
    float slope = phi + z * (0.3989422804f * bell);                                              \
    da[i] = BETA_A dyr[i] * (z * phi);                                                           \
    dg[i] = BETA_G dyr[i] * a[i] * slope;                                                        \
  }
    if (beta == 0) {
      GATE(, )
    } else {
      GATE(da[i] +, dg[i] +)
    }
#undef GATE
  }
}
