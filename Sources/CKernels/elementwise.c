#include "ckernels.h"

LF_CLONES
void lf_accumulate(const float *x, float *d, float beta, size_t n) {
  if (beta == 0) {
    for (size_t i = 0; i < n; i++) d[i] = x[i];
  } else {
    for (size_t i = 0; i < n; i++) d[i] += x[i];
  }
}
