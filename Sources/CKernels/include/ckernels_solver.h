// Arithmetic on the state of an ODE solver: float32 vectors, single thread, the caller splits.
// No contraction to fused multiply-add: every CPU gives the same bits.
#pragma once
#include "ckernels.h"

// out = base + Σ_i coefficients[i]·terms[i]; base may be NULL (zero) or equal to out.
// Terms with coefficient 0 are not read.
void lf_linear_combination(
    float *out, const float *base, const float *const *terms, const float *coefficients,
    size_t term_count, size_t n);

// Σ_j (e_j / (absolute + relative·max(|a_j|, |b_j|)))², e = Σ_i coefficients[i]·terms[i].
double lf_scaled_square_sum(
    const float *const *terms, const float *coefficients, size_t term_count, const float *a,
    const float *b, float absolute, float relative, size_t n);

// The quartic through y0, middle, y1 with slopes f0, f1 over a step dt, at x in [0, 1].
void lf_quartic(
    float *out, const float *y0, const float *middle, const float *y1, const float *f0,
    const float *f1, float dt, float x, size_t n);
