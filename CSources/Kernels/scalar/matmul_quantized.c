// SPDX-License-Identifier: Apache-2.0
// The specification of the products with quantised weights: kernels.h states the formula, formats/packed.h the layout.
#include <math.h>
#include <string.h>

#include "../float16.h"
#include "../formats/packed.h"
#include "../tiers.h"

// The values of 32 columns of one row of a tile, without their scale.
static void values_of(int8_t *v, const quantized_format *format, const uint8_t *block, size_t lane) {
  uint8_t q[WEFT_BLOCK] = {0};
  for (unsigned shift = 0; shift < format->bits;) {
    unsigned width = plane_bits(format->bits, shift);
    for (size_t c = 0; c < WEFT_BLOCK; c++) {
      size_t group = c / 4, byte = block[group % width * 64 + lane * 4 + c % 4];
      q[c] |= (uint8_t)((byte >> group / width * width & ((1u << width) - 1)) << shift);
    }
    block += width * 64;
    shift += width;
  }
  for (size_t c = 0; c < WEFT_BLOCK; c++) v[c] = (int8_t)quantized_value(format, q[c]);
}

static float half_at(const uint8_t *p, size_t i) {
  uint16_t bits;
  memcpy(&bits, p + i * 2, 2);
  return f16_to_f32(bits);
}

// The scales and minimums of both halves of 32 columns of one row of a tile.
typedef struct block_scales {
  float scales[2], mins[2];
} block_scales;

static block_scales scales_of(const quantized_format *format, const packed_chunk *p, const uint8_t *chunk, size_t b, size_t lane) {
  block_scales s = {0};
  const uint8_t *scales = chunk + p->scales + b * packed_scale_bytes(format);
  const uint8_t *mins = chunk + p->mins + b * packed_min_bytes(format);
  float d = 1;
  if (format->brain) {
    uint16_t brain;
    memcpy(&brain, scales + lane * 2, 2);
    d = bf16_to_f32(brain);
  } else if (format->scale != SCALE_NONE) {
    d = half_at(format->scale == SCALE_BLOCK ? scales : chunk + p->d, lane);
  }
  float e = format->min == MIN_NONE ? 0 : half_at(format->min == MIN_BLOCK ? mins : chunk + p->e, lane);
  for (size_t i = 0; i < 2; i++) {
    size_t place = i * 16 / format->sub * WEFT_TILE + lane;
    s.scales[i] = format->scale == SCALE_BYTES ? d * (float)(int8_t)scales[place] : d;
    s.mins[i] = format->min == MIN_BYTES ? e * (float)mins[place] : e;
  }
  return s;
}

static int dot(const int8_t *v, const int8_t *q, size_t n) {
  int sum = 0;
  for (size_t c = 0; c < n; c++) sum += v[c] * q[c];
  return sum;
}

static void matmul_quantized(float *y, size_t y_stride, const uint8_t *w, const char *x, size_t x_stride, size_t cols,
                             size_t tile_begin, size_t tile_end, size_t n, int accumulate, const quantized_format *format) {
  const size_t blocks = cols / WEFT_BLOCK, tile_bytes = packed_tile_bytes(format, cols);
  for (size_t t = tile_begin; t < tile_end; t++) {
    for (size_t row = 0; row < n && !accumulate; row++) memset(y + row * y_stride + t * WEFT_TILE, 0, WEFT_TILE * 4);
    for (size_t b = 0; b < blocks; b++) {
      const packed_chunk p = packed_chunk_of(format, blocks - b / 8 * 8);
      const uint8_t *chunk = w + t * tile_bytes + b / 8 * packed_chunk_of(format, 8).bytes;
      for (size_t lane = 0; lane < WEFT_TILE; lane++) {
        int8_t v[WEFT_BLOCK];
        values_of(v, format, chunk + b % 8 * packed_quant_bytes(format), lane);
        block_scales s = scales_of(format, &p, chunk, b % 8, lane);
        for (size_t row = 0; row < n; row++) {
          const weft_block_q8 *in = (const weft_block_q8 *)(x + row * x_stride) + b;
          float *out = y + row * y_stride + t * WEFT_TILE + lane, part;
          if (format->sub == 32) {
            part = (float)dot(v, in->q, 32) * s.scales[0];
            if (format->min != MIN_NONE) part = fmaf(in->minus_float, s.mins[0], part);
          } else {
            part = fmaf((float)dot(v + 16, in->q + 16, 16), s.scales[1], (float)dot(v, in->q, 16) * s.scales[0]);
            for (size_t i = 0; i < 2 && format->min != MIN_NONE; i++) part = fmaf((float)in->minus_halves[i], s.mins[i], part);
          }
          *out = fmaf(part, in->scale, *out);
        }
      }
    }
  }
}

#define X(kernel, format)                                                                                                     \
  void kernel##__scalar WEFT_MATMUL {                                                                                         \
    matmul_quantized(y, y_stride, w, x, x_stride, cols, tile_begin, tile_end, n, accumulate, &quantized_formats[format]);     \
  }
QUANTIZED_KERNELS(X)
#undef X

void quantize_q8__scalar(weft_block_q8 *xq, const float *x, size_t begin, size_t end) {
  for (size_t b = begin / WEFT_BLOCK; b < end / WEFT_BLOCK; b++) {
    weft_block_q8 *block = xq + b;
    float largest = 0;
    for (size_t c = 0; c < WEFT_BLOCK; c++) {
      // NaN counts as the largest: it becomes the scale, and so every product that reads the block.
      const float size = fabsf(x[b * WEFT_BLOCK + c]);
      if (size > largest || isnan(size)) largest = size;
    }
    float inverse = largest > 0x1p-120f && isfinite(largest) ? 127.0f / largest : 0;
    int32_t sums[2] = {0};
    for (size_t c = 0; c < WEFT_BLOCK; c++) {
      block->q[c] = inverse > 0 ? (int8_t)lrintf(x[b * WEFT_BLOCK + c] * inverse) : 0;
      sums[c / 16] += block->q[c];
    }
    block->scale = largest / 127.0f;
    block->minus = -(sums[0] + sums[1]);
    block->minus_float = (float)block->minus;
    for (size_t half = 0; half < 2; half++) block->minus_halves[half] = -sums[half];
  }
}
