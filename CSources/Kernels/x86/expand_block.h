// SPDX-License-Identifier: Apache-2.0
// Which expand_tiles, the tier's, a block takes: whether the groups of a tile fill vectors, or lie in one, is a constant there.

INLINE void expand_block(float *y, size_t y_stride, const uint8_t *w, const uint8_t *scales, size_t scale_step,
                         const weft_block_q8 *in, size_t tile_begin, size_t tile_end, size_t all_groups, size_t first,
                         const int groups, const int rows, const int format) {
  const size_t per = narrow_per(&quantized_formats[format]), own = (size_t)groups;
  if ((own % per == 0 && all_groups % per == 0) || (per % own == 0 && all_groups == own))
    expand_tiles(y, y_stride, w, scales, scale_step, in, tile_begin, tile_end, all_groups, first, groups, rows, format, 1);
  else
    expand_tiles(y, y_stride, w, scales, scale_step, in, tile_begin, tile_end, all_groups, first, groups, rows, format, 0);
}
