// Elementwise and row-wise kernels over contiguous float32, single thread: the caller splits the
// work.  Each is compiled for several x86-64 levels (target_clones) and binds the widest one that
// the CPU runs at load time.  `beta` is 0 (the destination is overwritten, never read) or 1 (added
// to) throughout.
#pragma once
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__linux__)
#define LF_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define LF_CLONES
#endif

// elementwise.c
void lf_accumulate(const float *x, float *d, float beta, size_t n);              // d = beta·d + x
void lf_add(const float *a, const float *b, float *y, size_t n);                 // y = a + b
void lf_scale(const float *x, float s, float *y, float beta, size_t n);          // y = beta·y + s·x
void lf_add_bias(float *y, const float *bias, size_t rows, size_t d);            // y[r] += bias
void lf_column_sums(const float *x, size_t rows, size_t stride, size_t columns,  // d += Σ_r x[r]
                    float *d, float beta);
double lf_squared_error(const float *a, const float *b, size_t n);               // Σ (a − b)²
void lf_squared_error_pullback(const float *a, const float *b, float s, float *d, float beta,
                               size_t n);                                        // d += s·(a − b)

// activations.c: x is the pre-activation
void lf_silu(const float *x, float *y, size_t n);
void lf_silu_pullback(const float *x, const float *dy, float *dx, float beta, size_t n);
void lf_gelu_tanh(const float *x, float *y, size_t n);
void lf_gelu_tanh_pullback(const float *x, const float *dy, float *dx, float beta, size_t n);
void lf_bias_silu(float *x, const float *bias, float *y, size_t rows, size_t d);
void lf_bias_gelu_tanh(float *x, const float *bias, float *y, size_t rows, size_t d);

// normalization.c: rows of length d that share one shift and scale
void lf_layer_norm(const float *x, const float *shift, const float *scale, float one, float *y,
                   float *mean, float *rstd, float eps, size_t rows, size_t d);
void lf_layer_norm_pullback(const float *x, const float *scale, float one, const float *mean,
                            const float *rstd, const float *dy, float *dx, float beta,
                            float *dshift, float *dscale, size_t rows, size_t d);
void lf_gated_residual(const float *x, const float *gate, const float *f, float *y, size_t rows,
                       size_t d);                                                // y = x + gate ⊙ f
void lf_gated_residual_pullback(const float *gate, const float *f, const float *dy, float *df,
                                float df_beta, float *dgate, size_t rows, size_t d);

// softmax.c: in place over rows of length n
void lf_softmax_rows(float *s, float scale, float *log_sum, size_t rows, size_t n, size_t stride);
void lf_softmax_recompute(float *s, float scale, const float *log_sum, size_t rows, size_t n,
                          size_t stride);                       // p = e^(scale·s − log_sum)
void lf_softmax_pullback(const float *p, const float *delta, float scale, float *dp, size_t rows,
                         size_t n, size_t stride);               // dp = scale · p ⊙ (dp − delta[r])
void lf_row_dots(const float *a, const float *b, float *out, size_t rows, size_t n, size_t stride_a,
                 size_t stride_b);

// heap.c: the heap grows by 16 MiB at a time, keeps what is freed, and holds blocks up to 32 MiB.
void lf_keep_heap(void);
// Gives the heap's free memory back to the system.
void lf_trim_heap(void);

#include "ckernels_attention.h"
#include "ckernels_convolution.h"
#include "ckernels_gelu.h"
#include "ckernels_groupnorm.h"
#include "ckernels_layout.h"
#include "ckernels_optimizer.h"
#include "ckernels_pooling.h"
#include "ckernels_resample.h"
#include "ckernels_solver.h"
