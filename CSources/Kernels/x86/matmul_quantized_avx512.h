// SPDX-License-Identifier: Apache-2.0
// Products of int8 activations with quantised weights on AVX-512 VNNI. Included inside the tier's target region.
//
// vpdpbusd multiplies four unsigned weights with four signed activations per 32-bit lane; a lane is an output row. What makes
// weights unsigned, an offset, times minus the sum of the activations is where the accumulator starts.

// One plane of the quants of a block, `width` bits wide: bits `shift` and up of w, four columns in each vector.
INLINE void load_plane(__m512i w[8], const uint8_t *plane, const unsigned width, const unsigned shift) {
  const __m512i mask = _mm512_set1_epi8((char)(((1u << width) - 1) << shift));
  UNROLL for (unsigned g = 0; g < 8; g++) {
    __m512i bits = _mm512_loadu_si512(plane + g % width * 64);
    const unsigned at = g / width * width;
    if (at > shift) bits = _mm512_srli_epi16(bits, at - shift);
    if (at < shift) bits = _mm512_slli_epi16(bits, shift - at);
    if (shift > 0) {
      w[g] = _mm512_ternarylogic_epi32(w[g], bits, mask, 0xf8);  // w | (bits & mask)
    } else {
      w[g] = width == 8 ? bits : _mm512_and_si512(bits, mask);
    }
  }
}

// The quants of a block as unsigned weights: q, or table[q] + offset.
INLINE void load_weights(__m512i w[8], const uint8_t *block, const quantized_format *f) {
  const unsigned width = plane_bits(f->bits, 0);
  load_plane(w, block, width, 0);
  if (width < f->bits) load_plane(w, block + width * 64, f->bits - width, width);
  if (f->table) {
    __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)f->table));
    table = _mm512_add_epi8(table, _mm512_set1_epi8((char)f->offset));
    UNROLL for (int g = 0; g < 8; g++) w[g] = _mm512_shuffle_epi8(table, w[g]);
  }
}

INLINE __m512 load_halves(const uint8_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
INLINE __m512 load_signed_bytes(const uint8_t *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
INLINE __m512 load_unsigned_bytes(const uint8_t *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

// d s of each half of a block, or of the whole block. `d` is that of 256 columns.
INLINE void load_scales(__m512 s[2], const uint8_t *scales, __m512 d, const quantized_format *f) {
  if (f->scale == SCALE_SUPER) {
    s[0] = d;
  } else if (f->scale == SCALE_NONE) {
    s[0] = _mm512_set1_ps(1);
  } else if (f->scale == SCALE_BYTES) {
    s[0] = _mm512_mul_ps(d, load_signed_bytes(scales));
    if (f->sub == 16) s[1] = _mm512_mul_ps(d, load_signed_bytes(scales + 16));
  } else if (f->brain) {
    __m512i brain = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)scales));
    s[0] = _mm512_castsi512_ps(_mm512_slli_epi32(brain, 16));
  } else {
    s[0] = load_halves(scales);
  }
}

// e m of each half of a block, or of the whole block. `e` is that of 256 columns.
INLINE void load_mins(__m512 m[2], const uint8_t *mins, __m512 e, const quantized_format *f) {
  if (f->min == MIN_BLOCK) m[0] = load_halves(mins);
  if (f->min == MIN_BYTES) m[0] = _mm512_mul_ps(e, load_unsigned_bytes(mins));
  if (f->min == MIN_BYTES && f->sub == 16) m[1] = _mm512_mul_ps(e, load_unsigned_bytes(mins + 16));
}

