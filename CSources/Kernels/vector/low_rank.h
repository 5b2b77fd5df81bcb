// SPDX-License-Identifier: Apache-2.0
// Products with the float factors of a low rank: shrink_*, which multiplies A, and expand_*, which adds B. A tier defines NAME, and
// SHRINK_SUMS and EXPAND_TILES x EXPAND_FLOAT_ROWS (accumulators of 16 floats, which must fit its registers), and includes this inside
// its target region.
//
// One row is as fast as the factors arrive, which are read once a step and never from a cache: it takes them in the order of memory
// and asks for them early. On a Zen 5, A and B of rank 16 of a model of half a billion weights, from memory: 0.29 and 0.35 ms a
// token, where tiles beside each other and asked for later took 0.31 and 0.41.

enum { LOW_RANK_AHEAD = 4096 };

INLINE size_t float_bytes(const int format) { return format == WEFT_F32 ? 4 : 2; }

// `tiles` neighbouring tiles of A times `rows` rows of x.
INLINE void shrink_block(float *u, size_t u_stride, const char *w, size_t tile_bytes, const char *x, size_t x_stride, size_t cols,
                         const int tiles, const int rows, const int format) {
  vf16 acc[SHRINK_SUMS][SHRINK_SUMS];
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int t = 0; t < tiles; t++) acc[t][r] = vector_broadcast(0);
  for (size_t c = 0; c < cols; c++) {
    vf16 column[SHRINK_SUMS];
    UNROLL for (int t = 0; t < tiles; t++) {
      const char *at = w + (size_t)t * tile_bytes;
      column[t] = vector_load(at, c * WEFT_TILE, format);
      if (rows == 1) __builtin_prefetch(at + c * WEFT_TILE * float_bytes(format) + LOW_RANK_AHEAD);
    }
    UNROLL for (int r = 0; r < rows; r++) {
      const vf16 value = vector_broadcast(((const float *)(x + (size_t)r * x_stride))[c]);
      UNROLL for (int t = 0; t < tiles; t++) acc[t][r] = vector_fma(column[t], value, acc[t][r]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int t = 0; t < tiles; t++) vector_store(u + (size_t)r * u_stride + (size_t)t * WEFT_TILE, &acc[t][r]);
}

// All rows of one strip of `tiles` tiles.
INLINE void shrink_strip(float *u, size_t u_stride, const char *w, size_t tile_bytes, const char *x, size_t x_stride, size_t cols,
                         size_t n, const int tiles, const int format) {
#define STEP(rows)                                                                 \
  for (; n >= (size_t)(rows); n -= (size_t)(rows), u += (size_t)(rows) * u_stride, x += (size_t)(rows) * x_stride) \
    shrink_block(u, u_stride, w, tile_bytes, x, x_stride, cols, tiles, rows, format);
  if (SHRINK_SUMS / tiles >= 12) STEP(12)
  if (SHRINK_SUMS / tiles >= 8) STEP(8)
  if (SHRINK_SUMS / tiles >= 4) STEP(4)
  if (SHRINK_SUMS / tiles >= 2) STEP(2)
  STEP(1)
#undef STEP
}

INLINE void shrink(float *u, size_t u_stride, const char *w, const char *x, size_t x_stride, size_t cols, size_t tile_count,
                   size_t n, const int format) {
  const size_t tile_bytes = cols * WEFT_TILE * float_bytes(format);
  for (size_t begin = 0, step = rows_in_cache(x_stride); begin < n; begin += step) {
    const size_t count = n - begin < step ? n - begin : step;
    size_t t = 0;
#define STRIP(tiles)                                                                                                     \
  for (; t + (tiles) <= tile_count; t += (tiles))                                                                        \
    shrink_strip(u + begin * u_stride + t * WEFT_TILE, u_stride, w + t * tile_bytes, tile_bytes, x + begin * x_stride,   \
                 x_stride, cols, count, tiles, format);
    STRIP(3) STRIP(2) STRIP(1)
#undef STRIP
  }
}

// `tiles` neighbouring tiles of B times `rows` rows of u.
INLINE void expand_float_block(float *y, size_t y_stride, const char *w, size_t tile_bytes, const float *u, size_t u_stride,
                               size_t cols, const int tiles, const int rows, const int format) {
  vf16 acc[EXPAND_TILES][EXPAND_FLOAT_ROWS];
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int t = 0; t < tiles; t++)
      acc[t][r] = vector_load(y + (size_t)r * y_stride + (size_t)t * WEFT_TILE, 0, WEFT_F32);
  for (size_t c = 0; c < cols; c++) {
    vf16 column[EXPAND_TILES];
    UNROLL for (int t = 0; t < tiles; t++) column[t] = vector_load(w + (size_t)t * tile_bytes, c * WEFT_TILE, format);
    UNROLL for (int r = 0; r < rows; r++) {
      const vf16 value = vector_broadcast(u[(size_t)r * u_stride + c]);
      UNROLL for (int t = 0; t < tiles; t++) acc[t][r] = vector_fma(column[t], value, acc[t][r]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int t = 0; t < tiles; t++) vector_store(y + (size_t)r * y_stride + (size_t)t * WEFT_TILE, &acc[t][r]);
}

// One row: tile after tile.
INLINE void expand_float_row(float *y, const char *w, size_t tile_bytes, const float *u, size_t cols, size_t tiles,
                             const int format) {
  for (; tiles > 0; tiles--, y += WEFT_TILE, w += tile_bytes) {
    for (size_t line = 0; line < tile_bytes; line += 64) __builtin_prefetch(w + line + LOW_RANK_AHEAD);
    expand_float_block(y, 0, w, tile_bytes, u, 0, cols, 1, 1, format);
  }
}

INLINE void expand_float(float *y, size_t y_stride, const char *w, const float *u, size_t u_stride, size_t cols, size_t tile_begin,
                         size_t tile_end, size_t n, const int format) {
  const size_t tile_bytes = cols * WEFT_TILE * float_bytes(format);
  size_t row = 0;
#define STEP(rows)                                                                                                            \
  for (; row + (rows) <= n; row += (rows)) {                                                                                  \
    float *out = y + row * y_stride;                                                                                          \
    size_t t = tile_begin;                                                                                                    \
    for (; t + EXPAND_TILES <= tile_end; t += EXPAND_TILES)                                                                   \
      expand_float_block(out + t * WEFT_TILE, y_stride, w + t * tile_bytes, tile_bytes, u + row * u_stride, u_stride, cols,   \
                         EXPAND_TILES, rows, format);                                                                         \
    for (; t < tile_end; t++)                                                                                                 \
      expand_float_block(out + t * WEFT_TILE, y_stride, w + t * tile_bytes, tile_bytes, u + row * u_stride, u_stride, cols, 1, \
                         rows, format);                                                                                       \
  }
  STEP(EXPAND_FLOAT_ROWS)
  if (EXPAND_FLOAT_ROWS > 4) STEP(4)
  STEP(2)
#undef STEP
  if (row == n) return;
  y += row * y_stride + tile_begin * WEFT_TILE;
  w += tile_begin * tile_bytes;
  u += row * u_stride;
  if (cols == 16)
    expand_float_row(y, w, 16 * WEFT_TILE * float_bytes(format), u, 16, tile_end - tile_begin, format);
  else
    expand_float_row(y, w, tile_bytes, u, cols, tile_end - tile_begin, format);
}

#define LOW_RANK(suffix, format)                                                                     \
  void NAME(shrink_##suffix) WEFT_SHRINK {                                                           \
    shrink(u, u_stride, w, x, x_stride, cols, tile_count, n, format);                                \
  }                                                                                                  \
  void NAME(expand_##suffix) WEFT_EXPAND {                                                           \
    (void)tile_count;                                                                                \
    expand_float(y, y_stride, w, u, u_stride, cols, tile_begin, tile_end, n, format);                \
  }
LOW_RANK(f32, WEFT_F32)
LOW_RANK(f16, WEFT_F16)
LOW_RANK(bf16, WEFT_BF16)
#undef LOW_RANK
