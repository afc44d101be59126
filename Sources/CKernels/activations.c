#include "ckernels.h"
#include "vectormath.h"

// SiLU, x·σ(x).  Hendrycks and Gimpel 2016, arXiv 1606.08415.
LF_INLINE float silu(float x) { return x * lf_sigmoid(x); }

// d/dx x·σ(x) = σ(x)·(1 + x·(1 − σ(x)))
LF_INLINE float silu_derivative(float x) {
  float s = lf_sigmoid(x);
  return s * (1.0f + x * (1.0f - s));
}

// GELU in its tanh form, ½x(1 + tanh u) = x·σ(2u) with u = √(2/π)·(x + 0.044715x³).
LF_INLINE float gelu(float x) {
  float u2 = 1.5957691216057308f * (x + 0.044715f * x * x * x);
  return x * lf_sigmoid(u2);
}

// σ(2u) + x·σ(2u)·(1 − σ(2u))·2u′
LF_INLINE float gelu_derivative(float x) {
  float u2 = 1.5957691216057308f * (x + 0.044715f * x * x * x);
  float slope = 1.5957691216057308f * (1.0f + 0.134145f * x * x);
  float s = lf_sigmoid(u2);
  return s + x * s * (1.0f - s) * slope;
}

// Outputs may be inputs: the loops are safe element by element.
#define ACTIVATION(NAME, F, DF)                                                                  \
  LF_CLONES                                                                                      \
  void lf_##NAME(const float *x, float *y, size_t n) {                                           \
    LF_FAST_SUMS                                                                                 \
    _Pragma("clang loop vectorize(assume_safety)")                                               \
    for (size_t i = 0; i < n; i++) y[i] = F(x[i]);                                               \
  }                                                                                              \
  LF_CLONES                                                                                      \
  void lf_##NAME##_pullback(const float *x, const float *dy, float *dx, float beta, size_t n) {  \
    LF_FAST_SUMS                                                                                 \
    if (beta == 0) {                                                                             \
      _Pragma("clang loop vectorize(assume_safety)")                                             \
      for (size_t i = 0; i < n; i++) dx[i] = dy[i] * DF(x[i]);                                   \
    } else {                                                                                     \
      _Pragma("clang loop vectorize(assume_safety)")                                             \
      for (size_t i = 0; i < n; i++) dx[i] += dy[i] * DF(x[i]);                                  \
    }                                                                                            \
  }                                                                                              \
  /* x += bias, y = f(x); y may be x, which then holds f(x) */                                   \
  LF_CLONES                                                                                      \
  void lf_bias_##NAME(float *x, const float *bias, float *y, size_t rows, size_t d) {            \
    LF_FAST_SUMS                                                                                 \
    for (size_t r = 0; r < rows; r++)                                                            \
      _Pragma("clang loop vectorize(assume_safety)")                                             \
      for (size_t i = 0; i < d; i++) {                                                           \
        float v = x[r * d + i] + bias[i];                                                        \
        x[r * d + i] = v;                                                                        \
        y[r * d + i] = F(v);                                                                     \
      }                                                                                          \
  }

ACTIVATION(silu, silu, silu_derivative)
ACTIVATION(gelu_tanh, gelu, gelu_derivative)
