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
