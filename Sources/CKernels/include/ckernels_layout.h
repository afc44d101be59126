// Changes of layout; `beta` as in ckernels.h.
#pragma once
#include "ckernels.h"

// y[c, r] = beta·y + x[r, c] for rows × columns of x, whose rows lie `stride` apart; y is
// contiguous.
void lf_transpose(const float *x, float *y, float beta, size_t rows, size_t columns, size_t stride);
