#include "ckernels_attention.h"

#include "vectormath.h"

// Columns whose running values stay in registers, and rows summed in float before double.
enum { TILE = 64, RUN = 32 };

LF_INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

LF_CLONES
void lf_softmax_columns(float *s, size_t rows, size_t n) {
  if (rows == 0) return;
  for (size_t j0 = 0; j0 < n; j0 += TILE) {
    const size_t width = smaller(TILE, n - j0);
    float top[TILE], inverse[TILE];
    double total[TILE] = {0};
    for (size_t j = 0; j < width; j++) top[j] = s[j0 + j];
    for (size_t r = 1; r < rows; r++) {
      const float *row = s + r * n + j0;
      for (size_t j = 0; j < width; j++) top[j] = row[j] > top[j] ? row[j] : top[j];
    }
    for (size_t r0 = 0; r0 < rows; r0 += RUN) {
      float sum[TILE] = {0};
      for (size_t r = r0; r < smaller(r0 + RUN, rows); r++) {
        float *row = s + r * n + j0;
#pragma clang loop vectorize(assume_safety)
        for (size_t j = 0; j < width; j++) {
          const float e = lf_exp(row[j] - top[j]);
          row[j] = e;
          sum[j] += e;
        }
      }
      for (size_t j = 0; j < width; j++) total[j] += sum[j];
    }
    for (size_t j = 0; j < width; j++) inverse[j] = (float)(1 / total[j]);
    for (size_t r = 0; r < rows; r++) {
      float *row = s + r * n + j0;
      for (size_t j = 0; j < width; j++) row[j] *= inverse[j];
    }
  }
}

LF_CLONES
void lf_softmax_columns_pullback(const float *p, const float *dp, float *ds, float beta,
                                 size_t rows, size_t n, size_t stride) {
  for (size_t j0 = 0; j0 < n; j0 += TILE) {
    const size_t width = smaller(TILE, n - j0);
    double total[TILE] = {0};
    float dot[TILE];
    for (size_t r0 = 0; r0 < rows; r0 += RUN) {
      float sum[TILE] = {0};
      for (size_t r = r0; r < smaller(r0 + RUN, rows); r++) {
        const float *a = p + r * n + j0, *b = dp + r * n + j0;
        for (size_t j = 0; j < width; j++) sum[j] += a[j] * b[j];
      }
      for (size_t j = 0; j < width; j++) total[j] += sum[j];
    }
    for (size_t j = 0; j < width; j++) dot[j] = (float)total[j];
    for (size_t r = 0; r < rows; r++) {
      const float *a = p + r * n + j0, *b = dp + r * n + j0;
      float *d = ds + r * stride + j0;
      if (beta == 0) {
        for (size_t j = 0; j < width; j++) d[j] = a[j] * (b[j] - dot[j]);
      } else {
        for (size_t j = 0; j < width; j++) d[j] += a[j] * (b[j] - dot[j]);
      }
    }
  }
}

LF_CLONES
void lf_softmax_rows_pullback(const float *p, const float *dp, float *ds, float beta, size_t rows,
                              size_t n, size_t stride) {
  LF_FAST_SUMS
  for (size_t r = 0; r < rows; r++) {
    const float *a = p + r * n, *b = dp + r * n;
    float *d = ds + r * stride;
    float dot = 0;
    for (size_t j = 0; j < n; j++) dot += a[j] * b[j];
    if (beta == 0) {
      for (size_t j = 0; j < n; j++) d[j] = a[j] * (b[j] - dot);
    } else {
      for (size_t j = 0; j < n; j++) d[j] += a[j] * (b[j] - dot);
    }
  }
}
