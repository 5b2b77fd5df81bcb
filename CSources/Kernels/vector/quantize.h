// SPDX-License-Identifier: Apache-2.0
// Activations to int8 blocks. Included by a tier, which defines NAME, inside its target region.

void NAME(quantize_q8)(void *xq, const float *x, size_t cols, size_t begin, size_t end) {
  int8_t *q = xq;
  size_t blocks = cols / WEFT_BLOCK;
  float *scales = (float *)(q + cols);
  int16_t *minus = (int16_t *)(scales + blocks);
  for (size_t c = begin; c < end; c += WEFT_BLOCK) {
    vf16 low = vector_load(x, c, WEFT_F32), high = vector_load(x, c + 16, WEFT_F32);
    float largest = vector_largest(__builtin_elementwise_max(__builtin_elementwise_abs(low), __builtin_elementwise_abs(high)));
    float inverse = largest > 0x1p-120f ? 127.0f / largest : 0;
    vi16 first = __builtin_convertvector(__builtin_elementwise_roundeven(low * inverse), vi16);
    vi16 second = __builtin_convertvector(__builtin_elementwise_roundeven(high * inverse), vi16);
    typedef int8_t vb16 __attribute__((vector_size(16)));
    vb16 bytes[2] = {__builtin_convertvector(first, vb16), __builtin_convertvector(second, vb16)};
    memcpy(q + c, bytes, 32);
    scales[c / WEFT_BLOCK] = largest / 127.0f;
    minus[c / 16] = (int16_t)-__builtin_reduce_add(first);
    minus[c / 16 + 1] = (int16_t)-__builtin_reduce_add(second);
  }
}
