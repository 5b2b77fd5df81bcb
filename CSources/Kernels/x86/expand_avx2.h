// SPDX-License-Identifier: Apache-2.0
// Products with narrow matrices on AVX2. Included inside the tier's target region, behind its quantised products, whose header tells
// how bytes are multiplied. Half a tile, 8 output rows, at a time.

// Up to eight groups of columns from `first` on, for some rows and all halves of tiles.
INLINE void expand_block(float *y, size_t y_stride, const uint8_t *w, const uint8_t *scales, size_t scale_step,
                         const weft_block_q8 *in, size_t tile_begin, size_t tile_end, size_t all_groups, size_t first,
                         const int groups, const int rows, const int format) {
  const quantized_format *f = &quantized_formats[format];
  const size_t per = narrow_per(f);
  const int is_signed = largest_weight(f) > 129;
  const __m256i mask = _mm256_set1_epi8((char)((1u << f->bits) - 1)), ones = _mm256_set1_epi16(1);
  for (size_t half = tile_begin * 2; half < tile_end * 2; half++) {
    const size_t t = half / 2;
    __m256i dot[EXPAND_ROWS];
    UNROLL for (int r = 0; r < rows; r++) {
      const __m256i sum = _mm256_set1_epi32(in[r].minus);
      dot[r] = is_signed ? _mm256_setzero_si256() : _mm256_slli_epi32(sum, __builtin_ctz(f->offset));
    }
    for (int g = 0; g < groups; g++) {
      const size_t cell = t * all_groups + first + (size_t)g;
      __m256i weights = _mm256_loadu_si256((const __m256i *)(w + cell / per * 64 + half % 2 * 32));
      if (per > 1) {
        weights = _mm256_srl_epi16(weights, _mm_cvtsi32_si128((int)(cell % per) * f->bits));
        weights = _mm256_and_si256(weights, mask);
      }
      if (is_signed) weights = _mm256_xor_si256(weights, _mm256_set1_epi8((char)f->offset));
      const __m256i magnitude = is_signed ? _mm256_abs_epi8(weights) : weights;
      UNROLL for (int r = 0; r < rows; r++) {
        __m256i q = _mm256_set1_epi32(((const int32_t *)in[r].q)[g]);
        q = _mm256_maddubs_epi16(magnitude, is_signed ? _mm256_sign_epi8(q, weights) : q);
        dot[r] = _mm256_add_epi32(dot[r], _mm256_madd_epi16(q, ones));
      }
    }
    const __m256 s = f->scale == SCALE_BLOCK ? load_halves(scales + t * scale_step + half % 2 * 16) : _mm256_set1_ps(1);
    UNROLL for (int r = 0; r < rows; r++) {
      float *out = y + (size_t)r * y_stride + half * 8;
      const __m256 part = _mm256_mul_ps(_mm256_cvtepi32_ps(dot[r]), s);
      _mm256_storeu_ps(out, _mm256_fmadd_ps(part, _mm256_set1_ps(in[r].scale), _mm256_loadu_ps(out)));
    }
  }
}
