#include "ckernels_convolution.h"

// Sixteen input channels at a time: the rows of w are read in runs of whole cache lines.
void lf_turn_weights(const float *w, float *y, size_t out, size_t in, size_t taps, size_t begin,
                     size_t end) {
  const size_t block = 16;
  for (size_t i0 = begin; i0 < end; i0 += block) {
    const size_t i1 = i0 + block < end ? i0 + block : end;
    for (size_t o = 0; o < out; o++) {
      for (size_t i = i0; i < i1; i++) {
        const float *from = w + (o * in + i) * taps;
        float *to = y + (i * out + o) * taps;
        for (size_t t = 0; t < taps; t++) to[taps - 1 - t] = from[t];
      }
    }
  }
}
