// SPDX-License-Identifier: Apache-2.0
// The specification of the products with the float factors of a low rank: kernels.h states the formulas and the order of additions.
#include <math.h>

#include "../float16.h"
#include "../tiers.h"

static float load_f32(const void *w, size_t i) { return ((const float *)w)[i]; }
static float load_f16(const void *w, size_t i) { return f16_to_f32(((const uint16_t *)w)[i]); }
static float load_bf16(const void *w, size_t i) { return bf16_to_f32(((const uint16_t *)w)[i]); }

static void shrink(float *u, size_t u_stride, const char *w, size_t size, float (*load)(const void *, size_t), const char *x,
                   size_t x_stride, size_t cols, size_t tile_count, size_t n) {
  for (size_t row = 0; row < n; row++) {
    const float *in = (const float *)(x + row * x_stride);
    for (size_t i = 0; i < tile_count * WEFT_TILE; i++) {
      const char *tile = w + i / WEFT_TILE * cols * WEFT_TILE * size;
      float acc = 0;
      for (size_t c = 0; c < cols; c++) acc = fmaf(load(tile, c * WEFT_TILE + i % WEFT_TILE), in[c], acc);
      u[row * u_stride + i] = acc;
    }
  }
}

static void expand(float *y, size_t y_stride, const char *w, size_t size, float (*load)(const void *, size_t), const float *u,
                   size_t u_stride, size_t cols, size_t tile_begin, size_t tile_end, size_t n) {
  for (size_t row = 0; row < n; row++)
    for (size_t i = tile_begin * WEFT_TILE; i < tile_end * WEFT_TILE; i++) {
      const char *tile = w + i / WEFT_TILE * cols * WEFT_TILE * size;
      float acc = y[row * y_stride + i];
      for (size_t c = 0; c < cols; c++) acc = fmaf(load(tile, c * WEFT_TILE + i % WEFT_TILE), u[row * u_stride + c], acc);
      y[row * y_stride + i] = acc;
    }
}

#define LOW_RANK(suffix, size)                                                                                    \
  void shrink_##suffix##__scalar WEFT_SHRINK {                                                                    \
    shrink(u, u_stride, w, size, load_##suffix, x, x_stride, cols, tile_count, n);                                \
  }                                                                                                               \
  void expand_##suffix##__scalar WEFT_EXPAND {                                                                    \
    (void)tile_count;                                                                                             \
    expand(y, y_stride, w, size, load_##suffix, u, u_stride, cols, tile_begin, tile_end, n);                      \
  }
LOW_RANK(f32, 4)
LOW_RANK(f16, 2)
LOW_RANK(bf16, 2)
#undef LOW_RANK
