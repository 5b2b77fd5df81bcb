// SPDX-License-Identifier: Apache-2.0
// Sixteen floats, written once for every tier: the compiler makes one register of AVX-512 or two of AVX2 of it.
// Include inside a target region.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../float16.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

// Every function that passes these vectors is inlined: there is no calling convention to differ.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float vf16 __attribute__((vector_size(64)));
typedef int32_t vi16 __attribute__((vector_size(64)));
typedef _Float16 vh16 __attribute__((vector_size(32)));
typedef uint16_t vu16 __attribute__((vector_size(32)));
typedef int8_t vb16 __attribute__((vector_size(16)));

INLINE void vector_load_f32(vf16 *v, const void *p) { memcpy(v, p, 64); }
INLINE void vector_store(void *p, const vf16 *v) { memcpy(p, v, 64); }

// The 16 elements at index i of an array in `format`, as f32; of q8_0 the bare int8.
INLINE vf16 vector_load(const void *p, size_t i, const int format) {
  vf16 v;
  if (format == WEFT_F32) {
    vector_load_f32(&v, (const float *)p + i);
  } else if (format == WEFT_F16) {
    vh16 half;
    memcpy(&half, (const uint16_t *)p + i, 32);
    v = __builtin_convertvector(half, vf16);
  } else if (format == WEFT_Q8_0) {
    vb16 bytes;
    memcpy(&bytes, (const int8_t *)p + i, 16);
    v = __builtin_convertvector(bytes, vf16);
  } else {
    vu16 half;
    memcpy(&half, (const uint16_t *)p + i, 32);
    v = (vf16)(__builtin_convertvector(half, vi16) << 16);
  }
  return v;
}

INLINE vf16 vector_broadcast(float x) { return (vf16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
INLINE vf16 vector_fma(vf16 a, vf16 b, vf16 c) { return __builtin_elementwise_fma(a, b, c); }

typedef float vf8 __attribute__((vector_size(32)));
typedef float vf4 __attribute__((vector_size(16)));

INLINE vf8 vector_low(vf16 v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }
INLINE vf8 vector_high(vf16 v) { return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15); }

// A fixed tree, so that a sum is the same on every tier.
INLINE float vector_sum(vf16 v) {
  vf8 eight = vector_low(v) + vector_high(v);
  vf4 four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  four += __builtin_shufflevector(four, four, 2, 3, 0, 1);
  return four[0] + four[1];
}

// a where the mask is set, else b.
INLINE vf16 vector_select(vi16 mask, vf16 a, vf16 b) { return (vf16)(((vi16)a & mask) | ((vi16)b & ~mask)); }

// The larger of each, b where one is not a number. The builtin takes three instructions, and to reduce a vector fifteen steps,
// each waiting for the one before.
INLINE vf16 vector_larger(vf16 a, vf16 b) { return vector_select(a > b, a, b); }

INLINE float vector_largest(vf16 v) {
  v = vector_larger(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  v = vector_larger(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3));
  v = vector_larger(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1));
  return v[0] > v[1] ? v[0] : v[1];
}

// e^x to about 1 ulp for x from -87 to 88, and the value at the nearer end beyond: x = n ln 2 + r with |r| <= ln 2 / 2, a
// polynomial nowhere off by more than 2e-9 of e^r and with 1 at 0, then n added to the exponent. Adding 1.5 2^23 leaves n
// in the low bits.
INLINE vf16 vector_exp(vf16 x) {
  const vf16 magic = vector_broadcast(0x1.8p23f);
  x = __builtin_elementwise_min(x, vector_broadcast(88.0f));
  x = __builtin_elementwise_max(x, vector_broadcast(-87.0f));
  vf16 shifted = vector_fma(x, vector_broadcast(1.44269504088896341f), magic);
  vf16 n = shifted - magic;
  vf16 r = vector_fma(n, vector_broadcast(-0.693359375f), x);
  r = vector_fma(n, vector_broadcast(2.12194440e-4f), r);
  vf16 p = vector_broadcast(0.0013843607f);
  p = vector_fma(p, r, vector_broadcast(0.008374196f));
  p = vector_fma(p, r, vector_broadcast(0.041668005f));
  p = vector_fma(p, r, vector_broadcast(0.1666643f));
  p = vector_fma(p, r, vector_broadcast(0.49999994f));
  p = vector_fma(p, r, vector_broadcast(1.0f));
  p = vector_fma(p, r, vector_broadcast(1.0f));
  return (vf16)((vi16)p + ((vi16)shifted << 23));
}

// 2^x to about 1 ulp for x up to 127; below -127, 0: x = n + r with |r| <= 1/2, a polynomial nowhere off by more than 2e-9 of
// 2^r and with 1 at 0, then 2^n, which is 0 for n = -127.
INLINE vf16 vector_exp2(vf16 x) {
  x = __builtin_elementwise_max(x, vector_broadcast(-127.0f));
  vf16 n = __builtin_elementwise_roundeven(x);
  vf16 r = x - n;
  vf16 p = vector_broadcast(0.00015353362f);
  p = vector_fma(p, r, vector_broadcast(0.0013398874f));
  p = vector_fma(p, r, vector_broadcast(0.009618437f));
  p = vector_fma(p, r, vector_broadcast(0.055503324f));
  p = vector_fma(p, r, vector_broadcast(0.24022648f));
  p = vector_fma(p, r, vector_broadcast(0.6931472f));
  p = vector_fma(p, r, vector_broadcast(1.0f));
  return p * (vf16)((__builtin_convertvector(n, vi16) + 127) << 23);
}

// tanh x to about 1 ulp: Lambert's continued fraction x / (1 + x^2 / (3 + x^2 / (5 + x^2 / (7 + x^2 / 9)))) below 0.7, where
// 1 - 2 / (e^2x + 1) would cancel.
INLINE vf16 vector_tanh(vf16 x) {
  vf16 square = x * x, two = x * 2.0f;
  vf16 numerator = vector_fma(square, square + 105.0f, vector_broadcast(945));
  vf16 denominator = vector_fma(square, vector_fma(square, vector_broadcast(15), vector_broadcast(420)), vector_broadcast(945));
  vf16 outside = 1.0f - 2.0f / (vector_exp(two) + 1.0f);
  return vector_select(square < 0.49f, x * numerator / denominator, outside);
}
