// Pooling and bilinear resizing of channels-last images: one output row per call, one thread.
#pragma once
#include "ckernels.h"

// One output row of a k×k window over an image of h rows of w pixels of c channels: `top` is the
// window's first row and may lie above the image; columns begin at −pad and move by `stride`.
// Pixels outside the image do not exist.
void lf_max_pool_row(const float *x, float *y, size_t h, size_t w, size_t c, ptrdiff_t top,
                     size_t out_w, size_t k, size_t stride, size_t pad);
void lf_average_pool_row(const float *x, float *y, size_t h, size_t w, size_t c, ptrdiff_t top,
                         size_t out_w, size_t k, size_t stride, size_t pad);

// y[j] = a + b·((1 − v)·m(upper) + v·m(lower)), m(r) = (1 − u[j])·r[left[j]] + u[j]·r[right[j]];
// left and right count pixels.
void lf_bilinear_row(const float *upper, const float *lower, float v, const int32_t *left,
                     const int32_t *right, const float *u, float *y, size_t out_w, size_t c,
                     float a, float b);
