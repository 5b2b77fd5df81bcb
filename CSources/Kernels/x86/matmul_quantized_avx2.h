// SPDX-License-Identifier: Apache-2.0
// Products of int8 activations with quantised weights on AVX2. Included inside the tier's target region.
//
// A tile is two halves of 8 output rows, which share what is loaded of the activations. vpmaddubsw multiplies unsigned by signed
// bytes and adds pairs in 16 bits, saturating. Weights up to 129, made unsigned by an offset, stay below 2^15; smaller ones allow
// more sums before they are widened. Larger weights stay signed: their sign moves to the activation, and |w| <= 128 times 127 twice
// stays below 2^15. An offset times minus the sum of the activations is added to the sum.
//
// Up to four rows take weights as they are packed, in registers. For more rows a chunk of 256 columns is unpacked once, into a buffer
// that stays in the L1 cache.

// The largest unsigned weight.
INLINE int largest_weight(const quantized_format *f) {
  return f->table == table_iq4 ? 241 : f->table == table_mxfp4 ? 28 : (1 << f->bits) - 1;
}

// Group g of one plane of the quants of a block, `width` bits wide, moved to bit `shift`: four columns of 8 rows.
INLINE __m256i load_plane(const uint8_t *plane, const unsigned g, const unsigned width, const unsigned shift) {
  __m256i bits = _mm256_loadu_si256((const __m256i *)(plane + g % width * 64));
  const unsigned at = g / width * width;
  if (at > shift) bits = _mm256_srli_epi16(bits, at - shift);
  if (at < shift) bits = _mm256_slli_epi16(bits, shift - at);
  return width < 8 ? _mm256_and_si256(bits, _mm256_set1_epi8((char)(((1u << width) - 1) << shift))) : bits;
}

// Group g of a block as unsigned weights, q or table[q] + offset, or as signed ones.
INLINE __m256i load_weights(const uint8_t *block, const unsigned g, const quantized_format *f, const int is_signed) {
  const unsigned width = plane_bits(f->bits, 0);
  const __m256i offset = _mm256_set1_epi8((char)f->offset);
  __m256i q = load_plane(block, g, width, 0);
  if (width < f->bits) q = _mm256_or_si256(q, load_plane(block + width * 64, g, f->bits - width, width));
  if (f->table) {
    __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)f->table));
    return _mm256_shuffle_epi8(is_signed ? table : _mm256_add_epi8(table, offset), q);
  }
  return is_signed ? _mm256_xor_si256(q, offset) : q;
}

