// SPDX-License-Identifier: Apache-2.0
// Sums over vectors, in an order that depends on their length alone. Internal.
#pragma once
#include <stddef.h>

enum { PARTIAL_SUMS = 16 };

static inline float sum_of(const float *partial) {
  float half[8];
  for (int i = 0; i < 8; i++) half[i] = partial[i] + partial[i + 8];
  return ((half[0] + half[4]) + (half[1] + half[5])) + ((half[2] + half[6]) + (half[3] + half[7]));
}

// sum_i a[i] b[i]
static inline float dot(const float *a, const float *b, size_t n) {
  float partial[PARTIAL_SUMS] = {0};
  size_t i = 0;
  for (; i + PARTIAL_SUMS <= n; i += PARTIAL_SUMS)
    for (size_t j = 0; j < PARTIAL_SUMS; j++) partial[j] += a[i + j] * b[i + j];
  for (size_t j = 0; i + j < n; j++) partial[j] += a[i + j] * b[i + j];
  return sum_of(partial);
}

// y += s x
static inline void add_scaled(float *restrict y, const float *restrict x, float s, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += s * x[i];
}
