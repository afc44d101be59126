// Elementwise and row-wise kernels over contiguous float32, single thread: the caller splits the
// work.  Each is compiled for several x86-64 levels (target_clones) and picks one at start-up.
#pragma once
#include <stddef.h>
#include <stdint.h>

// One object file, every CPU: the widest clone that the CPU runs is bound at load time.
#if defined(__x86_64__) && defined(__linux__)
#define LF_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define LF_CLONES
#endif

// d = beta·d + x; beta is 0 (d is not read) or 1.
void lf_accumulate(const float *x, float *d, float beta, size_t n);
