#include "ckernels.h"
#include "vectormath.h"

// y = (x − mean)·rstd·(one + scale) + shift, row by row; two passes for the variance.
// Ba, Kiros and Hinton 2016, arXiv 1607.06450; with one = 1 the modulation of Peebles and Xie 2022,
// with one = 0 a learned affine map.
LF_CLONES
void lf_layer_norm(const float *restrict x, const float *restrict shift,
                   const float *restrict scale, float one, float *restrict y,
                   float *restrict mean, float *restrict rstd, float eps, size_t rows, size_t d) {
  LF_FAST_SUMS
  for (size_t r = 0; r < rows; r++) {
    const float *xr = x + r * d;
    float *yr = y + r * d;
    float sum = 0;
    for (size_t i = 0; i < d; i++) sum += xr[i];
    float m = sum / (float)d;
    float squares = 0;
    for (size_t i = 0; i < d; i++) {
      float e = xr[i] - m;
      squares += e * e;
    }
    float s = 1.0f / __builtin_sqrtf(squares / (float)d + eps);
    if (mean) {
      mean[r] = m;
      rstd[r] = s;
    }
    for (size_t i = 0; i < d; i++) yr[i] = (xr[i] - m) * s * (one + scale[i]) + shift[i];
  }
}

// With g = dy·(one + scale) and n = (x − mean)·rstd:  dx = rstd·(g − avg(g) − n·avg(g·n)),
// dshift = Σ_r dy, dscale = Σ_r dy·n (both overwritten; may be null together).
LF_CLONES
void lf_layer_norm_pullback(const float *restrict x, const float *restrict scale, float one,
                            const float *restrict mean, const float *restrict rstd,
                            const float *restrict dy, float *restrict dx, float beta,
                            float *restrict dshift, float *restrict dscale, size_t rows,
                            size_t d) {
  LF_FAST_SUMS
  if (dshift)
    for (size_t i = 0; i < d; i++) dshift[i] = dscale[i] = 0;
  for (size_t r = 0; r < rows; r++) {
    const float *xr = x + r * d, *dyr = dy + r * d;
    float *dxr = dx + r * d;
    float m = mean[r], s = rstd[r], sum_g = 0, sum_gn = 0;
    for (size_t i = 0; i < d; i++) {
      float n = (xr[i] - m) * s, g = dyr[i] * (one + scale[i]);
      sum_g += g;
      sum_gn += g * n;
    }
    sum_g /= (float)d;
    sum_gn /= (float)d;
    if (beta == 0) {
      for (size_t i = 0; i < d; i++) {
        float n = (xr[i] - m) * s, g = dyr[i] * (one + scale[i]);
        dxr[i] = s * (g - sum_g - n * sum_gn);
      }
    } else {
      for (size_t i = 0; i < d; i++) {
        float n = (xr[i] - m) * s, g = dyr[i] * (one + scale[i]);
        dxr[i] += s * (g - sum_g - n * sum_gn);
      }
    }
    if (dshift)
      for (size_t i = 0; i < d; i++) {
        dshift[i] += dyr[i];
        dscale[i] += dyr[i] * ((xr[i] - m) * s);
      }
  }
}

LF_CLONES
void lf_gated_residual(const float *restrict x, const float *restrict gate,
                       const float *restrict f, float *restrict y, size_t rows, size_t d) {
  LF_FAST_SUMS
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < d; i++) y[r * d + i] = x[r * d + i] + gate[i] * f[r * d + i];
}

// df = beta·df + gate ⊙ dy, dgate = Σ_r dy ⊙ f (overwritten)
LF_CLONES
void lf_gated_residual_pullback(const float *restrict gate, const float *restrict f,
                                const float *restrict dy, float *restrict df, float df_beta,
                                float *restrict dgate, size_t rows, size_t d) {
  LF_FAST_SUMS
  for (size_t i = 0; i < d; i++) dgate[i] = 0;
  for (size_t r = 0; r < rows; r++) {
    const float *dyr = dy + r * d, *fr = f + r * d;
    float *dfr = df + r * d;
    if (df_beta == 0) {
      for (size_t i = 0; i < d; i++) {
        dfr[i] = gate[i] * dyr[i];
        dgate[i] += dyr[i] * fr[i];
      }
    } else {
      for (size_t i = 0; i < d; i++) {
        dfr[i] += gate[i] * dyr[i];
        dgate[i] += dyr[i] * fr[i];
      }
    }
  }
}
