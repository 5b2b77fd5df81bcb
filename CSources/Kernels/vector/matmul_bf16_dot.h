// SPDX-License-Identifier: Apache-2.0
// Products of bf16 weights with bf16 activations, two columns in one instruction where the processor has it: a tier with HAS_BF16_DOT 1.
// The others compute the same sums, to the bit, with two. Include inside a target region.

// What is broadcast for one column, or for two: activations in bf16, or as the same floats.
#if HAS_BF16_DOT
typedef uint16_t bf16_activation;
#else
typedef float bf16_activation;
#endif

// acc += the columns c and c + 1 of a tile times those of each row; the later column first, as the instruction has it.
INLINE void multiply_two_columns(vf16 (*acc)[ROWS], const char *w, size_t tile_bytes, const bf16_activation *x, size_t x_stride,
                                 size_t c, const int tiles, const int rows) {
#if HAS_BF16_DOT
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
                                         19, 3, 18, 2, 17, 1, 16, 0);
  __m512bh columns[TILES * 2];
  UNROLL for (int t = 0; t < tiles; t++)
    columns[t] = (__m512bh)_mm512_permutexvar_epi16(order, _mm512_loadu_si512(w + (size_t)t * tile_bytes + c * WEFT_TILE * 2));
  UNROLL for (int r = 0; r < rows; r++) {
    int32_t two;
    memcpy(&two, x + (size_t)r * x_stride + c, 4);
    const __m512bh value = (__m512bh)_mm512_set1_epi32(two);
    UNROLL for (int t = 0; t < tiles; t++) acc[t][r] = (vf16)_mm512_dpbf16_ps((__m512)acc[t][r], columns[t], value);
  }
#else
  UNROLL for (int later = 1; later >= 0; later--) {
    vf16 column[TILES * 2];
    UNROLL for (int t = 0; t < tiles; t++)
      column[t] = vector_load(w + (size_t)t * tile_bytes, (c + (size_t)later) * WEFT_TILE, WEFT_BF16);
    UNROLL for (int r = 0; r < rows; r++) {
      const vf16 value = vector_broadcast(x[(size_t)r * x_stride + c + (size_t)later]);
      UNROLL for (int t = 0; t < tiles; t++) acc[t][r] = vector_fma(column[t], value, acc[t][r]);
    }
  }
#endif
}

