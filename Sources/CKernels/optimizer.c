#include "ckernels_optimizer.h"

#define LANES 16

// The body of every loop below. The built-in root sets no errno, so the loops vectorise.
#define ADAM_ELEMENT                                                              \
  const float grad = scale * g[i] + l2 * w[i];                                    \
  const float mi = m[i] + take1 * (grad - m[i]);                                  \
  const float vi = beta2 * v[i] + take2 * (grad * grad);                          \
  const float root = __builtin_elementwise_sqrt(vi) * inverse_root + epsilon;     \
  const float wi = keep * w[i] - step * (mi / root);                              \
  m[i] = mi;                                                                      \
  v[i] = vi;                                                                      \
  w[i] = wi;

LF_CLONES
void lf_adam(
    float *restrict w, const float *restrict g, float *restrict m, float *restrict v,
    float *restrict average, const lf_adam_constants *constants, size_t n) {
#pragma clang fp contract(off)
  const float scale = constants->gradient_scale, l2 = constants->l2, keep = constants->keep;
  const float take1 = constants->take1, beta2 = constants->beta2, take2 = constants->take2;
  const float step = constants->step_size, inverse_root = constants->inverse_root;
  const float epsilon = constants->epsilon;
  const float average_keep = constants->average_keep, average_take = constants->average_take;
  if (!average) {
    for (size_t i = 0; i < n; i++) {
      ADAM_ELEMENT
    }
  } else if (average_keep == 0) {
    for (size_t i = 0; i < n; i++) {
      ADAM_ELEMENT
      average[i] = wi;
    }
  } else {
    for (size_t i = 0; i < n; i++) {
      ADAM_ELEMENT
      average[i] = average_keep * average[i] + average_take * wi;
    }
  }
}

LF_CLONES
void lf_average(
    const float *restrict w, float *restrict average, float keep, float take, size_t n) {
#pragma clang fp contract(off)
  if (keep == 0) {
    for (size_t i = 0; i < n; i++) average[i] = w[i];
  } else {
    for (size_t i = 0; i < n; i++) average[i] = keep * average[i] + take * w[i];
  }
}

LF_CLONES
double lf_square_sum(const float *x, size_t n) {
#pragma clang fp contract(off)
  double lanes[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (size_t l = 0; l < LANES; l++) lanes[l] += (double)x[i + l] * x[i + l];
  for (size_t l = 0; i + l < n; l++) lanes[l] += (double)x[i + l] * x[i + l];
  for (size_t width = LANES / 2; width > 0; width /= 2)
    for (size_t l = 0; l < width; l++) lanes[l] += lanes[l + width];
  return lanes[0];
}
