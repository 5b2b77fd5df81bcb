// SPDX-License-Identifier: Apache-2.0
// Products with narrow matrices on NEON. Included inside the tier's target region, behind its quantised products. A quarter of a tile,
// 4 output rows, at a time.

// Up to eight groups of columns from `first` on, for some rows and all quarters of tiles.
INLINE void expand_block(float *y, size_t y_stride, const uint8_t *w, const uint8_t *scales, size_t scale_step,
                         const weft_block_q8 *in, size_t tile_begin, size_t tile_end, size_t all_groups, size_t first,
                         const int groups, const int rows, const int format) {
  const quantized_format *f = &quantized_formats[format];
  const size_t per = narrow_per(f);
  for (size_t quarter = tile_begin * 4; quarter < tile_end * 4; quarter++) {
    const size_t t = quarter / 4;
    int32x4_t dot[EXPAND_ROWS];
    UNROLL for (int r = 0; r < rows; r++) dot[r] = vdupq_n_s32(0);
    for (int g = 0; g < groups; g++) {
      const size_t cell = t * all_groups + first + (size_t)g;
      uint8x16_t q = vld1q_u8(w + cell / per * 64 + quarter % 4 * 16);
      if (per > 1) {
        q = vshlq_u8(q, vdupq_n_s8((int8_t)-(int)(cell % per * f->bits)));
        q = vandq_u8(q, vdupq_n_u8((uint8_t)((1u << f->bits) - 1)));
      }
      const int8x16_t weights = vreinterpretq_s8_u8(vsubq_u8(q, vdupq_n_u8(f->offset)));
      UNROLL for (int r = 0; r < rows; r++) {
        const int32_t *u = (const int32_t *)in[r].q;
        dot[r] = vdotq_s32(dot[r], weights, vreinterpretq_s8_s32(vdupq_n_s32(u[g])));
      }
    }
    const float32x4_t s =
        f->scale == SCALE_BLOCK ? load_halves(scales + t * scale_step + quarter % 4 * 8) : vdupq_n_f32(1);
    UNROLL for (int r = 0; r < rows; r++) {
      float *out = y + (size_t)r * y_stride + quarter * 4;
      const float32x4_t part = vmulq_f32(vcvtq_f32_s32(dot[r]), s);
      vst1q_f32(out, vfmaq_f32(vld1q_f32(out), part, vdupq_n_f32(in[r].scale)));
    }
  }
}
