// SPDX-License-Identifier: Apache-2.0
// Products of int8 activations with quantised weights on NEON. Included inside the tier's target region.
//
// A quarter of a tile, 4 output rows, at a time: it lies 16 bytes further in every vector of 64. SDOT multiplies four signed weights
// with four activations in each 32-bit lane.

// Group g of one plane of the quants of a block, `width` bits wide, moved to bit `shift`: four columns of 4 rows.
INLINE uint8x16_t load_plane(const uint8_t *plane, const unsigned g, const unsigned width, const unsigned shift) {
  const int at = (int)(g / width * width);
  const uint8x16_t bits = vshlq_u8(vld1q_u8(plane + g % width * 64), vdupq_n_s8((int8_t)((int)shift - at)));
  return width < 8 ? vandq_u8(bits, vdupq_n_u8((uint8_t)(((1u << width) - 1) << shift))) : bits;
}

// Group g of a block as signed weights: q - offset, or table[q].
INLINE int8x16_t load_weights(const uint8_t *block, const unsigned g, const quantized_format *f) {
  const unsigned width = plane_bits(f->bits, 0);
  uint8x16_t q = load_plane(block, g, width, 0);
  if (width < f->bits) q = vorrq_u8(q, load_plane(block + width * 64, g, f->bits - width, width));
  if (f->table) return vqtbl1q_s8(vld1q_s8(f->table), q);
  return vreinterpretq_s8_u8(vsubq_u8(q, vdupq_n_u8(f->offset)));
}

typedef int8_t vb4 __attribute__((vector_size(4)));
typedef uint8_t vub4 __attribute__((vector_size(4)));

INLINE float32x4_t load_halves(const uint8_t *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
INLINE float32x4_t load_signed_bytes(const uint8_t *p) {
  vb4 bytes;
  memcpy(&bytes, p, 4);
  return __builtin_convertvector(bytes, float32x4_t);
}
INLINE float32x4_t load_unsigned_bytes(const uint8_t *p) {
  vub4 bytes;
  memcpy(&bytes, p, 4);
  return __builtin_convertvector(bytes, float32x4_t);
}

// d s of each half of a block, or of the whole block. `d` is that of 256 columns; `quarter` that of the tile.
INLINE void load_scales(float32x4_t s[2], const uint8_t *scales, float32x4_t d, size_t quarter, const quantized_format *f) {
  if (f->scale == SCALE_SUPER) {
    s[0] = d;
  } else if (f->scale == SCALE_NONE) {
    s[0] = vdupq_n_f32(1);
  } else if (f->scale == SCALE_BYTES) {
    s[0] = vmulq_f32(d, load_signed_bytes(scales + quarter * 4));
    if (f->sub == 16) s[1] = vmulq_f32(d, load_signed_bytes(scales + 16 + quarter * 4));
  } else if (f->brain) {
    s[0] = vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(scales + quarter * 8)), 16));
  } else {
    s[0] = load_halves(scales + quarter * 8);
  }
}

// e m of each half of a block, or of the whole block. `e` is that of 256 columns; `quarter` that of the tile.
INLINE void load_mins(float32x4_t m[2], const uint8_t *mins, float32x4_t e, size_t quarter, const quantized_format *f) {
  if (f->min == MIN_BLOCK) m[0] = load_halves(mins + quarter * 8);
  if (f->min == MIN_BYTES) m[0] = vmulq_f32(e, load_unsigned_bytes(mins + quarter * 4));
  if (f->min == MIN_BYTES && f->sub == 16) m[1] = vmulq_f32(e, load_unsigned_bytes(mins + 16 + quarter * 4));
}

