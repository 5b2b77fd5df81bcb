// SPDX-License-Identifier: Apache-2.0
// The packed layout of quantised matrices: one for all formats, with parts that a format may not have. Internal.
//
// A tile (16 rows) is a sequence of chunks: of 256 columns where the format has scales for 256 columns, else one of all columns.
// A chunk of n blocks of 32 columns is
//
//   quants   [n][bits][16 rows][4 columns] bytes
//   scales   SCALE_BLOCK [n][16] f16 (bf16 of mxfp4);  SCALE_BYTES [n][32 / sub][16] i8
//   mins     MIN_BLOCK [n][16] f16;                    MIN_BYTES [n][32 / sub][16] u8
//   d        SCALE_BYTES, SCALE_SUPER [16] f16
//   e        MIN_BYTES [16] f16
//
// A block's quants are cut into planes of 8, 4, 2 and 1 bits, the least significant bits first: 6 bits are a plane of 4 and one of 2.
// The block's columns are eight groups of four. A plane of w bits is w vectors of 64 bytes [16 rows][4 columns of a group]; vector v
// holds the group v + w k in its bits w k ... w k + w - 1, so that one shift and one mask give a group of all 16 rows.
#pragma once
#include "quantized.h"

typedef struct packed_layout {
  size_t chunks, blocks;                // chunks in a tile, blocks in a chunk
  size_t block_bytes;                   // of quants
  size_t scales, mins, d, e;            // where in a chunk they begin
  size_t scale_step, min_step;          // bytes from block to block
  size_t chunk_bytes, tile_bytes;
} packed_layout;

static inline __attribute__((always_inline)) packed_layout packed_layout_of(const quantized_format *format, size_t cols) {
  packed_layout p = {0};
  p.blocks = format->scale == SCALE_BLOCK ? cols / WEFT_BLOCK : 256 / WEFT_BLOCK;
  p.chunks = format->scale == SCALE_BLOCK ? 1 : cols / 256;
  p.block_bytes = (size_t)format->bits * 64;
  p.scale_step = format->scale == SCALE_BLOCK ? 32 : format->scale == SCALE_BYTES ? 512u / format->sub : 0;
  p.min_step = format->min == MIN_BLOCK ? 32 : format->min == MIN_BYTES ? 512u / format->sub : 0;
  p.scales = p.blocks * p.block_bytes;
  p.mins = p.scales + p.blocks * p.scale_step;
  p.d = p.mins + p.blocks * p.min_step;
  p.e = p.d + (format->scale == SCALE_BLOCK ? 0 : 32);
  p.chunk_bytes = p.e + (format->min == MIN_BYTES ? 32 : 0);
  p.tile_bytes = p.chunks * p.chunk_bytes;
  return p;
}

// Bits of the plane that begins at bit `shift` of quants of `bits` bits: the largest power of two that is left.
static inline __attribute__((always_inline)) unsigned plane_bits(unsigned bits, unsigned shift) {
  unsigned left = bits - shift;
  return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}
