// GELU by the normal distribution itself, one thread.
#pragma once
#include "ckernels.h"

// y[r] = a ⊙ gelu(g) for rows x[r] = (a, g) of 2·d elements; y has rows of d.
void lf_geglu(const float *x, float *y, size_t rows, size_t d);
// dx[r] = beta·dx[r] + (dy ⊙ gelu(g), dy ⊙ a ⊙ gelu′(g))
void lf_geglu_pullback(const float *x, const float *dy, float *dx, float beta, size_t rows,
                       size_t d);
