// SPDX-License-Identifier: Apache-2.0
// Load time: file layout -> packed layout. The layouts are described in kernels.h and formats/packed.h.
#include <string.h>

#include "formats/packed.h"
#include "formats/restore.h"

static size_t element_bytes(int format) { return format == WEFT_F32 ? 4 : 2; }

static size_t tile_bytes(int format, size_t cols) {
  const quantized_format *quantized = &quantized_formats[format];
  if (quantized->bits) return packed_tile_bytes(quantized, cols);
  return cols * WEFT_TILE * element_bytes(format);
}

size_t weft_packed_bytes(int format, size_t rows, size_t cols) {
  return (rows + WEFT_TILE - 1) / WEFT_TILE * tile_bytes(format, cols);
}

// `size` is a constant where this is called, so that the copies become plain moves.
static inline __attribute__((always_inline)) void pack_row_float(char *tile, const char *row, size_t lane, size_t cols,
                                                                 const size_t size) {
  for (size_t c = 0; c < cols; c++) memcpy(tile + (c * WEFT_TILE + lane) * size, row + c * size, size);
}

// 32 quants of one row. Four columns are handled as one word: bits do not cross bytes.
static void pack_quants(uint8_t *block, const uint8_t *q, size_t lane, unsigned bits) {
  uint32_t groups[8];
  memcpy(groups, q, 32);
  for (unsigned shift = 0; shift < bits;) {
    unsigned width = plane_bits(bits, shift);
    uint32_t mask = 0x01010101u * ((1u << width) - 1);
    for (unsigned v = 0; v < width; v++, block += 64) {
      uint32_t word = 0;
      for (unsigned k = 0; k < 8 / width; k++) word |= (groups[v + width * k] >> shift & mask) << width * k;
      memcpy(block + lane * 4, &word, 4);
    }
    shift += width;
  }
}

static void pack_row_quantized(uint8_t *tile, const uint8_t *row, size_t lane, size_t cols, int format) {
  const quantized_format *f = &quantized_formats[format];
  const size_t subs = WEFT_BLOCK / f->sub, file_blocks = f->block_elements / WEFT_BLOCK, blocks = cols / WEFT_BLOCK;
  for (size_t b = 0; b < blocks; row += f->block_bytes) {
    quantized_block block;
    quantized_unpack(&block, format, row);
    uint8_t *bytes = tile + b / 8 * packed_chunk_of(f, 8).bytes;
    const packed_chunk chunk = packed_chunk_of(f, blocks - b / 8 * 8);
    if (packed_has_super(f)) memcpy(bytes + chunk.d + lane * 2, &block.d, 2);
    if (f->min == MIN_BYTES) memcpy(bytes + chunk.e + lane * 2, &block.e, 2);
    for (size_t i = 0; i < file_blocks; i++, b++) {
      uint8_t *scales = bytes + chunk.scales + b % 8 * packed_scale_bytes(f);
      uint8_t *mins = bytes + chunk.mins + b % 8 * packed_min_bytes(f);
      pack_quants(bytes + b % 8 * packed_quant_bytes(f), block.q + i * WEFT_BLOCK, lane, f->bits);
      if (f->scale == SCALE_BLOCK) memcpy(scales + lane * 2, &block.d, 2);
      if (f->min == MIN_BLOCK) memcpy(mins + lane * 2, &block.e, 2);
      for (size_t s = 0; s < subs; s++) {
        if (f->scale == SCALE_BYTES) scales[s * WEFT_TILE + lane] = (uint8_t)block.scales[i * subs + s];
        if (f->min == MIN_BYTES) mins[s * WEFT_TILE + lane] = block.mins[i * subs + s];
      }
    }
  }
}

void weft_pack(void *packed, int format, const void *w, size_t row_bytes, size_t rows, size_t cols, size_t tile_begin,
               size_t tile_end, const int32_t *row_map) {
  size_t bytes = tile_bytes(format, cols);
  for (size_t t = tile_begin; t < tile_end; t++) {
    char *tile = (char *)packed + t * bytes;
    // Padded rows are zero: through zero scales, or quants that mean zero.
    if ((t + 1) * WEFT_TILE > rows) memset(tile, format == WEFT_TERNARY ? 0x55 : 0, bytes);
    for (size_t lane = 0; lane < WEFT_TILE && t * WEFT_TILE + lane < rows; lane++) {
      size_t r = t * WEFT_TILE + lane;
      const char *row = (const char *)w + (row_map ? (size_t)row_map[r] : r) * row_bytes;
      switch (format) {
        case WEFT_F32: pack_row_float(tile, row, lane, cols, 4); break;
        case WEFT_F16:
        case WEFT_BF16: pack_row_float(tile, row, lane, cols, 2); break;
        default: pack_row_quantized((uint8_t *)tile, (const uint8_t *)row, lane, cols, format); break;
      }
    }
  }
}

// 32 quants of one row, from where pack_quants put them. The format has one plane.
static void unpack_quants(uint8_t *q, const uint8_t *block, size_t lane, unsigned bits) {
  const uint32_t mask = bits == 8 ? ~0u : 0x01010101u * ((1u << bits) - 1);
  for (unsigned g = 0; g < 8; g++) {
    uint32_t word;
    memcpy(&word, block + g % bits * 64 + lane * 4, 4);
    word = word >> g / bits * bits & mask;
    memcpy(q + g * 4, &word, 4);
  }
}

static void unpack_row_quantized(uint8_t *row, const uint8_t *tile, size_t lane, size_t cols, int format) {
  const quantized_format *f = &quantized_formats[format];
  const size_t blocks = cols / WEFT_BLOCK;
  for (size_t b = 0; b < blocks; b++, row += f->block_bytes) {
    const uint8_t *bytes = tile + b / 8 * packed_chunk_of(f, 8).bytes;
    const packed_chunk chunk = packed_chunk_of(f, blocks - b / 8 * 8);
    uint8_t q[WEFT_BLOCK];
    uint16_t d = 0;
    unpack_quants(q, bytes + b % 8 * packed_quant_bytes(f), lane, f->bits);
    if (f->scale == SCALE_BLOCK) memcpy(&d, bytes + chunk.scales + b % 8 * packed_scale_bytes(f) + lane * 2, 2);
    restore_block(row, format, d, q);
  }
}

void weft_unpack(void *w, int format, const void *packed, size_t cols, size_t row_begin, size_t row_end) {
  const quantized_format *f = &quantized_formats[format];
  const size_t bytes = tile_bytes(format, cols), size = f->bits ? 0 : element_bytes(format);
  const size_t row_bytes = f->bits ? cols / WEFT_BLOCK * f->block_bytes : cols * size;
  for (size_t r = row_begin; r < row_end; r++) {
    const char *tile = (const char *)packed + r / WEFT_TILE * bytes;
    char *row = (char *)w + (r - row_begin) * row_bytes;
    if (f->bits) {
      unpack_row_quantized((uint8_t *)row, (const uint8_t *)tile, r % WEFT_TILE, cols, format);
    } else {
      for (size_t c = 0; c < cols; c++) memcpy(row + c * size, tile + (c * WEFT_TILE + r % WEFT_TILE) * size, size);
    }
  }
}
