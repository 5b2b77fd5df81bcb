// SPDX-License-Identifier: Apache-2.0
// Products of int8 activations with quantised weights on NEON. Included inside the target region of a tier, which defines I8MM.
//
// Half a tile, 8 output rows, at a time, as two quarters of 4, which lie 16 bytes apart in every vector of 64. SDOT multiplies four
// signed weights with four activations in each 32-bit lane. SMMLA (I8MM) multiplies two rows of eight weights with two rows of
// eight activations, twice as much: two groups of four columns, zipped, are two rows of eight weights.
//
// Up to four rows take weights as they are packed, in registers. For more rows a chunk of 256 columns is unpacked once, into a buffer
// that stays in the L1 cache.

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

// A chunk, unpacked.
typedef struct unpacked_chunk {
  int8x16_t w[8][2][16];             // [block][half of the tile]: vectors of load_columns, one after the other
  float32x4_t s[8][4][2], m[8][4][2];  // [block][quarter][half of the block]
} unpacked_chunk;

// Eight columns of half a tile, groups 2 i and 2 i + 1: of each group both quarters; or `paired`, two rows of eight columns in each.
INLINE void load_columns(int8x16_t w[4], const uint8_t *half, const unsigned i, const quantized_format *f, const int paired) {
  UNROLL for (unsigned q = 0; q < 2; q++) {
    const int8x16_t first = load_weights(half + q * 16, i * 2, f), second = load_weights(half + q * 16, i * 2 + 1, f);
    const int32x4_t low = vreinterpretq_s32_s8(first), high = vreinterpretq_s32_s8(second);
    w[paired ? q * 2 : q] = paired ? vreinterpretq_s8_s32(vzip1q_s32(low, high)) : first;
    w[paired ? q * 2 + 1 : q + 2] = paired ? vreinterpretq_s8_s32(vzip2q_s32(low, high)) : second;
  }
}

INLINE void unpack_chunk(unpacked_chunk *u, const uint8_t *chunk, const packed_chunk *p, const quantized_format *f) {
  for (size_t quarter = 0; quarter < 4; quarter++) {
    const float32x4_t d = packed_has_super(f) ? load_halves(chunk + p->d + quarter * 8) : vdupq_n_f32(0);
    const float32x4_t e = f->min == MIN_BYTES ? load_halves(chunk + p->e + quarter * 8) : vdupq_n_f32(0);
    for (size_t b = 0; b < p->blocks; b++) {
      load_scales(u->s[b][quarter], chunk + p->scales + b * packed_scale_bytes(f), d, quarter, f);
      load_mins(u->m[b][quarter], chunk + p->mins + b * packed_min_bytes(f), e, quarter, f);
    }
  }
  for (size_t b = 0; b < p->blocks; b++)
    for (size_t h = 0; h < 2; h++)
      UNROLL for (unsigned i = 0; i < 4; i++)
        load_columns(u->w[b][h] + i * 4, chunk + b * packed_quant_bytes(f) + h * 32, i, f, I8MM);
}

INLINE int32x4_t multiply_pairs(int32x4_t sum, int8x16_t x, int8x16_t w) {
#if I8MM
  return vmmlaq_s32(sum, x, w);
#else
  (void)x, (void)w;
  return sum;
#endif
}

INLINE int32x4_t zip_low(int32x4_t a, int32x4_t b) {
  return vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}
INLINE int32x4_t zip_high(int32x4_t a, int32x4_t b) {
  return vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}

// The value is computed here. Left alone, the compiler takes rows one after the other, because they are independent, and loads the
// weights anew for each.
#define HERE(value) __asm__ volatile("" : "+w"(value))

