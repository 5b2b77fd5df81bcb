// SPDX-License-Identifier: Apache-2.0
// Products with narrow matrices: what is the same on all tiers. Ternary factors by integer dot products rather than by masked adds of
// f32: on a Zen 5 with AVX-512, all factors of rank 16 of a model of 0.5 billion weights, for one token, read from memory: A 38
// against 136 us, B 73 against 183 us (rank 64: 125 against 465, and 252 against 812; F16: 1000 and 1900). A tier defines NAME and
// expand_block, and EXPAND_ROWS, how many rows that takes at once, and includes this inside its target region.

INLINE void expand_rows(float *y, size_t y_stride, const uint8_t *w, const float *u, size_t u_stride, size_t cols,
                        size_t tile_count, size_t tile_begin, size_t tile_end, const int rows, const int format) {
  const quantized_format *f = &quantized_formats[format];
  const size_t all = narrow_groups(cols), blocks = narrow_blocks(cols);
  const uint8_t *scales = w + narrow_scales(f, tile_count, cols);
  for (size_t b = 0; b < blocks; b++, scales += 32) {
    weft_block_q8 in[EXPAND_ROWS];
    const size_t begin = b * WEFT_BLOCK, count = cols - begin < WEFT_BLOCK ? cols - begin : WEFT_BLOCK;
    UNROLL for (int r = 0; r < rows; r++) {
      float padded[WEFT_BLOCK] = {0};
      memcpy(padded, u + (size_t)r * u_stride + begin, count * 4);
      NAME(quantize_q8)(in + r, padded, 0, WEFT_BLOCK);
    }
#define BLOCK(groups) \
  expand_block(y, y_stride, w, scales, blocks * 32, in, tile_begin, tile_end, all, b * 8, groups, rows, format)
    switch ((count + 3) / 4) {
      case 2: BLOCK(2); break;  // ranks 8, 16 and 32 without a loop
      case 4: BLOCK(4); break;
      case 8: BLOCK(8); break;
      default: BLOCK((int)((count + 3) / 4));
    }
#undef BLOCK
  }
}

INLINE void expand(float *y, size_t y_stride, const uint8_t *w, const float *u, size_t u_stride, size_t cols, size_t tile_count,
                   size_t tile_begin, size_t tile_end, size_t n, const int format) {
#define STEP(rows)                                                                     \
  for (; n >= (rows); n -= (rows), y += (rows) * y_stride, u += (rows) * u_stride)     \
    expand_rows(y, y_stride, w, u, u_stride, cols, tile_count, tile_begin, tile_end, rows, format);
  STEP(EXPAND_ROWS) STEP(1)
#undef STEP
}

#define X(kernel, format)                                                                            \
  void NAME(kernel) WEFT_EXPAND {                                                                    \
    expand(y, y_stride, w, u, u_stride, cols, tile_count, tile_begin, tile_end, n, format);          \
  }
NARROW_KERNELS(X)
#undef X
