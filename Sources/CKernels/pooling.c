#include "ckernels_pooling.h"

#include <string.h>

static inline size_t clamped(ptrdiff_t i, size_t extent) {
  return i < 0 ? 0 : (size_t)i > extent ? extent : (size_t)i;
}

LF_CLONES
void lf_max_pool_row(const float *x, float *y, size_t h, size_t w, size_t c, ptrdiff_t top,
                     size_t out_w, size_t k, size_t stride, size_t pad) {
  const size_t i0 = clamped(top, h), i1 = clamped(top + (ptrdiff_t)k, h);
  for (size_t j = 0; j < out_w; j++) {
    const ptrdiff_t left = (ptrdiff_t)(j * stride) - (ptrdiff_t)pad;
    const size_t j0 = clamped(left, w), j1 = clamped(left + (ptrdiff_t)k, w);
    float *to = y + j * c;
    memcpy(to, x + (i0 * w + j0) * c, c * sizeof(float));
    for (size_t i = i0; i < i1; i++) {
      for (size_t n = j0; n < j1; n++) {
        const float *from = x + (i * w + n) * c;
        for (size_t m = 0; m < c; m++) to[m] = from[m] > to[m] ? from[m] : to[m];
      }
    }
  }
}

LF_CLONES
void lf_average_pool_row(const float *x, float *y, size_t h, size_t w, size_t c, ptrdiff_t top,
                         size_t out_w, size_t k, size_t stride, size_t pad) {
  const size_t i0 = clamped(top, h), i1 = clamped(top + (ptrdiff_t)k, h);
  for (size_t j = 0; j < out_w; j++) {
    const ptrdiff_t left = (ptrdiff_t)(j * stride) - (ptrdiff_t)pad;
    const size_t j0 = clamped(left, w), j1 = clamped(left + (ptrdiff_t)k, w);
    float *to = y + j * c;
    memset(to, 0, c * sizeof(float));
    for (size_t i = i0; i < i1; i++) {
      for (size_t n = j0; n < j1; n++) {
        const float *from = x + (i * w + n) * c;
        for (size_t m = 0; m < c; m++) to[m] += from[m];
      }
    }
    const float count = (float)((i1 - i0) * (j1 - j0));
    for (size_t m = 0; m < c; m++) to[m] /= count;
  }
}

LF_CLONES
void lf_bilinear_row(const float *upper, const float *lower, float v, const int32_t *left,
                     const int32_t *right, const float *u, float *y, size_t out_w, size_t c,
                     float a, float b) {
  for (size_t j = 0; j < out_w; j++) {
    const size_t l = (size_t)left[j] * c, r = (size_t)right[j] * c;
    const float w = u[j];
    for (size_t m = 0; m < c; m++) {
      const float above = (1 - w) * upper[l + m] + w * upper[r + m];
      const float below = (1 - w) * lower[l + m] + w * lower[r + m];
      y[j * c + m] = a + b * ((1 - v) * above + v * below);
    }
  }
}
