#include "ckernels_groupnorm.h"

#include "vectormath.h"

// Channels whose running sums stay in registers, and pixels summed in float before double.
enum { TILE = 64, RUN = 32 };

LF_INLINE float silu(float z) { return z * lf_sigmoid(z); }

// σ(z)·(1 + z·(1 − σ(z)))
LF_INLINE float silu_derivative(float z) {
  const float s = lf_sigmoid(z);
  return s * (1.0f + z * (1.0f - s));
}

// Runs BODY(tile width) for every tile of channels; the width of a full tile is a constant.
#define FOR_TILES(C, BODY)                                                                       \
  for (size_t c0 = 0; c0 < (C); c0 += TILE) {                                                    \
    if (c0 + TILE <= (C)) { BODY(TILE) } else { BODY((C) - c0) }                                 \
  }

LF_CLONES
void lf_group_norm_sums(const float *x, const float *shift, double *sums, double *squares,
                        size_t pixels, size_t c) {
  for (size_t j = 0; j < c; j++) sums[j] = squares[j] = 0;
#define BODY(WIDTH)                                                                              \
  for (size_t p0 = 0; p0 < pixels; p0 += RUN) {                                                  \
    const size_t p1 = p0 + RUN < pixels ? p0 + RUN : pixels;                                     \
    float s[TILE] = {0}, q[TILE] = {0};                                                          \
    for (size_t p = p0; p < p1; p++) {                                                           \
      const float *row = x + p * c + c0;                                                         \
      for (size_t j = 0; j < (WIDTH); j++) {                                                     \
        const float d = row[j] - shift[c0 + j];                                                  \
        s[j] += d;                                                                               \
        q[j] += d * d;                                                                           \
      }                                                                                          \
    }                                                                                            \
    for (size_t j = 0; j < (WIDTH); j++) {                                                       \
      sums[c0 + j] += s[j];                                                                      \
      squares[c0 + j] += q[j];                                                                   \
    }                                                                                            \
  }
  FOR_TILES(c, BODY)
#undef BODY
}

LF_CLONES
void lf_group_norm_apply(const float *x, const float *mean, const float *scale, const float *bias,
                         float *y, int activate, size_t pixels, size_t c) {
  for (size_t p = 0; p < pixels; p++) {
    const float *row = x + p * c;
    float *out = y + p * c;
    if (activate) {
#pragma clang loop vectorize(assume_safety)
      for (size_t j = 0; j < c; j++) out[j] = silu((row[j] - mean[j]) * scale[j] + bias[j]);
    } else {
#pragma clang loop vectorize(assume_safety)
      for (size_t j = 0; j < c; j++) out[j] = (row[j] - mean[j]) * scale[j] + bias[j];
    }
  }
}

LF_CLONES
void lf_group_norm_pullback_sums(const float *x, const float *mean, const float *rstd,
                                 const float *scale, const float *bias, const float *dy,
                                 double *sums, double *products, int activate, size_t pixels,
                                 size_t c) {
  for (size_t j = 0; j < c; j++) sums[j] = products[j] = 0;
#define PIXELS(WIDTH, G)                                                                         \
  for (size_t p = p0; p < p1; p++) {                                                             \
    const float *row = x + p * c + c0, *grad = dy + p * c + c0;                                  \
    for (size_t j = 0; j < (WIDTH); j++) {                                                       \
      const float centred = row[j] - mean[c0 + j];                                               \
      const float g = G;                                                                         \
      s[j] += g;                                                                                 \
      q[j] += g * centred;                                                                       \
    }                                                                                            \
  }
#define BODY(WIDTH)                                                                              \
  for (size_t p0 = 0; p0 < pixels; p0 += RUN) {                                                  \
    const size_t p1 = p0 + RUN < pixels ? p0 + RUN : pixels;                                     \
    float s[TILE] = {0}, q[TILE] = {0};                                                          \
    if (activate) {                                                                              \
      PIXELS(WIDTH, grad[j] * silu_derivative(centred * scale[c0 + j] + bias[c0 + j]))           \
    } else {                                                                                     \
      PIXELS(WIDTH, grad[j])                                                                     \
    }                                                                                            \
    for (size_t j = 0; j < (WIDTH); j++) {                                                       \
      sums[c0 + j] += s[j];                                                                      \
      products[c0 + j] += q[j] * (double)rstd[c0 + j];                                           \
    }                                                                                            \
  }
  FOR_TILES(c, BODY)
#undef BODY
#undef PIXELS
}

LF_CLONES
void lf_group_norm_pullback_apply(const float *x, const float *mean, const float *scale,
                                  const float *bias, const float *offset, const float *slope,
                                  const float *dy, float *dx, float beta, int activate,
                                  size_t pixels, size_t c) {
#define CHANNELS(G, BETA)                                                                        \
  _Pragma("clang loop vectorize(assume_safety)")                                                 \
  for (size_t j = 0; j < c; j++) {                                                               \
    const float centred = row[j] - mean[j];                                                      \
    const float value = scale[j] * (G) + offset[j] + slope[j] * centred;                         \
    d[j] = BETA value;                                                                           \
  }
  for (size_t p = 0; p < pixels; p++) {
    const float *row = x + p * c, *grad = dy + p * c;
    float *d = dx + p * c;
    if (activate && beta == 0) {
      CHANNELS(grad[j] * silu_derivative(centred * scale[j] + bias[j]), )
    } else if (activate) {
      CHANNELS(grad[j] * silu_derivative(centred * scale[j] + bias[j]), d[j] +)
    } else if (beta == 0) {
      CHANNELS(grad[j], )
    } else {
      CHANNELS(grad[j], d[j] +)
    }
  }
#undef CHANNELS
}
