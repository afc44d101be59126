// Elementary functions that vectorise inside a kernel's loop: no branches, no calls, no tables.
#pragma once
#include <stdint.h>
#include <string.h>

#define LF_INLINE static inline __attribute__((always_inline))
// Sums may be split over vector lanes, a·b + c may fuse.
#define LF_FAST_SUMS _Pragma("clang fp reassociate(on) contract(fast)")

LF_INLINE float lf_bits_float(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }

// e^x, relative error below 2e-7; 0 below -87.3, e^88.3 above 88.3.
// Cody and Waite's reduction x = n·ln 2 + r, |r| <= ln 2 / 2, then a degree-6 polynomial in r.
LF_INLINE float lf_exp(float x) {
  float clamped = x < 88.3f ? x : 88.3f;
  clamped = clamped > -87.3f ? clamped : -87.3f;
  // Adding and removing 1.5·2^23 rounds to the nearest integer.
  float shifted = clamped * 1.44269504088896341f + 12582912.0f;
  float n = shifted - 12582912.0f;
  float r = clamped - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  float power = lf_bits_float((uint32_t)(((int32_t)n + 127) << 23));
  float y = p * power;
  y = x < -87.3f ? 0.0f : y;
  return x != x ? x : y;  // NaN stays NaN
}

LF_INLINE float lf_sigmoid(float x) { return 1.0f / (1.0f + lf_exp(-x)); }
