// SPDX-License-Identifier: Apache-2.0
// One level of a 2-D wavelet synthesis (WaveFT): y = rows (C (columns' x)), every step linear in its size.
#include <string.h>

#include "../include/structured.h"

// Coefficients of the columns, then of the rows.
size_t weft_wavelet_scratch(const weft_wavelet *op) { return 2 * op->columns.half + 2 * op->rows.half; }

// coefficient = synthesis' x
static void analyse(const weft_synthesis *s, float *coefficient, const float *x) {
  for (size_t c = 0; c < s->half; c++) {
    double low = 0, high = 0;
    for (size_t tap = 0; tap < s->taps; tap++) {
      size_t place = 2 * c + tap;
      if (place < s->shift || place - s->shift >= s->count) continue;
      low += (double)s->low[tap] * x[place - s->shift];
      high += (double)s->high[tap] * x[place - s->shift];
    }
    coefficient[c] = (float)low, coefficient[s->half + c] = (float)high;
  }
}

// value `p` of the synthesis
static float synthesise(const weft_synthesis *s, const float *coefficient, size_t p) {
  double sum = 0;
  size_t place = p + s->shift;
  for (size_t tap = place % 2; tap < s->taps && tap <= place; tap += 2) {
    size_t c = (place - tap) / 2;
    if (c < s->half) sum += (double)s->low[tap] * coefficient[c] + (double)s->high[tap] * coefficient[s->half + c];
  }
  return (float)sum;
}

void weft_wavelet_apply(
    const weft_wavelet *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch) {
  float *columns = scratch, *rows = columns + 2 * op->columns.half;
  analyse(&op->columns, columns, x);
  memset(rows, 0, 2 * op->rows.half * sizeof *rows);
  weft_sparse_apply(&op->coefficients, rows, columns, 1, 0, 2 * op->rows.half, NULL);
  for (size_t row = row_begin; row < row_end; row++) y[row - row_begin] += weight * synthesise(&op->rows, rows, row);
}
