// SPDX-License-Identifier: Apache-2.0
// The AVX2 tier: avx2, fma, f16c.
#if defined(__x86_64__)
#include <immintrin.h>

#include "../tiers.h"
#include "../vector/rows_in_cache.h"

TARGET_BEGIN("avx2,fma,f16c")
#include "../vector/vector.h"
#define NAME(kernel) kernel##__avx2
#define TILES 1
#define ROWS 4
#define QUERIES 2
#include "../vector/attention.h"
#include "../vector/elementwise.h"
#include "../vector/matmul_float.h"

// Products of int8 activations with half a tile (8 output rows). vpmaddubsw multiplies unsigned by signed bytes and adds pairs
// in 16 bits, saturating. Q4_0: 0 ... 15 times int8, eight groups stay below 2^15. Q8_0: the sign of the weight moves to the
// activation, so that |w| <= 128 times 127 twice stays below 2^15.
// The second half of a tile lies 32 bytes further in every group of 64, and 16 bytes further in the scales.
INLINE void matmul_quantized_half(float *y, size_t y_stride, const uint8_t *tile, size_t half, const char *x, size_t x_stride,
                                  size_t cols, int accumulate, const int rows, const int format) {
  const size_t blocks = cols / WEFT_BLOCK, block_bytes = format == WEFT_Q4_0 ? 256 : 512;
  const uint8_t *scales = tile + blocks * block_bytes + half * 16;
  const __m256i ones = _mm256_set1_epi16(1), low = _mm256_set1_epi8(15), flip = _mm256_set1_epi8(-128);
  __m256 acc[ROWS];
  UNROLL for (int r = 0; r < rows; r++)
    acc[r] = accumulate ? _mm256_loadu_ps(y + (size_t)r * y_stride) : _mm256_setzero_ps();
  for (size_t b = 0; b < blocks; b++) {
    const uint8_t *block = tile + b * block_bytes + half * 32;
    __m256 d = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(scales + b * 32)));
    UNROLL for (int r = 0; r < rows; r++) {
      const char *row = x + (size_t)r * x_stride;
      const float *dx = (const float *)(row + cols);
      const int32_t *q = (const int32_t *)(row + b * WEFT_BLOCK), *minus = (const int32_t *)(dx + blocks);
      __m256i sum;
      if (format == WEFT_Q4_0) {
        __m256i pairs = _mm256_setzero_si256();
        UNROLL for (int g = 0; g < 4; g++) {
          __m256i w = _mm256_loadu_si256((const __m256i *)(block + g * 64));
          __m256i a = _mm256_and_si256(w, low), c = _mm256_and_si256(_mm256_srli_epi16(w, 4), low);
          pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(a, _mm256_set1_epi32(q[g])));
          pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(c, _mm256_set1_epi32(q[g + 4])));
        }
        sum = _mm256_add_epi32(_mm256_madd_epi16(pairs, ones), _mm256_set1_epi32(minus[b] * 8));
      } else {
        sum = _mm256_setzero_si256();
        UNROLL for (int g = 0; g < 8; g++) {
          __m256i w = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(block + g * 64)), flip);
          __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(_mm256_set1_epi32(q[g]), w));
          sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
        }
      }
      acc[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(d, _mm256_set1_ps(dx[b])), acc[r]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++) _mm256_storeu_ps(y + (size_t)r * y_stride, acc[r]);
}

INLINE void matmul_quantized(float *y, size_t y_stride, const uint8_t *w, const char *x, size_t x_stride, size_t cols,
                             size_t tile_begin, size_t tile_end, size_t n, int accumulate, const int format) {
  const size_t blocks = cols / WEFT_BLOCK, tile_bytes = blocks * (format == WEFT_Q4_0 ? 288 : 544);
  for (size_t begin = 0, step = rows_in_cache(x_stride); begin < n; begin += step)
    for (size_t half = tile_begin * 2; half < tile_end * 2; half++) {
      size_t left = n - begin < step ? n - begin : step;
      float *out = y + begin * y_stride + half * 8;
      const char *in = x + begin * x_stride;
      const uint8_t *tile = w + half / 2 * tile_bytes;
#define STEP(rows)                                                                            \
  for (; left >= (rows); left -= (rows), out += (rows) * y_stride, in += (rows) * x_stride)   \
    matmul_quantized_half(out, y_stride, tile, half % 2, in, x_stride, cols, accumulate, rows, format);
      STEP(4) STEP(2) STEP(1)
#undef STEP
    }
}
void matmul_q8_0__avx2(float *y, size_t y_stride, const void *w, const void *x, size_t x_stride, size_t cols,
                       size_t tile_begin, size_t tile_end, size_t n, int accumulate) {
  matmul_quantized(y, y_stride, w, x, x_stride, cols, tile_begin, tile_end, n, accumulate, WEFT_Q8_0);
}

void matmul_q4_0__avx2(float *y, size_t y_stride, const void *w, const void *x, size_t x_stride, size_t cols,
                       size_t tile_begin, size_t tile_end, size_t n, int accumulate) {
  matmul_quantized(y, y_stride, w, x, x_stride, cols, tile_begin, tile_end, n, accumulate, WEFT_Q4_0);
}
TARGET_END

const weft_kernels weft_kernels_avx2 = {
    .isa = "avx2",
#define X(name, ret, args) .name = name##__avx2,
    KERNELS(X)
#undef X
};
#endif
