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

// The filter f = [1, 3, 3, 1]/8 along both axes and every second pixel, between images
// [height][width] and [h][w], h = (height + 2·padding − 2) / 2; zeros around the images.
// y[i][j] = beta·y[i][j] + s·Σ f[u]·f[v]·x[2·i + u − padding][2·j + v − padding];
// begin..<end are rows of y over all images.
void lf_binomial_down(const float *x, size_t height, size_t width, size_t padding, float s,
                      float *y, float beta, size_t begin, size_t end, size_t c);
// Its transpose, x = beta·x + s·(…)ᵀ·y; height and width are those of x, begin..<end rows of x.
void lf_binomial_up(const float *y, size_t height, size_t width, size_t padding, float s, float *x,
                    float beta, size_t begin, size_t end, size_t c);
