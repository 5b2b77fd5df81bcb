// SPDX-License-Identifier: Apache-2.0
// The layout of narrow matrices, B of low rank: many rows of few columns, of q8_0, q4_0 or ternary, without padding to whole
// blocks. Internal.
//
// A *cell* is four columns of a tile of 16 rows: [16 rows][4 columns]. The matrix has cells t G + g (tile t, group g of its G groups
// of four columns); 8 / bits of them lie in a vector of 64 bytes, the cell c in vector c / per at bit c % per * bits of every
// byte. So a ternary matrix of rank 8 has two tiles in a vector, and nothing is padded but the rank, to four.
// Behind the vectors are the scales where the format has some: f16 [tiles][blocks of 32 columns][16 rows].
#pragma once
#include "quantized.h"

#define NARROW_INLINE static inline __attribute__((always_inline))

NARROW_INLINE size_t narrow_groups(size_t cols) { return (cols + 3) / 4; }
NARROW_INLINE size_t narrow_blocks(size_t cols) { return (cols + WEFT_BLOCK - 1) / WEFT_BLOCK; }
// Cells in a vector.
NARROW_INLINE size_t narrow_per(const quantized_format *f) { return 8u / f->bits; }

// Where the scales begin.
NARROW_INLINE size_t narrow_scales(const quantized_format *f, size_t tiles, size_t cols) {
  return (tiles * narrow_groups(cols) + narrow_per(f) - 1) / narrow_per(f) * 64;
}
