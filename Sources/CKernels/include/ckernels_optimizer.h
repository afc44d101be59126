// Kernels over flat arenas: one thread, the caller splits.
#pragma once
#include "ckernels.h"

// The constants of one Adam step, shared by a run of elements. All derived in double.
typedef struct {
  float gradient_scale;  // g ← scale·g
  float l2;              // g ← g + l2·w           (Adam's weight decay)
  float keep;            // w ← keep·w, 1 − lr·λ   (AdamW's weight decay)
  float take1;           // 1 − beta1
  float beta2, take2;    // take2 = 1 − beta2
  float step_size;       // lr / (1 − beta1^t)
  float inverse_root;    // 1 / √(1 − beta2^t)
  float epsilon;
  float average_keep;    // a ← keep·a + take·w; keep 0 copies without reading
  float average_take;
} lf_adam_constants;

// One pass: w, m, v and, unless average is NULL, the running average of w.
void lf_adam(
    float *w, const float *g, float *m, float *v, float *average,
    const lf_adam_constants *constants, size_t n);

// average = keep·average + take·w; keep 0 copies without reading.
void lf_average(const float *w, float *average, float keep, float take, size_t n);

// Σ x² in double with a fixed number of partial sums: the same bits on every CPU.
double lf_square_sum(const float *x, size_t n);