// One chunk of half a tile, for some rows: from `u`, or as it is packed where that is NULL. `from_zero`: y is not read.
INLINE void matmul_quantized_rows(float *y, size_t y_stride, const unpacked_chunk *u, const uint8_t *chunk, const packed_chunk *p,
                                  size_t half_tile, const char *x, size_t x_stride, int from_zero, const int rows,
                                  const int format) {
  const quantized_format *f = &quantized_formats[format];
  const int steps = f->sub / 8;               // of eight columns in a dot product
  const int paired = I8MM && (u || rows > 1);  // a row without another is paired with itself
  float32x4_t acc[ROWS][2], d[2] = {vdupq_n_f32(0), vdupq_n_f32(0)}, e[2] = {vdupq_n_f32(0), vdupq_n_f32(0)};
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int q = 0; q < 2; q++)
      acc[r][q] = from_zero ? vdupq_n_f32(0) : vld1q_f32(y + (size_t)r * y_stride + q * 4);
  UNROLL for (size_t q = 0; q < 2; q++) {
    if (!u && packed_has_super(f)) d[q] = load_halves(chunk + p->d + (half_tile * 2 + q) * 8);
    if (!u && f->min == MIN_BYTES) e[q] = load_halves(chunk + p->e + (half_tile * 2 + q) * 8);
  }
  for (size_t b = 0; b < p->blocks; b++, x += sizeof(weft_block_q8)) {
    float32x4_t s[2][2], m[2][2], part[ROWS][2];
    UNROLL for (size_t q = 0; q < 2; q++) {
      if (!u) {
        load_scales(s[q], chunk + p->scales + b * packed_scale_bytes(f), d[q], half_tile * 2 + q, f);
        load_mins(m[q], chunk + p->mins + b * packed_min_bytes(f), e[q], half_tile * 2 + q, f);
      }
    }
    UNROLL for (int half = 0; half < 2; half++) {
      if (half && f->sub == 32) continue;
      // Of rows and quarters; of a pair of rows, its first is of the first two rows of a quarter, its second of the others.
      int32x4_t dot[ROWS][2];
      UNROLL for (int r = 0; r < ROWS; r++)
        UNROLL for (int q = 0; q < 2; q++) dot[r][q] = vdupq_n_s32(0);
      int8x16_t in[ROWS];  // 16 columns of each row, or of each pair first eight, then eight
      UNROLL for (int i = 0; i < 4; i++) {
        if (i / steps != half) continue;
        UNROLL for (int r = 0; r < rows && i % 2 == 0; r++) {
          in[r] = vld1q_s8((const int8_t *)x + (size_t)r * x_stride + i * 8);
          if (!paired || (r % 2 == 0 && r + 1 < rows)) continue;
          const int32x4_t one = vreinterpretq_s32_s8(in[r / 2 * 2]), other = vreinterpretq_s32_s8(in[r]);
          in[r / 2 * 2] = vreinterpretq_s8_s32(zip_low(one, other));
          in[r / 2 * 2 + 1] = vreinterpretq_s8_s32(zip_high(one, other));
        }
        int8x16_t w[4];
        if (u) {
          UNROLL for (int k = 0; k < 4; k++) w[k] = u->w[b][half_tile][i * 4 + k];
        } else {
          load_columns(w, chunk + b * packed_quant_bytes(f) + half_tile * 32, (unsigned)i, f, paired);
        }
        UNROLL for (int r = 0; r < (paired ? (rows + 1) / 2 * 2 : rows); r++) {
          UNROLL for (int q = 0; q < 2; q++) {
            if (paired) {
              dot[r][q] = multiply_pairs(dot[r][q], in[r / 2 * 2 + i % 2], w[q * 2 + r % 2]);
            } else if (i % 2 == 0) {
              dot[r][q] = vdotq_laneq_s32(vdotq_laneq_s32(dot[r][q], w[q], in[r], 0), w[q + 2], in[r], 1);
            } else {
              dot[r][q] = vdotq_laneq_s32(vdotq_laneq_s32(dot[r][q], w[q], in[r], 2), w[q + 2], in[r], 3);
            }
            HERE(dot[r][q]);
          }
        }
      }
      UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int q = 0; q < 2; q++) {
          int32x4_t sum = dot[r][q];
          if (paired) {
            const int32x4_t first = dot[r / 2 * 2][q], second = dot[r / 2 * 2 + 1][q];
            sum = r % 2 ? zip_high(first, second) : zip_low(first, second);
          }
          const float32x4_t value = vcvtq_f32_s32(sum), scale = u ? u->s[b][half_tile * 2 + (size_t)q][half] : s[q][half];
          part[r][q] = half ? vfmaq_f32(part[r][q], value, scale) : vmulq_f32(value, scale);
        }
      }
    }
    UNROLL for (int r = 0; r < rows; r++) {
      const weft_block_q8 *in = (const weft_block_q8 *)(x + (size_t)r * x_stride);
      UNROLL for (int half = 0; half < 2; half++) {
        if (f->min == MIN_NONE || (half && f->sub == 32)) continue;
        const float32x4_t sum = vdupq_n_f32(f->sub == 32 ? in->minus_float : (float)in->minus_halves[half]);
        UNROLL for (int q = 0; q < 2; q++)
          part[r][q] = vfmaq_f32(part[r][q], sum, u ? u->m[b][half_tile * 2 + (size_t)q][half] : m[q][half]);
      }
      UNROLL for (int q = 0; q < 2; q++) acc[r][q] = vfmaq_f32(acc[r][q], part[r][q], vdupq_n_f32(in->scale));
    }
  }
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int q = 0; q < 2; q++) vst1q_f32(y + (size_t)r * y_stride + q * 4, acc[r][q]);
}

INLINE void matmul_quantized(float *y, size_t y_stride, const uint8_t *w, const char *x, size_t x_stride, size_t cols,
                             size_t tile_begin, size_t tile_end, size_t n, int accumulate, const int format) {
  const quantized_format *f = &quantized_formats[format];
  const size_t tile_bytes = packed_tile_bytes(f, cols), blocks = cols / WEFT_BLOCK;
  unpacked_chunk u;
  for (size_t begin = 0, step = rows_in_cache(x_stride); begin < n; begin += step) {
    const size_t count = n - begin < step ? n - begin : step;
    for (size_t t = tile_begin; t < tile_end; t++) {
      const uint8_t *chunk = w + t * tile_bytes;
      for (size_t b = 0; b < blocks; b += 8) {
        const packed_chunk p = packed_chunk_of(f, blocks - b);
        const int from_zero = b == 0 && !accumulate;
        if (count > ROWS) unpack_chunk(&u, chunk, &p, f);
        for (size_t half = 0; half < 2; half++) {
          size_t left = count;
          float *out = y + begin * y_stride + t * WEFT_TILE + half * 8;
          const char *in = x + begin * x_stride + b * sizeof(weft_block_q8);
#define STEP(rows, u)                                                                         \
  for (; left >= (rows); left -= (rows), out += (rows) * y_stride, in += (rows) * x_stride)   \
    matmul_quantized_rows(out, y_stride, u, chunk, &p, half, in, x_stride, from_zero, rows, format);
          if (count > ROWS) {
            STEP(4, &u) STEP(2, &u) STEP(1, &u)
          } else {
            STEP(4, NULL) STEP(2, NULL) STEP(1, NULL)
          }
#undef STEP
        }
        chunk += p.bytes;
      }
    }
  }
}

#define X(kernel, format)                                                                                    \
  void NAME(kernel) WEFT_MATMUL {                                                                            \
    matmul_quantized(y, y_stride, w, x, x_stride, cols, tile_begin, tile_end, n, accumulate, format);        \
  }
QUANTIZED_KERNELS(X)
#undef X
