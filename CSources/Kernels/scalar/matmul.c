// SPDX-License-Identifier: Apache-2.0
// The specification of the products with float weights: kernels.h states the formulas and the order of additions.
#include <math.h>

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

void round_bf16__scalar(uint16_t *xr, const float *x, size_t begin, size_t end) {
  for (size_t c = begin; c < end; c++) xr[c] = f32_to_bf16(x[c]);
}

void matmul_bf16_dot__scalar WEFT_MATMUL {
  for (size_t t = tile_begin; t < tile_end; t++) {
    const uint16_t *tile = (const uint16_t *)w + t * cols * WEFT_TILE;
    for (size_t row = 0; row < n; row++) {
      const uint16_t *xr = (const uint16_t *)((const char *)x + row * x_stride);
      float *out = y + row * y_stride + t * WEFT_TILE;
      for (size_t lane = 0; lane < WEFT_TILE; lane++) {
        float acc = accumulate ? out[lane] : 0;
        for (size_t c = 0; c < cols; c += 2) {
          if (c + 1 < cols) acc = fmaf(load_bf16(tile, (c + 1) * WEFT_TILE + lane), load_bf16(xr, c + 1), acc);
          acc = fmaf(load_bf16(tile, c * WEFT_TILE + lane), load_bf16(xr, c), acc);
        }
        out[lane] = acc;
      }
    }
  }
}
