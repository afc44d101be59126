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

void lf_fold_upsampling(const float *w, float *k, size_t out, size_t in, size_t begin,
                        size_t end) {
  for (size_t i = begin; i < end; i++) {
    for (size_t o = 0; o < out; o++) {
      const float *from = w + (o * in + i) * 9;
      float *to = k + (i * out + o) * 16;
      float rows[4][3];
      for (size_t v = 0; v < 3; v++) {
        rows[0][v] = from[6 + v];
        rows[1][v] = from[3 + v] + from[6 + v];
        rows[2][v] = from[v] + from[3 + v];
        rows[3][v] = from[v];
      }
      for (size_t u = 0; u < 4; u++) {
        to[4 * u] = rows[u][2];
        to[4 * u + 1] = rows[u][1] + rows[u][2];
        to[4 * u + 2] = rows[u][0] + rows[u][1];
        to[4 * u + 3] = rows[u][0];
      }
    }
  }
}

void lf_unfold_upsampling(const float *dk, float *dw, float beta, size_t out, size_t in,
                          size_t begin, size_t end) {
  for (size_t o = begin; o < end; o++) {
    for (size_t i = 0; i < in; i++) {
      const float *from = dk + (i * out + o) * 16;
      float *to = dw + (o * in + i) * 9;
      float rows[4][3];
      for (size_t u = 0; u < 4; u++) {
        rows[u][0] = from[4 * u + 2] + from[4 * u + 3];
        rows[u][1] = from[4 * u + 1] + from[4 * u + 2];
        rows[u][2] = from[4 * u] + from[4 * u + 1];
      }
      for (size_t v = 0; v < 3; v++) {
        const float sums[3] = {rows[2][v] + rows[3][v], rows[1][v] + rows[2][v],
                               rows[0][v] + rows[1][v]};
        for (size_t u = 0; u < 3; u++) {
          to[3 * u + v] = (beta == 0 ? 0 : to[3 * u + v]) + sums[u];
        }
      }
    }
  }
}
