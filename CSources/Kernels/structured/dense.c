// SPDX-License-Identifier: Apache-2.0
// A whole matrix, or some rows of one.
#include <string.h>

#include "../float16.h"
#include "../include/kernels.h"
#include "../include/structured.h"
#include "sums.h"

enum { CHUNK = 256 };

// Without branches, so that it becomes vector code, and without subnormal f32, which are slow: an exponent of zero gets one more,
// and what that adds is taken away again.
static void widen_f16(float *y, const uint16_t *h, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint32_t magnitude = (uint32_t)(h[i] & 0x7fffu) << 13, sign = (uint32_t)(h[i] & 0x8000u) << 16;
    float normal = bits_float(magnitude + (112u << 23));
    float subnormal = bits_float(magnitude + (113u << 23)) - 0x1p-14f;
    y[i] = bits_float(float_bits(magnitude < 1u << 23 ? subnormal : normal) | sign);
  }
}

static void widen_bf16(float *y, const uint16_t *h, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = bf16_to_f32(h[i]);
}

static float dot_16(const uint8_t *row, int format, const float *x, size_t n) {
  float sum = 0, wide[CHUNK];
  uint16_t narrow[CHUNK];
  for (size_t begin = 0; begin < n; begin += CHUNK) {
    size_t count = n - begin < CHUNK ? n - begin : CHUNK;
    memcpy(narrow, row + 2 * begin, 2 * count);  // rows of files may be unaligned
    if (format == WEFT_F16) widen_f16(wide, narrow, count);
    else widen_bf16(wide, narrow, count);
    sum += dot(wide, x + begin, count);
  }
  return sum;
}

size_t weft_dense_scratch(const weft_dense *op) {
  (void)op;
  return 0;
}

void weft_dense_apply(
    const weft_dense *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch) {
  (void)scratch;
  for (size_t row = row_begin; row < row_end; row++) {
    float sum = op->format == WEFT_F32 ? dot((const float *)op->w + row * op->in, x, op->in)
                                       : dot_16((const uint8_t *)op->w + 2 * row * op->in, op->format, x, op->in);
    y[row - row_begin] += weight * sum;
  }
}

size_t weft_rows_scratch(const weft_rows *op) {
  (void)op;
  return 0;
}

void weft_rows_apply(
    const weft_rows *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch) {
  (void)scratch;
  for (size_t i = 0; i < op->count; i++) {
    size_t row = op->indices[i];
    if (row >= row_begin && row < row_end) y[row - row_begin] += weight * dot(op->w + i * op->in, x, op->in);
  }
}