// `tiles` neighbouring tiles times `rows` rows of rounded activations; `cols` of them are in reach. Where `first`, these rows are
// the first to meet the weights, which come from memory: those that follow are asked for.
INLINE void matmul_bf16_block(float *y, size_t y_stride, const char *w, size_t tile_bytes, const bf16_activation *x,
                              size_t x_stride, size_t cols, int accumulate, const int first, const int tiles, const int rows) {
  vf16 acc[TILES * 2][ROWS];
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int t = 0; t < tiles; t++)
      acc[t][r] = accumulate ? vector_load(y + (size_t)r * y_stride + (size_t)t * WEFT_TILE, 0, WEFT_F32) : vector_broadcast(0);
  for (size_t c = 0; c + 2 <= cols; c += 2) {
    UNROLL for (int t = 0; t < tiles; t++)
      if (first) __builtin_prefetch(w + (size_t)t * tile_bytes + c * WEFT_TILE * 2 + 4096);
    multiply_two_columns(acc, w, tile_bytes, x, x_stride, c, tiles, rows);
  }
  if (cols % 2) {  // a last column without a neighbour
    UNROLL for (int r = 0; r < rows; r++) {
      float last;
#if HAS_BF16_DOT
      last = bf16_to_f32(x[(size_t)r * x_stride + cols - 1]);
#else
      last = x[(size_t)r * x_stride + cols - 1];
#endif
      UNROLL for (int t = 0; t < tiles; t++)
        acc[t][r] = vector_fma(vector_load(w + (size_t)t * tile_bytes, (cols - 1) * WEFT_TILE, WEFT_BF16),
                               vector_broadcast(last), acc[t][r]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int t = 0; t < tiles; t++) vector_store(y + (size_t)r * y_stride + (size_t)t * WEFT_TILE, &acc[t][r]);
}

// All rows of one strip of `tiles` tiles.
INLINE void matmul_bf16_strip(float *y, size_t y_stride, const char *w, size_t tile_bytes, const bf16_activation *x,
                              size_t x_stride, size_t cols, size_t n, int accumulate, const int tiles) {
#define STEP(rows, first)                                                                             \
  matmul_bf16_block(y, y_stride, w, tile_bytes, x, x_stride, cols, accumulate, first, tiles, rows), \
      n -= (rows), y += (rows) * y_stride, x += (rows) * x_stride
  if (n >= ROWS) STEP(ROWS, 1); else if (n >= 4) STEP(4, 1); else if (n >= 2) STEP(2, 1); else STEP(1, 1);
  while (n >= ROWS) STEP(ROWS, 0);
  while (n >= 4) STEP(4, 0);
  if (n >= 2) STEP(2, 0);
  if (n >= 1) STEP(1, 0);
#undef STEP
}

// All tiles times all rows.
INLINE void matmul_bf16_strips(float *y, size_t y_stride, const char *w, size_t tile_bytes, const bf16_activation *x,
                               size_t x_stride, size_t cols, size_t tile_begin, size_t tile_end, size_t n, int accumulate) {
  size_t t = tile_begin;
  for (; n == 1 && t + TILES * 2 <= tile_end; t += TILES * 2)
    matmul_bf16_block(y + t * WEFT_TILE, y_stride, w + t * tile_bytes, tile_bytes, x, x_stride, cols, accumulate, 1, TILES * 2, 1);
  for (; t + TILES <= tile_end; t += TILES)
    matmul_bf16_strip(y + t * WEFT_TILE, y_stride, w + t * tile_bytes, tile_bytes, x, x_stride, cols, n, accumulate, TILES);
  for (; t < tile_end; t++)
    matmul_bf16_strip(y + t * WEFT_TILE, y_stride, w + t * tile_bytes, tile_bytes, x, x_stride, cols, n, accumulate, 1);
}

#if HAS_BF16_DOT
void NAME(matmul_bf16_dot) WEFT_MATMUL {
  for (size_t row = 0, step = rows_in_cache(x_stride); row < n; row += step)
    matmul_bf16_strips(y + row * y_stride, y_stride, w, cols * WEFT_TILE * 2, (const uint16_t *)((const char *)x + row * x_stride),
                       x_stride / 2, cols, tile_begin, tile_end, n - row < step ? n - row : step, accumulate);
}
#else
enum {
  WIDENED_ROWS = 2 * ROWS,         // rows of activations that are made floats together
  WIDENED_COLUMNS = 512,           // and columns of that many rows: 48 KiB with twelve; fewer rows, more columns
  WIDENED = WIDENED_ROWS * WIDENED_COLUMNS,
};

void NAME(matmul_bf16_dot) WEFT_MATMUL {
  float wide[WIDENED] __attribute__((aligned(64)));
  for (size_t row = 0; row < n; row += WIDENED_ROWS) {
    const size_t rows = n - row < WIDENED_ROWS ? n - row : WIDENED_ROWS, span = WIDENED / rows / 64 * 64;
    for (size_t first = 0; first < cols; first += span) {
      const size_t count = cols - first < span ? cols - first : span;
      for (size_t r = 0; r < rows; r++) {
        const uint16_t *in = (const uint16_t *)((const char *)x + (row + r) * x_stride) + first;
        for (size_t c = 0; c < count; c++) wide[r * span + c] = bf16_to_f32(in[c]);
      }
      matmul_bf16_strips(y + row * y_stride, y_stride, (const char *)w + first * WEFT_TILE * 2, cols * WEFT_TILE * 2, wide, span,
                         count, tile_begin, tile_end, rows, accumulate || first > 0);
    }
  }
}
#endif
