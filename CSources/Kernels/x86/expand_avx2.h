// SPDX-License-Identifier: Apache-2.0
// Products with narrow matrices on AVX2. Included inside the tier's target region, behind its quantised products, whose header tells
// how bytes are multiplied. Both halves of a tile share what is loaded of the activations.

// Up to eight groups of columns from `first` on, for some rows and all tiles. `aligned`: the groups of a tile fill vectors, or lie
// in one, so that shifts within it are constants.
INLINE void expand_tiles(float *y, size_t y_stride, const uint8_t *w, const uint8_t *scales, size_t scale_step,
                         const weft_block_q8 *in, size_t tile_begin, size_t tile_end, size_t all_groups, size_t first,
                         const int groups, const int rows, const int format, const int aligned) {
  const quantized_format *f = &quantized_formats[format];
  const size_t per = narrow_per(f);
  const int is_signed = largest_weight(f) > 129;
  const __m256i mask = _mm256_set1_epi8((char)((1u << f->bits) - 1)), ones = _mm256_set1_epi16(1);
  for (size_t t = tile_begin; t < tile_end; t++) {
    const size_t begin = t * all_groups + first;
    __m256i dot[EXPAND_ROWS][2], whole[2];
    UNROLL for (int r = 0; r < rows; r++) dot[r][0] = dot[r][1] = _mm256_setzero_si256();
    for (int g = 0; g < groups; g++) {
      const size_t cell = begin + (size_t)g;
      const int step = (int)((size_t)g % per);
      __m256i weights[2], magnitude[2];
      UNROLL for (int h = 0; h < 2; h++) {
        if (!aligned || g == 0 || step == 0) {
          whole[h] = _mm256_loadu_si256((const __m256i *)(w + cell / per * 64 + h * 32));
          if (per > 1 && (!aligned || g == 0))
            whole[h] = _mm256_srl_epi16(whole[h], _mm_cvtsi32_si128((int)(cell % per) * f->bits));
        }
        weights[h] = whole[h];
        if (aligned && step > 0) weights[h] = _mm256_srli_epi16(whole[h], step * f->bits);
        if (per > 1) weights[h] = _mm256_and_si256(weights[h], mask);
        if (is_signed) weights[h] = _mm256_xor_si256(weights[h], _mm256_set1_epi8((char)f->offset));
        magnitude[h] = is_signed ? _mm256_abs_epi8(weights[h]) : weights[h];
      }
      UNROLL for (int r = 0; r < rows; r++) {
        const __m256i q = _mm256_set1_epi32(((const int32_t *)in[r].q)[g]);
        UNROLL for (int h = 0; h < 2; h++) {
          const __m256i pairs = _mm256_maddubs_epi16(magnitude[h], is_signed ? _mm256_sign_epi8(q, weights[h]) : q);
          dot[r][h] = is_signed ? _mm256_add_epi32(dot[r][h], _mm256_madd_epi16(pairs, ones)) : _mm256_add_epi16(dot[r][h], pairs);
        }
      }
    }
    UNROLL for (int h = 0; h < 2; h++) {
      const __m256 s = f->scale == SCALE_BLOCK ? load_halves(scales + t * scale_step + h * 16) : _mm256_set1_ps(1);
      UNROLL for (int r = 0; r < rows; r++) {
        if (!is_signed) {  // eight sums of two products of 15 and 127 stay below 2^15
          const __m256i sum = _mm256_set1_epi32(in[r].minus);
          dot[r][h] = _mm256_add_epi32(_mm256_madd_epi16(dot[r][h], ones), _mm256_slli_epi32(sum, __builtin_ctz(f->offset)));
        }
        float *out = y + (size_t)r * y_stride + t * WEFT_TILE + h * 8;
        const __m256 part = _mm256_mul_ps(_mm256_cvtepi32_ps(dot[r][h]), s);
        _mm256_storeu_ps(out, _mm256_fmadd_ps(part, _mm256_set1_ps(in[r].scale), _mm256_loadu_ps(out)));
      }
    }
  }
}
