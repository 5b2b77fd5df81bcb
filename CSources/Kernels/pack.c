// SPDX-License-Identifier: Apache-2.0
// Load time: file layout -> packed layout. The layouts are described in kernels.h.
#include <string.h>

#include "include/kernels.h"

enum { Q8_0_BYTES = 34, Q4_0_BYTES = 18 };

static size_t element_bytes(int format) { return format == WEFT_F32 ? 4 : 2; }

static size_t tile_bytes(int format, size_t cols) {
  size_t blocks = cols / WEFT_BLOCK;
  switch (format) {
    case WEFT_Q8_0: return blocks * (512 + 32);
    case WEFT_Q4_0: return blocks * (256 + 32);
    default: return cols * WEFT_TILE * element_bytes(format);
  }
}

size_t weft_packed_bytes(int format, size_t rows, size_t cols) {
  return (rows + WEFT_TILE - 1) / WEFT_TILE * tile_bytes(format, cols);
}

// `size` and `flip` are constants where this is called, so that the copies become plain moves.
static inline __attribute__((always_inline)) void pack_row_float(char *tile, const char *row, size_t lane, size_t cols,
                                                                 const size_t size) {
  for (size_t c = 0; c < cols; c++) memcpy(tile + (c * WEFT_TILE + lane) * size, row + c * size, size);
}

// Quants go in groups of four columns: one 32-bit word per row and group.
static inline __attribute__((always_inline)) void pack_row_quantized(uint8_t *tile, const uint8_t *row, size_t lane, size_t blocks,
                                                                     const size_t quants, const uint32_t flip) {
  const size_t tile_block = quants * WEFT_TILE;
  for (size_t b = 0; b < blocks; b++, row += 2 + quants) {
    for (size_t group = 0; group < quants / 4; group++) {
      uint32_t word;
      memcpy(&word, row + 2 + group * 4, 4);
      word ^= flip;
      memcpy(tile + b * tile_block + group * 64 + lane * 4, &word, 4);
    }
    memcpy(tile + blocks * tile_block + (b * WEFT_TILE + lane) * 2, row, 2);
  }
}

void weft_pack(void *packed, int format, const void *w, size_t row_bytes, size_t rows, size_t cols, size_t tile_begin,
               size_t tile_end, const int32_t *row_map) {
  size_t bytes = tile_bytes(format, cols);
  for (size_t t = tile_begin; t < tile_end; t++) {
    char *tile = (char *)packed + t * bytes;
    if ((t + 1) * WEFT_TILE > rows) memset(tile, 0, bytes);  // zero scales make padded rows zero
    for (size_t lane = 0; lane < WEFT_TILE && t * WEFT_TILE + lane < rows; lane++) {
      size_t r = t * WEFT_TILE + lane;
      const char *row = (const char *)w + (row_map ? (size_t)row_map[r] : r) * row_bytes;
      switch (format) {
        case WEFT_Q8_0:
          pack_row_quantized((uint8_t *)tile, (const uint8_t *)row, lane, cols / WEFT_BLOCK, Q8_0_BYTES - 2, 0x80808080u);
          break;
        case WEFT_Q4_0:
          pack_row_quantized((uint8_t *)tile, (const uint8_t *)row, lane, cols / WEFT_BLOCK, Q4_0_BYTES - 2, 0);
          break;
        case WEFT_F32: pack_row_float(tile, row, lane, cols, 4); break;
        default: pack_row_float(tile, row, lane, cols, 2); break;
      }
    }
  }
}
