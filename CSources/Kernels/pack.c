// SPDX-License-Identifier: Apache-2.0
// Load time: file layout -> packed layout, and rows -> f32. The layouts are described in kernels.h.
#include <math.h>
#include <string.h>

#include "float16.h"
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

static uint16_t load_u16(const void *p) {
  uint16_t h;
  memcpy(&h, p, 2);
  return h;
}

void weft_dequantize(float *x, int format, const void *w, size_t n) {
  const uint8_t *p = w;
  switch (format) {
    case WEFT_F32: memcpy(x, w, n * 4); break;
    case WEFT_F16:
      for (size_t i = 0; i < n; i++) x[i] = f16_to_f32(load_u16(p + 2 * i));
      break;
    case WEFT_BF16:
      for (size_t i = 0; i < n; i++) x[i] = bf16_to_f32(load_u16(p + 2 * i));
      break;
    case WEFT_Q8_0:
      for (size_t b = 0; b < n / WEFT_BLOCK; b++, p += Q8_0_BYTES)
        for (size_t c = 0; c < WEFT_BLOCK; c++) x[b * WEFT_BLOCK + c] = f16_to_f32(load_u16(p)) * (float)(int8_t)p[2 + c];
      break;
    case WEFT_Q4_0:
      for (size_t b = 0; b < n / WEFT_BLOCK; b++, p += Q4_0_BYTES) {
        float d = f16_to_f32(load_u16(p));
        for (size_t c = 0; c < 16; c++) {
          x[b * WEFT_BLOCK + c] = d * (float)((p[2 + c] & 15) - 8);
          x[b * WEFT_BLOCK + 16 + c] = d * (float)((p[2 + c] >> 4) - 8);
        }
      }
      break;
  }
}

void weft_round_row(void *w, int format, const float *x, size_t n) {
  uint8_t *p = w;
  if (format == WEFT_F32) memcpy(w, x, n * 4);
  for (size_t i = 0; i < n && format != WEFT_F32; i++) {
    uint16_t h = format == WEFT_F16 ? f32_to_f16(x[i]) : f32_to_bf16(x[i]);
    memcpy(p + 2 * i, &h, 2);
  }
}

static int not_finite(int format, const uint8_t *p) {
  if (format == WEFT_BF16) return (load_u16(p) & 0x7f80u) == 0x7f80u;
  if (format != WEFT_F32) return (load_u16(p) & 0x7c00u) == 0x7c00u;
  uint32_t u;
  memcpy(&u, p, 4);
  return (u & 0x7f800000u) == 0x7f800000u;
}

ptrdiff_t weft_first_non_finite(int format, const void *w, size_t n) {
  size_t step = format == WEFT_F32 ? 4 : format == WEFT_Q8_0 ? Q8_0_BYTES : format == WEFT_Q4_0 ? Q4_0_BYTES : 2;
  size_t elements = format >= WEFT_Q8_0 ? WEFT_BLOCK : 1;
  for (size_t i = 0; i < n / elements; i++)
    if (not_finite(format, (const uint8_t *)w + i * step)) return (ptrdiff_t)(i * elements);
  return -1;
}