// Where `first`, these are the first rows that meet the tile: its weights come from memory, so those that follow are asked for.
INLINE void matmul_quantized_rows(float *y, size_t y_stride, const uint8_t *tile, const char *x, size_t x_stride, size_t cols,
                                  int accumulate, const int first, const int rows, const int format) {
  const quantized_format *f = &quantized_formats[format];
  const int groups = f->sub / 4;  // of a dot product
  __m512 acc[ROWS];
  UNROLL for (int r = 0; r < rows; r++)
    acc[r] = accumulate ? _mm512_loadu_ps(y + (size_t)r * y_stride) : _mm512_setzero_ps();
  for (size_t left = cols / WEFT_BLOCK; left > 0;) {
    const packed_chunk p = packed_chunk_of(f, left);
    const __m512 d = !packed_has_super(f) ? _mm512_setzero_ps() : load_halves(tile + p.d);
    const __m512 e = f->min == MIN_BYTES ? load_halves(tile + p.e) : _mm512_setzero_ps();
    for (size_t b = 0; b < p.blocks; b++, x += sizeof(weft_block_q8)) {
      const uint8_t *block = tile + b * packed_quant_bytes(f);
      __m512i w[8];
      load_weights(w, block, f);
      if (first) {
        const char *later = (const char *)tile + b * packed_block_bytes(f) + 8192;
        UNROLL for (size_t line = 0; line < 9; line++)
          if (line * 64 < packed_block_bytes(f)) _mm_prefetch(later + line * 64, _MM_HINT_T0);
      }
      __m512 s[2], m[2];
      load_scales(s, tile + p.scales + b * packed_scale_bytes(f), d, f);
      load_mins(m, tile + p.mins + b * packed_min_bytes(f), e, f);
      UNROLL for (int r = 0; r < rows; r++) {
        const weft_block_q8 *in = (const weft_block_q8 *)(x + (size_t)r * x_stride);
        const int32_t *q = (const int32_t *)in->q;
        __m512 part = _mm512_setzero_ps();
        UNROLL for (int half = 0; half < 2; half++) {
          if (half && f->sub == 32) continue;
          const __m512i sum = _mm512_set1_epi32(f->sub == 32 ? in->minus : in->minus_halves[half]);
          __m512i dot = f->offset ? _mm512_slli_epi32(sum, __builtin_ctz(f->offset)) : _mm512_setzero_si512();
          UNROLL for (int g = 0; g < 8; g++)
            if (g / groups == half) dot = _mm512_dpbusd_epi32(dot, w[g], _mm512_set1_epi32(q[g]));
          const __m512 value = _mm512_cvtepi32_ps(dot);
          part = half ? _mm512_fmadd_ps(value, s[half], part) : _mm512_mul_ps(value, s[half]);
        }
        UNROLL for (int half = 0; half < 2; half++) {
          if (f->min == MIN_NONE || (half && f->sub == 32)) continue;
          const __m512 sum =
              f->sub == 32 ? _mm512_set1_ps(in->minus_float) : _mm512_cvtepi32_ps(_mm512_set1_epi32(in->minus_halves[half]));
          part = _mm512_fmadd_ps(sum, m[half], part);
        }
        acc[r] = _mm512_fmadd_ps(part, _mm512_set1_ps(in->scale), acc[r]);
      }
    }
    tile += p.bytes;
    left -= p.blocks;
  }
  UNROLL for (int r = 0; r < rows; r++) _mm512_storeu_ps(y + (size_t)r * y_stride, acc[r]);
}

INLINE void matmul_quantized(float *y, size_t y_stride, const uint8_t *w, const char *x, size_t x_stride, size_t cols,
                             size_t tile_begin, size_t tile_end, size_t n, int accumulate, const int format) {
  const size_t tile_bytes = packed_tile_bytes(&quantized_formats[format], cols);
  for (size_t begin = 0, step = rows_in_cache(x_stride); begin < n; begin += step)
    for (size_t t = tile_begin; t < tile_end; t++) {
      size_t left = n - begin < step ? n - begin : step;
      float *out = y + begin * y_stride + t * WEFT_TILE;
      const char *in = x + begin * x_stride;
#define STEP(rows, first)                                                                            \
  matmul_quantized_rows(out, y_stride, w + t * tile_bytes, in, x_stride, cols, accumulate, first, rows, format), \
      left -= (rows), out += (rows) * y_stride, in += (rows) * x_stride
      if (left >= 8) STEP(8, 1); else if (left >= 4) STEP(4, 1); else if (left >= 2) STEP(2, 1); else STEP(1, 1);
      while (left >= 8) STEP(8, 0);
      if (left >= 4) STEP(4, 0);
      if (left >= 2) STEP(2, 0);
      if (left >= 1) STEP(1, 0);
#undef STEP
    }
}

#define X(kernel, format)                                                                                    \
  void NAME(kernel) WEFT_MATMUL {                                                                            \
    matmul_quantized(y, y_stride, w, x, x_stride, cols, tile_begin, tile_end, n, accumulate, format);        \
  }
QUANTIZED_KERNELS(X)
#undef X
