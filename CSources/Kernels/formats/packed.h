// SPDX-License-Identifier: Apache-2.0
// The packed layout of quantised matrices: one for all formats, with parts that a format may not have. Internal.
//
// A tile (16 rows) is a sequence of chunks of 256 columns, so that it is read in one stream; the last chunk may be shorter where
// a format has no scales for 256 columns. A chunk of n blocks of 32 columns is
//
//   quants   [n][bits][16 rows][4 columns] bytes
//   scales   SCALE_BLOCK [n][16] f16 (bf16 of mxfp4);  SCALE_BYTES [n][32 / sub][16] i8
//   mins     MIN_BLOCK [n][16] f16;                    MIN_BYTES [n][32 / sub][16] u8
//   d        SCALE_BYTES, SCALE_SUPER [16] f16; SCALE_NONE has none of these
//   e        MIN_BYTES [16] f16
//
// A block's quants are cut into planes of 8, 4, 2 and 1 bits, the least significant bits first: 6 bits are a plane of 4 and one of 2.
// The block's columns are eight groups of four. A plane of w bits is w vectors of 64 bytes [16 rows][4 columns of a group]; vector v
// holds the group v + w k in its bits w k ... w k + w - 1, so that one shift and one mask give a group of all 16 rows.
#pragma once
#include "quantized.h"

#define PACKED_INLINE static inline __attribute__((always_inline))

// Where the parts of a chunk begin.
typedef struct packed_chunk {
  size_t blocks;              // 8, or fewer in the last chunk
  size_t scales, mins, d, e;
  size_t bytes;
} packed_chunk;

// Bytes of one block's quants, scales and minimums.
PACKED_INLINE size_t packed_quant_bytes(const quantized_format *f) { return (size_t)f->bits * 64; }
PACKED_INLINE size_t packed_scale_bytes(const quantized_format *f) {
  return f->scale == SCALE_BLOCK ? 32 : f->scale == SCALE_BYTES ? 512u / f->sub : 0;
}
PACKED_INLINE size_t packed_min_bytes(const quantized_format *f) {
  return f->min == MIN_BLOCK ? 32 : f->min == MIN_BYTES ? 512u / f->sub : 0;
}
PACKED_INLINE size_t packed_block_bytes(const quantized_format *f) {
  return packed_quant_bytes(f) + packed_scale_bytes(f) + packed_min_bytes(f);
}

// Whether a float belongs to all 256 columns of a chunk.
PACKED_INLINE int packed_has_super(const quantized_format *f) { return f->scale == SCALE_BYTES || f->scale == SCALE_SUPER; }

// The chunk that begins `left` blocks before the end of a tile.
PACKED_INLINE packed_chunk packed_chunk_of(const quantized_format *f, size_t left) {
  packed_chunk p;
  p.blocks = !packed_has_super(f) && left < 8 ? left : 8;
  p.scales = p.blocks * packed_quant_bytes(f);
  p.mins = p.scales + p.blocks * packed_scale_bytes(f);
  p.d = p.mins + p.blocks * packed_min_bytes(f);
  p.e = p.d + (packed_has_super(f) ? 32 : 0);
  p.bytes = p.e + (f->min == MIN_BYTES ? 32 : 0);
  return p;
}

PACKED_INLINE size_t packed_tile_bytes(const quantized_format *f, size_t cols) {
  size_t blocks = cols / WEFT_BLOCK;
  return blocks / 8 * packed_chunk_of(f, 8).bytes + blocks % 8 * packed_block_bytes(f);
}

// Bits of the plane that begins at bit `shift` of quants of `bits` bits: the largest power of two that is left.
PACKED_INLINE unsigned plane_bits(unsigned bits, unsigned shift) {
  unsigned left = bits - shift;
  return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}
