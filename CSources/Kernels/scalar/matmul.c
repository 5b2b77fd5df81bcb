// SPDX-License-Identifier: Apache-2.0
// The specification of the products: kernels.h states the formulas and the order of additions.
#include <math.h>
#include <string.h>

#include "../float16.h"
#include "../tiers.h"

static float load_f32(const void *w, size_t i) { return ((const float *)w)[i]; }
static float load_f16(const void *w, size_t i) { return f16_to_f32(((const uint16_t *)w)[i]); }
static float load_bf16(const void *w, size_t i) { return bf16_to_f32(((const uint16_t *)w)[i]); }

static void matmul_float(float *y, size_t y_stride, const char *w, size_t size, float (*load)(const void *, size_t),
                         const char *x, size_t x_stride, size_t cols, size_t tile_begin, size_t tile_end, size_t n,
                         int accumulate) {
  for (size_t t = tile_begin; t < tile_end; t++) {
    const void *tile = w + t * cols * WEFT_TILE * size;
    for (size_t row = 0; row < n; row++) {
      const float *xr = (const float *)(x + row * x_stride);
      float *out = y + row * y_stride + t * WEFT_TILE;
      for (size_t lane = 0; lane < WEFT_TILE; lane++) {
        float acc = accumulate ? out[lane] : 0;
        for (size_t c = 0; c < cols; c++) acc = fmaf(load(tile, c * WEFT_TILE + lane), xr[c], acc);
        out[lane] = acc;
      }
    }
  }
}

void matmul_f32__scalar(float *y, size_t y_stride, const void *w, const void *x, size_t x_stride, size_t cols,
                        size_t tile_begin, size_t tile_end, size_t n, int accumulate) {
  matmul_float(y, y_stride, w, 4, load_f32, x, x_stride, cols, tile_begin, tile_end, n, accumulate);
}

void matmul_f16__scalar(float *y, size_t y_stride, const void *w, const void *x, size_t x_stride, size_t cols,
                        size_t tile_begin, size_t tile_end, size_t n, int accumulate) {
  matmul_float(y, y_stride, w, 2, load_f16, x, x_stride, cols, tile_begin, tile_end, n, accumulate);
}

void matmul_bf16__scalar(float *y, size_t y_stride, const void *w, const void *x, size_t x_stride, size_t cols,
                         size_t tile_begin, size_t tile_end, size_t n, int accumulate) {
  matmul_float(y, y_stride, w, 2, load_bf16, x, x_stride, cols, tile_begin, tile_end, n, accumulate);
}

// The weight at column c (0 ... 31) and lane of a packed block, without its scale.
static int weight_q8_0(const uint8_t *block, size_t lane, size_t c) { return (int)block[c / 4 * 64 + lane * 4 + c % 4] - 128; }
static int weight_q4_0(const uint8_t *block, size_t lane, size_t c) {
  uint8_t pair = block[c % 16 / 4 * 64 + lane * 4 + c % 4];
  return (c < 16 ? pair & 15 : pair >> 4) - 8;
}

static void matmul_quantized(float *y, size_t y_stride, const uint8_t *w, size_t block_bytes,
                             int (*weight)(const uint8_t *, size_t, size_t), const char *x, size_t x_stride, size_t cols,
                             size_t tile_begin, size_t tile_end, size_t n, int accumulate) {
  size_t blocks = cols / WEFT_BLOCK;
  for (size_t t = tile_begin; t < tile_end; t++) {
    const uint8_t *tile = w + t * blocks * (block_bytes + 32);
    const uint16_t *scales = (const uint16_t *)(tile + blocks * block_bytes);
    for (size_t row = 0; row < n; row++) {
      const int8_t *q = (const int8_t *)(x + row * x_stride);
      const float *d = (const float *)(q + cols);
      float *out = y + row * y_stride + t * WEFT_TILE;
      for (size_t lane = 0; lane < WEFT_TILE; lane++) {
        float acc = accumulate ? out[lane] : 0;
        for (size_t b = 0; b < blocks; b++) {
          int sum = 0;
          for (size_t c = 0; c < WEFT_BLOCK; c++) sum += weight(tile + b * block_bytes, lane, c) * q[b * WEFT_BLOCK + c];
          acc = fmaf((float)sum, f16_to_f32(scales[b * WEFT_TILE + lane]) * d[b], acc);
        }
        out[lane] = acc;
      }
    }
  }
}

void matmul_q8_0__scalar(float *y, size_t y_stride, const void *w, const void *x, size_t x_stride, size_t cols,
                         size_t tile_begin, size_t tile_end, size_t n, int accumulate) {
  matmul_quantized(y, y_stride, w, 512, weight_q8_0, x, x_stride, cols, tile_begin, tile_end, n, accumulate);
}

void matmul_q4_0__scalar(float *y, size_t y_stride, const void *w, const void *x, size_t x_stride, size_t cols,
                         size_t tile_begin, size_t tile_end, size_t n, int accumulate) {
  matmul_quantized(y, y_stride, w, 256, weight_q4_0, x, x_stride, cols, tile_begin, tile_end, n, accumulate);
}

void quantize_q8__scalar(void *xq, const float *x, size_t cols, size_t begin, size_t end) {
  int8_t *q = xq;
  size_t blocks = cols / WEFT_BLOCK;
  float *scales = (float *)(q + cols);
  int32_t *sums = (int32_t *)(scales + blocks);
  for (size_t b = begin / WEFT_BLOCK; b < end / WEFT_BLOCK; b++) {
    float largest = 0;
    for (size_t c = 0; c < WEFT_BLOCK; c++) largest = fmaxf(largest, fabsf(x[b * WEFT_BLOCK + c]));
    float inverse = largest > 0x1p-120f ? 127.0f / largest : 0;
    int32_t sum = 0;
    for (size_t c = 0; c < WEFT_BLOCK; c++) {
      int8_t value = (int8_t)lrintf(x[b * WEFT_BLOCK + c] * inverse);
      q[b * WEFT_BLOCK + c] = value;
      sum += value;
    }
    scales[b] = largest / 127.0f;
    sums[b] = -sum;
  }
}
