// Resampling of channels-last images by two; rows are output (or low-resolution) rows, one thread.
#pragma once
#include "ckernels.h"

// y[2·i + u][2·j + v] = x[i][j]: `rows` rows of `width` low-resolution pixels of c channels.
void lf_upsample2(const float *x, float *y, size_t rows, size_t width, size_t c);
// y[i][j] = beta·y[i][j] + s·(sum of the 2×2 pixels of x): `rows` low-resolution rows.
void lf_sum2x2(const float *x, float s, float *y, float beta, size_t rows, size_t width, size_t c);
// y[2·i + u][2·j + v] = beta·y + s·x[i][j]
void lf_spread2x2(const float *x, float s, float *y, float beta, size_t rows, size_t width,
                  size_t c);
