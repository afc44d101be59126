// Weight layouts of convolutions.
#pragma once
#include "ckernels.h"

// y[i][o][taps-1-t] = w[o][i][t] for i in begin..<end; w is [out][in][taps].
void lf_turn_weights(const float *w, float *y, size_t out, size_t in, size_t taps, size_t begin,
                     size_t end);