INLINE void matmul_quantized_quarter(float *y, size_t y_stride, const uint8_t *tile, size_t quarter, const char *x,
                                     size_t x_stride, size_t cols, int accumulate, const int rows, const int format) {
  const quantized_format *f = &quantized_formats[format];
  const int groups = f->sub / 4;  // of a dot product
  float32x4_t acc[ROWS];
  UNROLL for (int r = 0; r < rows; r++) acc[r] = accumulate ? vld1q_f32(y + (size_t)r * y_stride) : vdupq_n_f32(0);
  for (size_t left = cols / WEFT_BLOCK; left > 0;) {
    const packed_chunk p = packed_chunk_of(f, left);
    const float32x4_t d = packed_has_super(f) ? load_halves(tile + p.d + quarter * 8) : vdupq_n_f32(0);
    const float32x4_t e = f->min == MIN_BYTES ? load_halves(tile + p.e + quarter * 8) : vdupq_n_f32(0);
    for (size_t b = 0; b < p.blocks; b++, x += sizeof(weft_block_q8)) {
      float32x4_t s[2], m[2], part[ROWS];
      load_scales(s, tile + p.scales + b * packed_scale_bytes(f), d, quarter, f);
      load_mins(m, tile + p.mins + b * packed_min_bytes(f), e, quarter, f);
      UNROLL for (int half = 0; half < 2; half++) {
        if (half && f->sub == 32) continue;
        int32x4_t dot[ROWS];
        UNROLL for (int r = 0; r < rows; r++) dot[r] = vdupq_n_s32(0);
        UNROLL for (int g = 0; g < 8; g++) {
          if (g / groups != half) continue;
          const int8x16_t w = load_weights(tile + b * packed_quant_bytes(f) + quarter * 16, (unsigned)g, f);
          UNROLL for (int r = 0; r < rows; r++) {
            const int32_t *q = (const int32_t *)(x + (size_t)r * x_stride);
            dot[r] = vdotq_s32(dot[r], w, vreinterpretq_s8_s32(vdupq_n_s32(q[g])));
          }
        }
        UNROLL for (int r = 0; r < rows; r++) {
          const float32x4_t value = vcvtq_f32_s32(dot[r]);
          part[r] = half ? vfmaq_f32(part[r], value, s[half]) : vmulq_f32(value, s[half]);
        }
      }
      UNROLL for (int r = 0; r < rows; r++) {
        const weft_block_q8 *in = (const weft_block_q8 *)(x + (size_t)r * x_stride);
        UNROLL for (int half = 0; half < 2; half++) {
          if (f->min == MIN_NONE || (half && f->sub == 32)) continue;
          const float32x4_t sum = vdupq_n_f32(f->sub == 32 ? in->minus_float : (float)in->minus_halves[half]);
          part[r] = vfmaq_f32(part[r], sum, m[half]);
        }
        acc[r] = vfmaq_f32(acc[r], part[r], vdupq_n_f32(in->scale));
      }
    }
    tile += p.bytes;
    left -= p.blocks;
  }
  UNROLL for (int r = 0; r < rows; r++) vst1q_f32(y + (size_t)r * y_stride, acc[r]);
}

INLINE void matmul_quantized(float *y, size_t y_stride, const uint8_t *w, const char *x, size_t x_stride, size_t cols,
                             size_t tile_begin, size_t tile_end, size_t n, int accumulate, const int format) {
  const size_t tile_bytes = packed_tile_bytes(&quantized_formats[format], cols);
  for (size_t begin = 0, step = rows_in_cache(x_stride); begin < n; begin += step)
    for (size_t quarter = tile_begin * 4; quarter < tile_end * 4; quarter++) {
      size_t left = n - begin < step ? n - begin : step;
      float *out = y + begin * y_stride + quarter * 4;
      const char *in = x + begin * x_stride;
      const uint8_t *tile = w + quarter / 4 * tile_bytes;
#define STEP(rows)                                                                            \
  for (; left >= (rows); left -= (rows), out += (rows) * y_stride, in += (rows) * x_stride)   \
    matmul_quantized_quarter(out, y_stride, tile, quarter % 4, in, x_stride, cols, accumulate, rows, format);
      STEP(4) STEP(2) STEP(1)
#undef STEP
    }
}

#define X(kernel, format)                                                                                    \
  void NAME(kernel) WEFT_MATMUL {                                                                            \
    matmul_quantized(y, y_stride, w, x, x_stride, cols, tile_begin, tile_end, n, accumulate, format);        \
  }
QUANTIZED_KERNELS(X)
#undef X
