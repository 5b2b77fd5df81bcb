// SPDX-License-Identifier: Apache-2.0
// The AVX-512 tier: f, bw, vl, dq, vnni.
#if defined(__x86_64__)
#include <immintrin.h>

#include "../tiers.h"
#include "../vector/rows_in_cache.h"

TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")
#include "../vector/vector.h"
#define NAME(kernel) kernel##__avx512
#define TILES 2
#define ROWS 12
#define QUERIES 6
#include "../vector/attention.h"
#include "../vector/elementwise.h"
#include "../vector/matmul_float.h"

// Products of int8 activations with one tile of a quantised matrix: vpdpbusd multiplies four unsigned weights with four signed
// activations per 32-bit lane, a lane is an output row. The offset of the unsigned weights (8 or 128) times the sum of the
// activations is where the accumulator starts.
INLINE void matmul_quantized_rows(float *y, size_t y_stride, const uint8_t *tile, const char *x, size_t x_stride, size_t cols,
                                  int accumulate, const int rows, const int format) {
  const size_t blocks = cols / WEFT_BLOCK, block_bytes = format == WEFT_Q4_0 ? 256 : 512;
  const uint8_t *scales = tile + blocks * block_bytes;
  __m512 acc[ROWS];
  UNROLL for (int r = 0; r < rows; r++)
    acc[r] = accumulate ? _mm512_loadu_ps(y + (size_t)r * y_stride) : _mm512_setzero_ps();
  for (size_t b = 0; b < blocks; b++) {
    const uint8_t *block = tile + b * block_bytes;
    __m512i w[8];
    if (format == WEFT_Q4_0) {
      UNROLL for (int g = 0; g < 4; g++) {
        __m512i pair = _mm512_loadu_si512(block + g * 64);
        w[g] = _mm512_and_si512(pair, _mm512_set1_epi8(15));
        w[g + 4] = _mm512_and_si512(_mm512_srli_epi16(pair, 4), _mm512_set1_epi8(15));
      }
    } else {
      UNROLL for (int g = 0; g < 8; g++) w[g] = _mm512_loadu_si512(block + g * 64);
    }
    if (rows <= 2) {
      UNROLL for (size_t line = 0; line < block_bytes; line += 64) _mm_prefetch((const char *)block + 4096 + line, _MM_HINT_T0);
    }
    __m512 d = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(scales + b * 32)));
    UNROLL for (int r = 0; r < rows; r++) {
      const char *row = x + (size_t)r * x_stride;
      const float *dx = (const float *)(row + cols);
      const int32_t *q = (const int32_t *)(row + b * WEFT_BLOCK), *minus = (const int32_t *)(dx + blocks);
      __m512i sum = _mm512_slli_epi32(_mm512_set1_epi32(minus[b]), format == WEFT_Q4_0 ? 3 : 7);
      UNROLL for (int g = 0; g < 8; g++) sum = _mm512_dpbusd_epi32(sum, w[g], _mm512_set1_epi32(q[g]));
      acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(d, _mm512_set1_ps(dx[b])), acc[r]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++) _mm512_storeu_ps(y + (size_t)r * y_stride, acc[r]);
}

INLINE void matmul_quantized(float *y, size_t y_stride, const uint8_t *w, const char *x, size_t x_stride, size_t cols,
                             size_t tile_begin, size_t tile_end, size_t n, int accumulate, const int format) {
  const size_t tile_bytes = cols / WEFT_BLOCK * (format == WEFT_Q4_0 ? 288 : 544);
  for (size_t begin = 0, step = rows_in_cache(x_stride); begin < n; begin += step)
    for (size_t t = tile_begin; t < tile_end; t++) {
      size_t left = n - begin < step ? n - begin : step;
      float *out = y + begin * y_stride + t * WEFT_TILE;
      const char *in = x + begin * x_stride;
#define STEP(rows)                                                              \
  for (; left >= (rows); left -= (rows), out += (rows) * y_stride, in += (rows) * x_stride) \
    matmul_quantized_rows(out, y_stride, w + t * tile_bytes, in, x_stride, cols, accumulate, rows, format);
      STEP(8) STEP(4) STEP(2) STEP(1)
#undef STEP
    }
}

void matmul_q8_0__avx512(float *y, size_t y_stride, const void *w, const void *x, size_t x_stride, size_t cols,
                         size_t tile_begin, size_t tile_end, size_t n, int accumulate) {
  matmul_quantized(y, y_stride, w, x, x_stride, cols, tile_begin, tile_end, n, accumulate, WEFT_Q8_0);
}

void matmul_q4_0__avx512(float *y, size_t y_stride, const void *w, const void *x, size_t x_stride, size_t cols,
                         size_t tile_begin, size_t tile_end, size_t n, int accumulate) {
  matmul_quantized(y, y_stride, w, x, x_stride, cols, tile_begin, tile_end, n, accumulate, WEFT_Q4_0);
}
TARGET_END

const weft_kernels weft_kernels_avx512 = {
    .isa = "avx512",
#define X(name, ret, args) .name = name##__avx512,
    KERNELS(X)
#undef X
};
#endif
