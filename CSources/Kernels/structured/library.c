// SPDX-License-Identifier: Apache-2.0
// Changes of low rank whose factors several adapters share: over a common basis, and under masks.
#include <string.h>

#include "../include/kernels.h"
#include "../include/structured.h"
#include "sums.h"

size_t weft_basis_scratch(const weft_basis *op) { return 2 * op->rank; }

void weft_basis_apply(
    const weft_basis *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch) {
  float *seen = scratch, *mixed = scratch + op->rank;
  weft_dense v = {.out = op->rank, .in = op->in, .format = op->format, .w = op->v};
  weft_dense u = {.out = op->out, .in = op->rank, .format = op->format, .w = op->u};
  memset(seen, 0, op->rank * sizeof *seen);
  weft_dense_apply(&v, seen, x, 1, 0, op->rank, NULL);
  for (size_t r = 0; r < op->rank; r++) mixed[r] = dot(op->core + r * op->rank, seen, op->rank);
  weft_dense_apply(&u, y, mixed, weight, row_begin, row_end, NULL);
}

size_t weft_masked_scratch(const weft_masked *op) {
  return op->rank + (op->in > op->rank ? op->in : op->rank);
}

// y[i] += weight * (row i of (mask o w)) x for rows of n columns. `kept` is room for n floats.
static void add_masked(
    const weft_dense *w, const uint32_t *mask, float *y, const float *x, float weight, size_t begin, size_t end, float *kept) {
  size_t words = (w->in + 31) / 32;
  for (size_t row = begin; row < end; row++) {
    const uint32_t *bits = mask + row * words;
    for (size_t i = 0; i < w->in; i++) kept[i] = bits[i / 32] >> i % 32 & 1 ? x[i] : 0;
    weft_dense_apply(w, y + (row - begin), kept, weight, row, row + 1, NULL);
  }
}

void weft_masked_apply(
    const weft_masked *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch) {
  float *seen = scratch, *kept = scratch + op->rank;
  weft_dense a = {.out = op->rank, .in = op->in, .format = op->format, .w = op->a};
  weft_dense b = {.out = op->out, .in = op->rank, .format = op->format, .w = op->b};
  memset(seen, 0, op->rank * sizeof *seen);
  add_masked(&a, op->ma, seen, x, 1, 0, op->rank, kept);
  add_masked(&b, op->mb, y, seen, weight, row_begin, row_end, kept);
}
