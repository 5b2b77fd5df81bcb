// SPDX-License-Identifier: Apache-2.0
// The specification of the products with narrow matrices: kernels.h states the formula, formats/narrow.h the layout.
#include <math.h>
#include <string.h>

#include "../float16.h"
#include "../formats/narrow.h"
#include "../tiers.h"

static void expand(float *y, size_t y_stride, const uint8_t *w, const float *u, size_t u_stride, size_t cols, size_t tile_count,
                   size_t tile_begin, size_t tile_end, size_t n, const quantized_format *f) {
  const size_t groups = narrow_groups(cols), blocks = narrow_blocks(cols), per = narrow_per(f);
  const uint8_t *scales = w + narrow_scales(f, tile_count, cols);
  for (size_t row = 0; row < n; row++)
    for (size_t b = 0; b < blocks; b++) {
      float padded[WEFT_BLOCK] = {0};
      weft_block_q8 in;
      size_t count = cols - b * WEFT_BLOCK < WEFT_BLOCK ? cols - b * WEFT_BLOCK : WEFT_BLOCK;
      memcpy(padded, u + row * u_stride + b * WEFT_BLOCK, count * 4);
      quantize_q8__scalar(&in, padded, 0, WEFT_BLOCK);
      for (size_t t = tile_begin; t < tile_end; t++)
        for (size_t lane = 0; lane < WEFT_TILE; lane++) {
          int dot = 0;
          for (size_t c = 0; c < count; c++) {
            size_t cell = t * groups + b * 8 + c / 4;
            unsigned q = w[cell / per * 64 + lane * 4 + c % 4] >> cell % per * f->bits & ((1u << f->bits) - 1);
            dot += ((int)q - f->offset) * in.q[c];
          }
          float scale = 1;
          if (f->scale == SCALE_BLOCK) {
            uint16_t d;
            memcpy(&d, scales + ((t * blocks + b) * WEFT_TILE + lane) * 2, 2);
            scale = f16_to_f32(d);
          }
          float *out = y + row * y_stride + t * WEFT_TILE + lane;
          *out = fmaf((float)dot * scale, in.scale, *out);
        }
    }
}

#define X(kernel, format)                                                                                           \
  void kernel##__scalar WEFT_EXPAND {                                                                               \
    expand(y, y_stride, w, u, u_stride, cols, tile_count, tile_begin, tile_end, n, &quantized_formats[format]);     \
  }
NARROW_KERNELS(X)
#undef X
