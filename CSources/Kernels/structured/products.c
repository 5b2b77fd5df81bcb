// SPDX-License-Identifier: Apache-2.0
// Products of small matrices: elementwise (LoHa) and Kronecker (LoKr).
#include <string.h>

#include "../include/structured.h"
#include "sums.h"

// b1[r] diag(x) [in], M [rank1, rank2], a1[o] M [rank2]
size_t weft_hadamard_scratch(const weft_hadamard *op) { return op->in + op->rank1 * op->rank2 + op->rank2; }

void weft_hadamard_apply(
    const weft_hadamard *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch) {
  float *weighted = scratch, *m = weighted + op->in, *left = m + op->rank1 * op->rank2;
  for (size_t r = 0; r < op->rank1; r++) {
    for (size_t i = 0; i < op->in; i++) weighted[i] = op->b1[r * op->in + i] * x[i];
    for (size_t s = 0; s < op->rank2; s++) m[r * op->rank2 + s] = dot(weighted, op->b2 + s * op->in, op->in);
  }
  for (size_t row = row_begin; row < row_end; row++) {
    memset(left, 0, op->rank2 * sizeof *left);
    for (size_t r = 0; r < op->rank1; r++) add_scaled(left, m + r * op->rank2, op->a1[row * op->rank1 + r], op->rank2);
    y[row - row_begin] += weight * dot(left, op->a2 + row * op->rank2, op->rank2);
  }
}

// With X = x as [first.columns, second.columns]: X second' [first.columns, second.rows], then first.right times that
// [first.rank, second.rows]; the inner vector of a factored second; one row of the result.
size_t weft_kronecker_scratch(const weft_kronecker *op) {
  size_t inner = op->second.full ? 0 : op->second.rank, outer = op->first.full ? 0 : op->first.rank;
  return (op->first.columns + outer + 1) * op->second.rows + inner;
}

// y = f x
static void multiply_factor(const weft_kronecker_factor *f, float *y, const float *x, float *inner) {
  if (!f->full)
    for (size_t r = 0; r < f->rank; r++) inner[r] = dot(f->right + r * f->columns, x, f->columns);
  for (size_t row = 0; row < f->rows; row++)
    y[row] = f->full ? dot(f->full + row * f->columns, x, f->columns) : dot(f->left + row * f->rank, inner, f->rank);
}

// y = sum_i weights[i] rows[i], rows [count, n]
static void combine(float *y, const float *weights, const float *rows, size_t count, size_t n) {
  memset(y, 0, n * sizeof *y);
  for (size_t i = 0; i < count; i++) add_scaled(y, rows + i * n, weights[i], n);
}

void weft_kronecker_apply(
    const weft_kronecker *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch) {
  const weft_kronecker_factor *first = &op->first, *second = &op->second;
  size_t k = second->rows, count = first->columns;
  float *products = scratch, *outer = products + count * k, *sum = outer + (first->full ? 0 : first->rank * k);
  for (size_t c = 0; c < count; c++) multiply_factor(second, products + c * k, x + c * second->columns, sum + k);
  const float *weights = first->full;
  if (!weights) {
    for (size_t r = 0; r < first->rank; r++) combine(outer + r * k, first->right + r * count, products, count, k);
    weights = first->left, products = outer, count = first->rank;
  }
  for (size_t row = row_begin; row < row_end;) {
    size_t block = row / k, begin = row % k, end = row_end - row < k - begin ? begin + row_end - row : k;
    combine(sum, weights + block * count, products, count, k);
    for (size_t b = begin; b < end; b++, row++) y[row - row_begin] += weight * sum[b];
  }
}
