// SPDX-License-Identifier: Apache-2.0
// Activations to int8 blocks. Included by a tier, which defines NAME, inside its target region.

void NAME(quantize_q8)(weft_block_q8 *xq, const float *x, size_t begin, size_t end) {
  for (size_t c = begin; c < end; c += WEFT_BLOCK) {
    weft_block_q8 *block = xq + c / WEFT_BLOCK;
    vf16 low = vector_load(x, c, WEFT_F32), high = vector_load(x, c + 16, WEFT_F32);
    float largest = vector_largest(vector_larger(__builtin_elementwise_abs(low), __builtin_elementwise_abs(high)));
    float inverse = largest > 0x1p-120f ? 127.0f / largest : 0;
    vi16 first = __builtin_convertvector(__builtin_elementwise_roundeven(low * inverse), vi16);
    vi16 second = __builtin_convertvector(__builtin_elementwise_roundeven(high * inverse), vi16);
    typedef int8_t vb16 __attribute__((vector_size(16)));
    vb16 bytes[2] = {__builtin_convertvector(first, vb16), __builtin_convertvector(second, vb16)};
    memcpy(block->q, bytes, 32);
    block->scale = largest / 127.0f;
    block->minus_halves[0] = -__builtin_reduce_add(first);
    block->minus_halves[1] = -__builtin_reduce_add(second);
    block->minus = block->minus_halves[0] + block->minus_halves[1];
    block->minus_float = (float)block->minus;
  }
}
