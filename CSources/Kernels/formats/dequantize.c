// SPDX-License-Identifier: Apache-2.0
// Rows in file layout -> f32 and back, and the search for what is not finite. Declared in kernels.h.
#include <string.h>

#include "../float16.h"
#include "quantized.h"

// Bits of the result are those of the gguf package: no product and sum become one.
#pragma STDC FP_CONTRACT OFF

static uint16_t load_u16(const void *p) {
  uint16_t h;
  memcpy(&h, p, 2);
  return h;
}

static void dequantize_block(float *x, const quantized_format *format, const quantized_block *block) {
  float d = format->brain ? bf16_to_f32(block->d) : f16_to_f32(block->d);
  float e = format->min == MIN_NONE ? 0 : f16_to_f32(block->e);
  float values[16];
  for (uint8_t q = 0; q < 16; q++) values[q] = (float)quantized_value(format, q);
  for (size_t sub = 0; sub < format->block_elements / format->sub; sub++) {
    float scale = format->scale == SCALE_BYTES ? d * (float)block->scales[sub] : d;
    float min = format->min == MIN_BYTES ? e * (float)block->mins[sub] : e;
    const uint8_t *q = block->q + sub * format->sub;
    float *out = x + sub * format->sub;
    for (size_t i = 0; i < format->sub; i++) {
      float product = scale * (format->table ? values[q[i]] : (float)(q[i] - format->offset));
      out[i] = format->min == MIN_NONE ? product : product - min;
    }
  }
}

// The value of ternary element i.
static int ternary_at(const uint8_t *p, size_t i) { return (int)((p[i / 4] >> i % 4 * 2 & 3) ^ 2) - 2; }

void weft_dequantize(float *x, int format, const void *w, size_t n) {
  const uint8_t *p = w;
  const quantized_format *quantized = &quantized_formats[format];
  switch (format) {
    case WEFT_F32: memcpy(x, w, n * 4); break;
    case WEFT_F16:
      for (size_t i = 0; i < n; i++) x[i] = f16_to_f32(load_u16(p + 2 * i));
      break;
    case WEFT_BF16:
      for (size_t i = 0; i < n; i++) x[i] = bf16_to_f32(load_u16(p + 2 * i));
      break;
    case WEFT_TERNARY:
      for (size_t i = 0; i < n; i++) x[i] = (float)ternary_at(p, i);
      break;
    default:
      for (size_t i = 0; i < n; i += quantized->block_elements, p += quantized->block_bytes) {
        quantized_block block;
        quantized_unpack(&block, format, p);
        dequantize_block(x + i, quantized, &block);
      }
  }
}

void weft_round_row(void *w, int format, const float *x, size_t n) {
  uint8_t *p = w;
  if (format == WEFT_F32) memcpy(w, x, n * 4);
  for (size_t i = 0; i < n && format != WEFT_F32; i++) {
    uint16_t h = format == WEFT_F16 ? f32_to_f16(x[i]) : f32_to_bf16(x[i]);
    memcpy(p + 2 * i, &h, 2);
  }
}

static int f16_is_finite(const uint8_t *p) { return (load_u16(p) & 0x7c00u) != 0x7c00u; }

static int is_finite(int format, const uint8_t *p) {
  uint32_t u;
  switch (format) {
    case WEFT_F32: memcpy(&u, p, 4); return (u & 0x7f800000u) != 0x7f800000u;
    case WEFT_BF16: return (load_u16(p) & 0x7f80u) != 0x7f80u;
    // Where the one or two f16 of a block are.
    case WEFT_Q4_1:
    case WEFT_Q5_1:
    case WEFT_Q4_K:
    case WEFT_Q5_K: return f16_is_finite(p) && f16_is_finite(p + 2);
    case WEFT_Q2_K: return f16_is_finite(p + 80) && f16_is_finite(p + 82);
    case WEFT_Q3_K: return f16_is_finite(p + 108);
    case WEFT_Q6_K: return f16_is_finite(p + 208);
    case WEFT_TQ1_0: return f16_is_finite(p + 52);
    case WEFT_TQ2_0: return f16_is_finite(p + 64);
    // Code 255 is NaN; with 254 and 253 the largest element, 6, is infinite in f32.
    case WEFT_MXFP4: return *p <= 252;
    default: return f16_is_finite(p);
  }
}

// The first of n elements of 2 bytes whose bits of `mask` are all set, or n. Pieces without one are passed without a branch.
static size_t first_with_bits16(const uint8_t *p, size_t n, uint16_t mask) {
  for (size_t begin = 0; begin < n; begin += 1024) {
    size_t end = begin + 1024 < n ? begin + 1024 : n;
    uint16_t found = 0;
    for (size_t i = begin; i < end; i++) found |= (load_u16(p + 2 * i) & mask) == mask;
    for (size_t i = begin; found && i < end; i++)
      if ((load_u16(p + 2 * i) & mask) == mask) return i;
  }
  return n;
}

ptrdiff_t weft_first_non_finite(int format, const void *w, size_t n) {
  if (format == WEFT_F16 || format == WEFT_BF16) {
    size_t i = first_with_bits16(w, n, format == WEFT_F16 ? 0x7c00u : 0x7f80u);
    return i < n ? (ptrdiff_t)i : -1;
  }
  if (format == WEFT_TERNARY) return -1;
  const quantized_format *quantized = &quantized_formats[format];
  size_t elements = quantized->bits ? quantized->block_elements : 1;
  size_t step = quantized->bits ? quantized->block_bytes : format == WEFT_F32 ? 4 : 2;
  for (size_t i = 0; i < n / elements; i++)
    if (!is_finite(format, (const uint8_t *)w + i * step)) return (ptrdiff_t)(i * elements);
  return -1;
}

ptrdiff_t weft_first_invalid_ternary(const void *w, size_t n) {
  const uint8_t *p = w;
  for (size_t i = 0; i < n / 4; i++) {
    unsigned found = p[i] & ~(unsigned)p[i] << 1 & 0xaa;  // a high bit without its low bit
    if (found) return (ptrdiff_t)(i * 4 + (size_t)__builtin_ctz(found) / 2);
  }
  return -1;
}