INLINE __m256 load_halves(const uint8_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
INLINE __m256 load_signed_bytes(const uint8_t *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
INLINE __m256 load_unsigned_bytes(const uint8_t *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

// d s of each half of a block, or of the whole block. `d` is that of 256 columns; `half` that of the tile.
INLINE void load_scales(__m256 s[2], const uint8_t *scales, __m256 d, size_t half, const quantized_format *f) {
  if (f->scale == SCALE_SUPER) {
    s[0] = d;
  } else if (f->scale == SCALE_NONE) {
    s[0] = _mm256_set1_ps(1);
  } else if (f->scale == SCALE_BYTES) {
    s[0] = _mm256_mul_ps(d, load_signed_bytes(scales + half * 8));
    if (f->sub == 16) s[1] = _mm256_mul_ps(d, load_signed_bytes(scales + 16 + half * 8));
  } else if (f->brain) {
    __m256i brain = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(scales + half * 16)));
    s[0] = _mm256_castsi256_ps(_mm256_slli_epi32(brain, 16));
  } else {
    s[0] = load_halves(scales + half * 16);
  }
}

// e m of each half of a block, or of the whole block. `e` is that of 256 columns; `half` that of the tile.
INLINE void load_mins(__m256 m[2], const uint8_t *mins, __m256 e, size_t half, const quantized_format *f) {
  if (f->min == MIN_BLOCK) m[0] = load_halves(mins + half * 16);
  if (f->min == MIN_BYTES) m[0] = _mm256_mul_ps(e, load_unsigned_bytes(mins + half * 8));
  if (f->min == MIN_BYTES && f->sub == 16) m[1] = _mm256_mul_ps(e, load_unsigned_bytes(mins + 16 + half * 8));
}

// Asks for what is as far behind a block as memory takes to answer (measured: decode 2 to 3 times as fast).
INLINE void fetch_later(const uint8_t *chunk, size_t b, const quantized_format *f) {
  const char *later = (const char *)chunk + b * packed_block_bytes(f) + 8192;
  UNROLL for (size_t line = 0; line < 9; line++)
    if (line * 64 < packed_block_bytes(f)) _mm_prefetch(later + line * 64, _MM_HINT_T0);
}

// A chunk, unpacked.
typedef struct unpacked_chunk {
  __m256i w[8][8][2], magnitudes[8][8][2];  // [block][group][half of the tile]; magnitudes only of signed weights
  __m256 s[8][2][2], m[8][2][2];            // [block][half of the tile][half of the block]
} unpacked_chunk;

INLINE void unpack_chunk(unpacked_chunk *u, const uint8_t *chunk, const packed_chunk *p, const quantized_format *f,
                         const int is_signed) {
  for (size_t half = 0; half < 2; half++) {
    const __m256 d = !packed_has_super(f) ? _mm256_setzero_ps() : load_halves(chunk + p->d + half * 16);
    const __m256 e = f->min == MIN_BYTES ? load_halves(chunk + p->e + half * 16) : _mm256_setzero_ps();
    for (size_t b = 0; b < p->blocks; b++) {
      if (half == 0) fetch_later(chunk, b, f);
      load_scales(u->s[b][half], chunk + p->scales + b * packed_scale_bytes(f), d, half, f);
      load_mins(u->m[b][half], chunk + p->mins + b * packed_min_bytes(f), e, half, f);
      UNROLL for (int g = 0; g < 8; g++) {
        const __m256i w = load_weights(chunk + b * packed_quant_bytes(f) + half * 32, (unsigned)g, f, is_signed);
        u->w[b][g][half] = w;
        if (is_signed) u->magnitudes[b][g][half] = _mm256_abs_epi8(w);
      }
    }
  }
}

// The value is computed here. Left alone, the compiler takes rows one after the other, because they are independent, and loads the
// weights anew for each.
#define HERE(value) __asm__ volatile("" : "+x"(value))

// One chunk of a tile, for some rows: from `u`, or as it is packed where that is NULL. `from_zero`: y is not read.
INLINE void matmul_quantized_rows(float *y, size_t y_stride, const unpacked_chunk *u, const uint8_t *chunk, const packed_chunk *p,
                                  const char *x, size_t x_stride, int from_zero, const int rows, const int format) {
  const quantized_format *f = &quantized_formats[format];
  const int groups = f->sub / 4, largest = largest_weight(f), is_signed = largest > 129;
  // How many groups stay below 2^15: a power of two, and a divisor of `groups`.
  const int fit = is_signed ? 1 : 32767 / (2 * 127 * largest), widen = fit >= 8 && groups == 8 ? 8 : fit >= 4 ? 4 : fit >= 2 ? 2 : 1;
  __m256 acc[ROWS][2], d[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, e[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int h = 0; h < 2; h++)
      acc[r][h] = from_zero ? _mm256_setzero_ps() : _mm256_loadu_ps(y + (size_t)r * y_stride + h * 8);
  UNROLL for (size_t h = 0; h < 2; h++) {
    if (!u && packed_has_super(f)) d[h] = load_halves(chunk + p->d + h * 16);
    if (!u && f->min == MIN_BYTES) e[h] = load_halves(chunk + p->e + h * 16);
  }
  for (size_t b = 0; b < p->blocks; b++, x += sizeof(weft_block_q8)) {
    const uint8_t *block = chunk + b * packed_quant_bytes(f);
    __m256 s[2][2], m[2][2];
    UNROLL for (size_t h = 0; h < 2; h++) {
      if (!u) {
        load_scales(s[h], chunk + p->scales + b * packed_scale_bytes(f), d[h], h, f);
        load_mins(m[h], chunk + p->mins + b * packed_min_bytes(f), e[h], h, f);
      }
    }
    if (!u) fetch_later(chunk, b, f);
    __m256 part[ROWS][2];
    UNROLL for (int half = 0; half < 2; half++) {
      if (half && f->sub == 32) continue;
      __m256i dot[ROWS][2], pairs[ROWS][2];
      UNROLL for (int g = 0; g < 8; g++) {
        if (g / groups != half) continue;
        __m256i w[2], magnitude[2];
        UNROLL for (int h = 0; h < 2; h++) {
          w[h] = u ? u->w[b][g][h] : load_weights(block + h * 32, (unsigned)g, f, is_signed);
          magnitude[h] = !is_signed ? w[h] : u ? u->magnitudes[b][g][h] : _mm256_abs_epi8(w[h]);
        }
        UNROLL for (int r = 0; r < rows; r++) {
          const __m256i q = _mm256_set1_epi32(((const int32_t *)(x + (size_t)r * x_stride))[g]);
          UNROLL for (int h = 0; h < 2; h++) {
            const __m256i sum = _mm256_maddubs_epi16(magnitude[h], is_signed ? _mm256_sign_epi8(q, w[h]) : q);
            pairs[r][h] = g % widen == 0 ? sum : _mm256_add_epi16(pairs[r][h], sum);
            if (g % widen < widen - 1) {
              HERE(pairs[r][h]);
              continue;
            }
            const __m256i wide = _mm256_madd_epi16(pairs[r][h], _mm256_set1_epi16(1));
            dot[r][h] = g % groups < widen ? wide : _mm256_add_epi32(dot[r][h], wide);
            HERE(dot[r][h]);
          }
        }
      }
      UNROLL for (int r = 0; r < rows; r++) {
        const weft_block_q8 *in = (const weft_block_q8 *)(x + (size_t)r * x_stride);
        __m256i sum = _mm256_set1_epi32(f->sub == 32 ? in->minus : in->minus_halves[half]);
        HERE(sum);
        const __m256i start = _mm256_slli_epi32(sum, __builtin_ctz(f->offset | 256));
        UNROLL for (int h = 0; h < 2; h++) {
          if (f->offset && !is_signed) dot[r][h] = _mm256_add_epi32(dot[r][h], start);
          const __m256 value = _mm256_cvtepi32_ps(dot[r][h]), scale = u ? u->s[b][h][half] : s[h][half];
          part[r][h] = half ? _mm256_fmadd_ps(value, scale, part[r][h]) : _mm256_mul_ps(value, scale);
        }
      }
    }
    UNROLL for (int r = 0; r < rows; r++) {
      const weft_block_q8 *in = (const weft_block_q8 *)(x + (size_t)r * x_stride);
      UNROLL for (int half = 0; half < 2; half++) {
        if (f->min == MIN_NONE || (half && f->sub == 32)) continue;
        const __m256 sum =
            f->sub == 32 ? _mm256_set1_ps(in->minus_float) : _mm256_cvtepi32_ps(_mm256_set1_epi32(in->minus_halves[half]));
        UNROLL for (int h = 0; h < 2; h++) part[r][h] = _mm256_fmadd_ps(sum, u ? u->m[b][h][half] : m[h][half], part[r][h]);
      }
      UNROLL for (int h = 0; h < 2; h++) acc[r][h] = _mm256_fmadd_ps(part[r][h], _mm256_set1_ps(in->scale), acc[r][h]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int h = 0; h < 2; h++) _mm256_storeu_ps(y + (size_t)r * y_stride + h * 8, acc[r][h]);
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
        size_t left = count;
        float *out = y + begin * y_stride + t * WEFT_TILE;
        const char *in = x + begin * x_stride + b * sizeof(weft_block_q8);
        const int from_zero = b == 0 && !accumulate;
#define STEP(rows, u)                                                                         \
  for (; left >= (rows); left -= (rows), out += (rows) * y_stride, in += (rows) * x_stride)   \
    matmul_quantized_rows(out, y_stride, u, chunk, &p, in, x_stride, from_zero, rows, format);
        if (count <= ROWS) {
          STEP(4, NULL) STEP(3, NULL) STEP(2, NULL) STEP(1, NULL)
        } else {
          unpack_chunk(&u, chunk, &p, f, largest_weight(f) > 129);
          STEP(4, &u) STEP(3, &u) STEP(2, &u) STEP(1, &u)
        }
#undef STEP
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
