// SPDX-License-Identifier: Apache-2.0
// Single elements, and matrices of signs.
#include "../float16.h"
#include "../include/structured.h"
#include "sums.h"

size_t weft_sparse_scratch(const weft_sparse *op) {
  (void)op;
  return 0;
}

void weft_sparse_apply(
    const weft_sparse *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch) {
  (void)scratch;
  for (size_t row = row_begin; row < row_end; row++) {
    double sum = 0;
    for (uint32_t i = op->starts[row]; i < op->starts[row + 1]; i++) sum += (double)op->values[i] * x[op->columns[i]];
    y[row - row_begin] += weight * (float)sum;
  }
}

size_t weft_signs_scratch(const weft_signs *op) {
  (void)op;
  return 0;
}

// partial[j] += x[j], j < n <= 16, with the sign bit turned over where bit j is not set.
static inline void add_signed(float *partial, const float *x, uint32_t bits, size_t n) {
  for (size_t j = 0; j < n; j++) {
    uint32_t turn = bits & (1u << j) ? 0 : 0x80000000u;
    partial[j] += bits_float(float_bits(x[j]) ^ turn);
  }
}

void weft_signs_apply(
    const weft_signs *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch) {
  (void)scratch;
  size_t words = (op->in + 31) / 32;
  for (size_t row = row_begin; row < row_end; row++) {
    const uint32_t *plane = op->planes + row * words;
    float partial[PARTIAL_SUMS] = {0};
    size_t i = 0;
    for (; i + PARTIAL_SUMS <= op->in; i += PARTIAL_SUMS)
      add_signed(partial, x + i, plane[i / 32] >> i % 32, PARTIAL_SUMS);
    if (i < op->in) add_signed(partial, x + i, plane[i / 32] >> i % 32, op->in - i);
    y[row - row_begin] += weight * sum_of(partial);
  }
}
