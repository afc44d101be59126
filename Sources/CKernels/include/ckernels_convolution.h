// Weight layouts of convolutions.
#pragma once
#include "ckernels.h"

// y[i][o][taps-1-t] = w[o][i][t] for i in begin..<end; w is [out][in][taps].
void lf_turn_weights(const float *w, float *y, size_t out, size_t in, size_t taps, size_t begin,
                     size_t end);

// Nearest up-sampling by two in front of a 3×3 convolution w [out][in][3][3], as the kernel
// k [in][out][4][4] of a transposed convolution of stride 2: along each axis
// (w2, w1 + w2, w0 + w1, w0).  For input channels begin..<end.
void lf_fold_upsampling(const float *w, float *k, size_t out, size_t in, size_t begin, size_t end);
// Its transpose: dw = beta·dw + the gradient that dk gives, for output channels begin..<end.
void lf_unfold_upsampling(const float *dk, float *dw, float beta, size_t out, size_t in,
                          size_t begin, size_t end);
