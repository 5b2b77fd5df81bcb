// SPDX-License-Identifier: Apache-2.0
// Products with narrow matrices on AVX-512 VNNI. Included inside the tier's target region, behind its quantised products.

// Up to eight groups of columns from `first` on, for some rows and all tiles. `aligned`: the groups of a tile fill vectors, or lie
// in one, so that shifts are constants.
INLINE void expand_tiles(float *y, size_t y_stride, const uint8_t *w, const uint8_t *scales, size_t scale_step,
                         const weft_block_q8 *in, size_t tile_begin, size_t tile_end, size_t all_groups, size_t first,
                         const int groups, const int rows, const int format, const int aligned) {
  const quantized_format *f = &quantized_formats[format];
  const size_t per = narrow_per(f);
  const __m512i mask = _mm512_set1_epi8((char)((1u << f->bits) - 1));
  __m512i start[EXPAND_ROWS];
  __m512 d[EXPAND_ROWS];
  UNROLL for (int r = 0; r < rows; r++) {
    start[r] = _mm512_slli_epi32(_mm512_set1_epi32(in[r].minus), __builtin_ctz(f->offset));
    d[r] = _mm512_set1_ps(in[r].scale);
  }
  for (size_t t = tile_begin; t < tile_end; t++) {
    __m512i dot[EXPAND_ROWS];
    UNROLL for (int r = 0; r < rows; r++) dot[r] = start[r];
    const size_t begin = t * all_groups + first;
    // One row is as fast as B arrives from memory.
    if (rows == 1) _mm_prefetch((const char *)w + begin / per * 64 + 4096, _MM_HINT_T0);
    __m512i whole = _mm512_setzero_si512();
    if (aligned) {
      whole = _mm512_loadu_si512(w + begin / per * 64);
      if (per > 1) whole = _mm512_srl_epi16(whole, _mm_cvtsi32_si128((int)(begin % per) * f->bits));
    }
    for (int g = 0; g < groups; g++) {
      __m512i weights = whole;
      if (aligned) {
        const int step = (int)((size_t)g % per);
        if (g > 0 && step == 0) whole = weights = _mm512_loadu_si512(w + (begin + (size_t)g) / per * 64);
        if (step > 0) weights = _mm512_srli_epi16(weights, (unsigned)(step * f->bits));
      } else {
        const size_t cell = begin + (size_t)g;
        weights = _mm512_loadu_si512(w + cell / per * 64);
        if (per > 1) weights = _mm512_srl_epi16(weights, _mm_cvtsi32_si128((int)(cell % per) * f->bits));
      }
      if (per > 1) weights = _mm512_and_si512(weights, mask);
      UNROLL for (int r = 0; r < rows; r++)
        dot[r] = _mm512_dpbusd_epi32(dot[r], weights, _mm512_set1_epi32(((const int32_t *)in[r].q)[g]));
    }
    const __m512 s = f->scale == SCALE_BLOCK ? load_halves(scales + t * scale_step) : _mm512_set1_ps(1);
    UNROLL for (int r = 0; r < rows; r++) {
      float *out = y + (size_t)r * y_stride + t * WEFT_TILE;
      const __m512 part = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[r]), s);
      _mm512_storeu_ps(out, _mm512_fmadd_ps(part, d[r], _mm512_loadu_ps(out)));
    }
  }
}
