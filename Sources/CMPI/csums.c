#include "csums.h"
#include <string.h>

// One object file, every CPU: the widest clone that the CPU runs is bound at load time.
#if defined(__x86_64__) && defined(__linux__)
#define LF_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define LF_CLONES
#endif

LF_CLONES
void lf_sum_into(float *d, const float *x, size_t n) {
#pragma clang loop vectorize(assume_safety)
  for (size_t i = 0; i < n; i++) d[i] += x[i];
}

// out may be a or b: an element is read before it is written.
LF_CLONES
static void sum_two(const float *a, const float *b, float *out, size_t n) {
#pragma clang loop vectorize(assume_safety)
  for (size_t i = 0; i < n; i++) out[i] = a[i] + b[i];
}

enum { BLOCK = 2048 };          // floats; two of them per level stay in the first-level cache

static void sum_block(const float *const *parts, int ranks, size_t at, float *out, size_t n) {
  if (ranks == 1) {
    if (out != parts[0] + at) memmove(out, parts[0] + at, n * sizeof(float));
  } else if (ranks == 2) {
    sum_two(parts[0] + at, parts[1] + at, out, n);
  } else {
    float left[BLOCK], right[BLOCK];
    sum_block(parts, ranks / 2, at, left, n);
    sum_block(parts + ranks / 2, ranks / 2, at, right, n);
    sum_two(left, right, out, n);
  }
}

void lf_sum_tree(const float *const *parts, int ranks, float *out, size_t n) {
  for (size_t at = 0; at < n; at += BLOCK)
    sum_block(parts, ranks, at, out + at, n - at < BLOCK ? n - at : BLOCK);
}
