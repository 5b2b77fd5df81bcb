// SPDX-License-Identifier: Apache-2.0
// Products with f32, f16 and bf16 weights. A tier defines NAME(kernel), TILES and ROWS (accumulators: TILES x ROWS x 16
// floats must fit its registers) and includes this inside its target region.

// `tiles` neighbouring tiles times `rows` rows of x. Where `first`, these rows are the first to meet the weights, which come from
// memory: those that follow are asked for (measured with one row: 10 to 25 % more than the hardware alone). c runs in order, so the
// result does not depend on `tiles` and `rows`.
INLINE void matmul_float_block(float *y, size_t y_stride, const char *w, size_t tile_bytes, const char *x, size_t x_stride,
                               size_t cols, int accumulate, const int first, const int tiles, const int rows, const int format) {
  vf16 acc[TILES * 2][ROWS];
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int t = 0; t < tiles; t++)
      acc[t][r] = accumulate ? vector_load(y + (size_t)r * y_stride + (size_t)t * WEFT_TILE, 0, WEFT_F32) : vector_broadcast(0);
  for (size_t c = 0; c < cols; c++) {
    vf16 column[TILES * 2];
    UNROLL for (int t = 0; t < tiles; t++) {
      column[t] = vector_load(w + (size_t)t * tile_bytes, c * WEFT_TILE, format);
      if (first) __builtin_prefetch(w + (size_t)t * tile_bytes + c * WEFT_TILE * (format == WEFT_F32 ? 4 : 2) + 2048);
    }
    UNROLL for (int r = 0; r < rows; r++) {
      vf16 value = vector_broadcast(((const float *)(x + (size_t)r * x_stride))[c]);
      UNROLL for (int t = 0; t < tiles; t++) acc[t][r] = vector_fma(column[t], value, acc[t][r]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int t = 0; t < tiles; t++) vector_store(y + (size_t)r * y_stride + (size_t)t * WEFT_TILE, &acc[t][r]);
}

// All rows of one strip of `tiles` tiles.
INLINE void matmul_float_strip(float *y, size_t y_stride, const char *w, size_t tile_bytes, const char *x, size_t x_stride,
                               size_t cols, size_t n, int accumulate, const int tiles, const int format) {
#define STEP(rows, first)                                                                                      \
  matmul_float_block(y, y_stride, w, tile_bytes, x, x_stride, cols, accumulate, first, tiles, rows, format), \
      n -= (rows), y += (rows) * y_stride, x += (rows) * x_stride
  if (n >= ROWS) STEP(ROWS, 1); else if (n >= 4) STEP(4, 1); else if (n >= 2) STEP(2, 1); else STEP(1, 1);
  while (n >= ROWS) STEP(ROWS, 0);
  while (n >= 4) STEP(4, 0);
  if (n >= 2) STEP(2, 0);
  if (n >= 1) STEP(1, 0);
#undef STEP
}

INLINE void matmul_float(float *y, size_t y_stride, const char *w, const char *x, size_t x_stride, size_t cols,
                         size_t tile_begin, size_t tile_end, size_t n, int accumulate, const int format) {
  size_t tile_bytes = cols * WEFT_TILE * (format == WEFT_F32 ? 4 : 2);
  for (size_t begin = 0, step = rows_in_cache(x_stride); begin < n; begin += step) {
    size_t count = n - begin < step ? n - begin : step, t = tile_begin;
    float *out = y + begin * y_stride;
    const char *in = x + begin * x_stride;
    // One row has few independent sums: more tiles at once keep the multipliers busy.
    for (; count == 1 && t + TILES * 2 <= tile_end; t += TILES * 2)
      matmul_float_block(out + t * WEFT_TILE, y_stride, w + t * tile_bytes, tile_bytes, in, x_stride, cols, accumulate, 1,
                         TILES * 2, 1, format);
    for (; t + TILES <= tile_end; t += TILES)
      matmul_float_strip(out + t * WEFT_TILE, y_stride, w + t * tile_bytes, tile_bytes, in, x_stride, cols, count, accumulate,
                         TILES, format);
    for (; t < tile_end; t++)
      matmul_float_strip(out + t * WEFT_TILE, y_stride, w + t * tile_bytes, tile_bytes, in, x_stride, cols, count, accumulate, 1,
                         format);
  }
}

#define MATMUL_FLOAT(kernel, format)                                                                                         \
  void NAME(kernel)(float *y, size_t y_stride, const void *w, const void *x, size_t x_stride, size_t cols, size_t tile_begin, \
                    size_t tile_end, size_t n, int accumulate) {                                                             \
    matmul_float(y, y_stride, w, x, x_stride, cols, tile_begin, tile_end, n, accumulate, format);                            \
  }
MATMUL_FLOAT(matmul_f32, WEFT_F32)
MATMUL_FLOAT(matmul_f16, WEFT_F16)
MATMUL_FLOAT(matmul_bf16, WEFT_BF16)
#undef MATMUL_FLOAT
