// Group normalisation over channels-last pixels [pixels, c]; one thread, the caller splits pixels.
// Per-channel vectors have c elements; `silu` not 0 appends x·σ(x).
#pragma once
#include "ckernels.h"

// sums[j] = Σ (x − shift[j]), squares[j] = Σ (x − shift[j])², in double.
void lf_group_norm_sums(const float *x, const float *shift, double *sums, double *squares,
                        size_t pixels, size_t c);
// y = f((x − mean)·scale + bias)
void lf_group_norm_apply(const float *x, const float *mean, const float *scale, const float *bias,
                         float *y, int silu, size_t pixels, size_t c);
// g = dy·f′((x − mean)·scale + bias);  sums[j] = Σ g, products[j] = Σ g·(x − mean)·rstd, in double.
void lf_group_norm_pullback_sums(const float *x, const float *mean, const float *rstd,
                                 const float *scale, const float *bias, const float *dy,
                                 double *sums, double *products, int silu, size_t pixels,
                                 size_t c);
// dx = beta·dx + scale·g + offset + slope·(x − mean)
void lf_group_norm_pullback_apply(const float *x, const float *mean, const float *scale,
                                  const float *bias, const float *offset, const float *slope,
                                  const float *dy, float *dx, float beta, int silu, size_t pixels,
                                  size_t c);
