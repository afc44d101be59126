#include "ckernels_resample.h"

#include <string.h>

void lf_upsample2(const float *x, float *y, size_t rows, size_t width, size_t c) {
  const size_t line = 2 * width * c;
  for (size_t i = 0; i < rows; i++) {
    const float *from = x + i * width * c;
    float *to = y + 2 * i * line;
    for (size_t j = 0; j < width; j++) {
      memcpy(to + 2 * j * c, from + j * c, c * sizeof(float));
      memcpy(to + (2 * j + 1) * c, from + j * c, c * sizeof(float));
    }
    memcpy(to + line, to, line * sizeof(float));
  }
}

LF_CLONES
void lf_sum2x2(const float *x, float s, float *y, float beta, size_t rows, size_t width, size_t c) {
  const size_t line = 2 * width * c;
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < width; j++) {
      const float *a = x + 2 * i * line + 2 * j * c, *b = a + line;
      float *to = y + (i * width + j) * c;
      if (beta == 0) {
        for (size_t k = 0; k < c; k++) to[k] = s * ((a[k] + a[c + k]) + (b[k] + b[c + k]));
      } else {
        for (size_t k = 0; k < c; k++) to[k] += s * ((a[k] + a[c + k]) + (b[k] + b[c + k]));
      }
    }
  }
}

LF_CLONES
void lf_spread2x2(const float *x, float s, float *y, float beta, size_t rows, size_t width,
                  size_t c) {
  const size_t line = 2 * width * c;
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < width; j++) {
      const float *from = x + (i * width + j) * c;
      for (size_t corner = 0; corner < 4; corner++) {
        float *to = y + (2 * i + corner / 2) * line + (2 * j + corner % 2) * c;
        if (beta == 0) {
          for (size_t k = 0; k < c; k++) to[k] = s * from[k];
        } else {
          for (size_t k = 0; k < c; k++) to[k] += s * from[k];
        }
      }
    }
  }
}

LF_CLONES
void lf_binomial_down(const float *x, size_t height, size_t width, size_t padding, float s,
                      float *y, float beta, size_t begin, size_t end, size_t c) {
  static const float tap[4] = {0.125f, 0.375f, 0.375f, 0.125f};
  const size_t h = (height + 2 * padding - 2) / 2, w = (width + 2 * padding - 2) / 2;
  for (size_t row = begin; row < end; row++) {
    const float *image = x + row / h * height * width * c;
    for (size_t j = 0; j < w; j++) {
      float *to = y + (row * w + j) * c;
      if (beta == 0) memset(to, 0, c * sizeof(float));
      for (size_t u = 0; u < 4; u++) {
        const size_t r = 2 * (row % h) + u - padding;  // wraps above the image
        if (r >= height) continue;
        for (size_t v = 0; v < 4; v++) {
          const size_t q = 2 * j + v - padding;
          if (q >= width) continue;
          const float *from = image + (r * width + q) * c, weight = s * tap[u] * tap[v];
          for (size_t k = 0; k < c; k++) to[k] += weight * from[k];
        }
      }
    }
  }
}

LF_CLONES
void lf_binomial_up(const float *y, size_t height, size_t width, size_t padding, float s, float *x,
                    float beta, size_t begin, size_t end, size_t c) {
  static const float tap[4] = {0.125f, 0.375f, 0.375f, 0.125f};
  const size_t h = (height + 2 * padding - 2) / 2, w = (width + 2 * padding - 2) / 2;
  for (size_t row = begin; row < end; row++) {
    const float *image = y + row / height * h * w * c;
    const size_t r = row % height + padding;
    for (size_t q0 = 0; q0 < width; q0++) {
      const size_t q = q0 + padding;
      float *to = x + (row * width + q0) * c;
      if (beta == 0) memset(to, 0, c * sizeof(float));
      for (size_t u = r % 2; u < 4 && u <= r; u += 2) {
        const size_t i = (r - u) / 2;
        if (i >= h) continue;
        for (size_t v = q % 2; v < 4 && v <= q; v += 2) {
          const size_t j = (q - v) / 2;
          if (j >= w) continue;
          const float *from = image + (i * w + j) * c, weight = s * tap[u] * tap[v];
          for (size_t k = 0; k < c; k++) to[k] += weight * from[k];
        }
      }
    }
  }
}
