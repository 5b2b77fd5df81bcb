// SPDX-License-Identifier: Apache-2.0
// Activations to int8 blocks and to bf16. Included by a tier, which defines NAME, inside its target region.
//
// A block alone would wait for one lane's largest, for a division and for two sums, one step after the other. Four at a time
// share these steps.

typedef int32_t vi8 __attribute__((vector_size(32)));
typedef int32_t vi4 __attribute__((vector_size(16)));

_Static_assert(offsetof(weft_block_q8, scale) == 32 && offsetof(weft_block_q8, minus) == 36 &&
                   offsetof(weft_block_q8, minus_float) == 40 && offsetof(weft_block_q8, minus_halves) == 44,
               "quantize_blocks writes scale to minus_halves[0] at once");

// Four vectors reduced to one number each: STEP(a, b) joins lanes.
#define REDUCE(result, v, STEP)                                                                                           \
  do {                                                                                                                    \
    const vi16 ab = STEP(__builtin_shufflevector(v[0], v[1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29),   \
                         __builtin_shufflevector(v[0], v[1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)); \
    const vi16 cd = STEP(__builtin_shufflevector(v[2], v[3], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29),   \
                         __builtin_shufflevector(v[2], v[3], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)); \
    const vi16 all = STEP(__builtin_shufflevector(ab, cd, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),      \
                          __builtin_shufflevector(ab, cd, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31));   \
    const vi8 half = STEP(__builtin_shufflevector(all, all, 0, 1, 2, 3, 4, 5, 6, 7),                                      \
                          __builtin_shufflevector(all, all, 8, 9, 10, 11, 12, 13, 14, 15));                               \
    result = STEP(__builtin_shufflevector(half, half, 0, 1, 2, 3), __builtin_shufflevector(half, half, 4, 5, 6, 7));      \
  } while (0)
#define SUM(a, b) ((a) + (b))

// `count` blocks, up to 4.
INLINE void quantize_blocks(weft_block_q8 *xq, const float *x, const int count) {
  const vi16 magnitude = (vi16){} + 0x7fffffff;
  vf16 low[4], high[4];
  vi16 first[4], second[4];
  vi4 largest_bits, firsts, seconds;
  UNROLL for (int b = 0; b < 4; b++) {
    low[b] = vector_load(x, (size_t)(b % count) * WEFT_BLOCK, WEFT_F32);
    high[b] = vector_load(x, (size_t)(b % count) * WEFT_BLOCK + 16, WEFT_F32);
    // Floats without a sign are in the order of their bits.
    first[b] = __builtin_elementwise_max((vi16)low[b] & magnitude, (vi16)high[b] & magnitude);
  }
  REDUCE(largest_bits, first, __builtin_elementwise_max);
  const vf4 largest = (vf4)largest_bits;
  const vf4 inverse = (vf4)((vi4)(127.0f / largest) & (largest > 0x1p-120f));
  UNROLL for (int b = 0; b < 4; b++) {
    first[b] = __builtin_convertvector(__builtin_elementwise_roundeven(low[b] * inverse[b % count]), vi16);
    second[b] = __builtin_convertvector(__builtin_elementwise_roundeven(high[b] * inverse[b % count]), vi16);
    if (b >= count) continue;
    vb16 bytes[2] = {__builtin_convertvector(first[b], vb16), __builtin_convertvector(second[b], vb16)};
    memcpy(xq[b].q, bytes, 32);
  }
  REDUCE(firsts, first, SUM);
  REDUCE(seconds, second, SUM);
  const vi4 minus = -(firsts + seconds), minus_float = (vi4)__builtin_convertvector(minus, vf4);
  const vi4 scale = (vi4)(largest / 127.0f);
  firsts = -firsts;
  const vi4 a = __builtin_shufflevector(scale, minus, 0, 4, 1, 5), b = __builtin_shufflevector(minus_float, firsts, 0, 4, 1, 5);
  const vi4 c = __builtin_shufflevector(scale, minus, 2, 6, 3, 7), d = __builtin_shufflevector(minus_float, firsts, 2, 6, 3, 7);
  const vi4 fields[4] = {__builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7),
                         __builtin_shufflevector(c, d, 0, 1, 4, 5), __builtin_shufflevector(c, d, 2, 3, 6, 7)};
  UNROLL for (int i = 0; i < count; i++) {
    memcpy(&xq[i].scale, &fields[i], 16);
    xq[i].minus_halves[1] = -seconds[i];
  }
}
#undef REDUCE
#undef SUM

void NAME(quantize_q8)(weft_block_q8 *xq, const float *x, size_t begin, size_t end) {
  size_t c = begin;
  for (; c + 4 * WEFT_BLOCK <= end; c += 4 * WEFT_BLOCK) quantize_blocks(xq + c / WEFT_BLOCK, x + c, 4);
  for (; c + 2 * WEFT_BLOCK <= end; c += 2 * WEFT_BLOCK) quantize_blocks(xq + c / WEFT_BLOCK, x + c, 2);
  if (c < end) quantize_blocks(xq + c / WEFT_BLOCK, x + c, 1);
}

void NAME(round_bf16)(uint16_t *restrict xr, const float *restrict x, size_t begin, size_t end) {
  for (size_t c = begin; c < end; c++) xr[c] = f32_to_bf16(x[c]);
}
