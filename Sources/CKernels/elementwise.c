#include "ckernels.h"
#include "vectormath.h"

LF_CLONES
void lf_accumulate(const float *restrict x, float *restrict d, float beta, size_t n) {
  if (beta == 0) {
    for (size_t i = 0; i < n; i++) d[i] = x[i];
  } else {
    for (size_t i = 0; i < n; i++) d[i] += x[i];
  }
}

LF_CLONES
void lf_add(const float *a, const float *b, float *restrict y, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

LF_CLONES
void lf_scale(const float *restrict x, float s, float *restrict y, float beta, size_t n) {
  if (beta == 0) {
    for (size_t i = 0; i < n; i++) y[i] = s * x[i];
  } else {
    for (size_t i = 0; i < n; i++) y[i] += s * x[i];
  }
}

LF_CLONES
void lf_add_bias(float *restrict y, const float *restrict bias, size_t rows, size_t d) {
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < d; i++) y[r * d + i] += bias[i];
}

LF_CLONES
void lf_column_sums(const float *restrict x, size_t rows, size_t stride, size_t columns,
                    float *restrict d, float beta) {
  if (beta == 0)
    for (size_t i = 0; i < columns; i++) d[i] = 0;
  // Four rows per pass over the sums: a fixed order, whatever the number of threads.
  size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float *x0 = x + r * stride, *x1 = x0 + stride, *x2 = x1 + stride, *x3 = x2 + stride;
    for (size_t i = 0; i < columns; i++) d[i] += (x0[i] + x1[i]) + (x2[i] + x3[i]);
  }
  for (; r < rows; r++)
    for (size_t i = 0; i < columns; i++) d[i] += x[r * stride + i];
}

LF_CLONES
double lf_squared_error(const float *a, const float *b, size_t n) {
  // Sixteen lanes with a fixed assignment, so that every clone adds in the same order.
  double lanes[16] = {0};
  size_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (size_t l = 0; l < 16; l++) {
      double e = (double)a[i + l] - (double)b[i + l];
      lanes[l] += e * e;
    }
  double sum = 0;
  for (size_t l = 0; l < 16; l++) sum += lanes[l];
  for (; i < n; i++) {
    double e = (double)a[i] - (double)b[i];
    sum += e * e;
  }
  return sum;
}

LF_CLONES
void lf_squared_error_pullback(const float *a, const float *b, float s, float *restrict d,
                               float beta, size_t n) {
  if (beta == 0) {
    for (size_t i = 0; i < n; i++) d[i] = s * (a[i] - b[i]);
  } else {
    for (size_t i = 0; i < n; i++) d[i] += s * (a[i] - b[i]);
  }
}
