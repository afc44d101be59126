// Softmax as linear attention needs it; `beta` as in ckernels.h.
#pragma once
#include "ckernels.h"

// p = softmax of each column over the rows, in place; s is [rows, n], contiguous.
void lf_softmax_columns(float *s, size_t rows, size_t n);

// The gradients of softmax over the rows of each column, and over each row, given p and dp of
// [rows, n], contiguous:  ds = beta·ds + p ⊙ (dp − Σ p ⊙ dp), rows of ds `stride` apart.
void lf_softmax_columns_pullback(const float *p, const float *dp, float *ds, float beta,
                                 size_t rows, size_t n, size_t stride);
void lf_softmax_rows_pullback(const float *p, const float *dp, float *ds, float beta, size_t rows,
                              size_t n, size_t stride);
