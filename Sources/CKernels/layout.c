#include "ckernels_layout.h"

// Squares of 16 × 16: sixteen cache lines of either side stay in the first-level cache.
LF_CLONES
void lf_transpose(const float *x, float *y, float beta, size_t rows, size_t columns,
                  size_t stride) {
  const size_t block = 16;
  for (size_t c0 = 0; c0 < columns; c0 += block) {
    const size_t c1 = c0 + block < columns ? c0 + block : columns;
    for (size_t r0 = 0; r0 < rows; r0 += block) {
      const size_t r1 = r0 + block < rows ? r0 + block : rows;
      for (size_t c = c0; c < c1; c++) {
        float *to = y + c * rows;
        if (beta == 0) {
          for (size_t r = r0; r < r1; r++) to[r] = x[r * stride + c];
        } else {
          for (size_t r = r0; r < r1; r++) to[r] += x[r * stride + c];
        }
      }
    }
  }
}
