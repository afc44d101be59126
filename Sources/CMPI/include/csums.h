// Sums of float32 arrays in a fixed order, one thread; the bits do not depend on the CPU.
#pragma once
#include <stddef.h>

// d += x
void lf_sum_into(float *d, const float *x, size_t n);

// out = ((p0 + p1) + (p2 + p3)) + …, one binary tree over `ranks` (a power of two) parts.
// `out` may be one of the parts.
void lf_sum_tree(const float *const *parts, int ranks, float *out, size_t n);
