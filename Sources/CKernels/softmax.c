#include "ckernels.h"
#include "vectormath.h"
#include <math.h>

// p = softmax(scale·s) row by row, in place; log_sum[r] = log Σ e^(scale·s), from which the rows
// can be recomputed (Dao et al. 2022, arXiv 2205.14135).
LF_CLONES
void lf_softmax_rows(float *s, float scale, float *log_sum, size_t rows, size_t n, size_t stride) {
  LF_FAST_SUMS
  for (size_t r = 0; r < rows; r++) {
    float *row = s + r * stride;
    float top = row[0];
    for (size_t j = 1; j < n; j++) top = row[j] > top ? row[j] : top;
    float offset = scale * top, sum = 0;
#pragma clang loop vectorize(assume_safety)
    for (size_t j = 0; j < n; j++) {
      float e = lf_exp(scale * row[j] - offset);
      row[j] = e;
      sum += e;
    }
    float inverse = 1.0f / sum;
    for (size_t j = 0; j < n; j++) row[j] *= inverse;
    if (log_sum) log_sum[r] = offset + logf(sum);
  }
}

LF_CLONES
void lf_softmax_recompute(float *s, float scale, const float *log_sum, size_t rows, size_t n,
                          size_t stride) {
  LF_FAST_SUMS
  for (size_t r = 0; r < rows; r++) {
    float *row = s + r * stride;
    float offset = log_sum[r];
    for (size_t j = 0; j < n; j++) row[j] = lf_exp(scale * row[j] - offset);
  }
}

LF_CLONES
void lf_softmax_pullback(const float *restrict p, const float *restrict delta, float scale,
                         float *restrict dp, size_t rows, size_t n, size_t stride) {
  LF_FAST_SUMS
  for (size_t r = 0; r < rows; r++) {
    const float *pr = p + r * stride;
    float *dpr = dp + r * stride;
    float d = delta[r];
    for (size_t j = 0; j < n; j++) dpr[j] = scale * pr[j] * (dpr[j] - d);
  }
}

LF_CLONES
void lf_row_dots(const float *restrict a, const float *restrict b, float *restrict out, size_t rows,
                 size_t n, size_t stride_a, size_t stride_b) {
  LF_FAST_SUMS
  for (size_t r = 0; r < rows; r++) {
    float sum = 0;
    for (size_t j = 0; j < n; j++) sum += a[r * stride_a + j] * b[r * stride_b + j];
    out[r] = sum;
  }
}
