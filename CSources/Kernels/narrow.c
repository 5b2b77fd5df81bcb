// SPDX-License-Identifier: Apache-2.0
// Load time: rows in file layout -> a narrow matrix and back. The layout is described in formats/narrow.h.
#include <string.h>

#include "formats/narrow.h"
#include "formats/restore.h"

size_t weft_narrow_bytes(int format, size_t rows, size_t cols) {
  const quantized_format *f = &quantized_formats[format];
  size_t tiles = (rows + WEFT_TILE - 1) / WEFT_TILE;
  return narrow_scales(f, tiles, cols) + (f->scale == SCALE_BLOCK ? tiles * narrow_blocks(cols) * WEFT_TILE * 2 : 0);
}

// Four columns of a row in its cell.
typedef struct narrow_place {
  size_t byte;
  unsigned shift;
} narrow_place;

static narrow_place place_of(const quantized_format *f, size_t groups, size_t row, size_t group) {
  size_t cell = row / WEFT_TILE * groups + group, per = narrow_per(f);
  return (narrow_place){cell / per * 64 + row % WEFT_TILE * 4, (unsigned)(cell % per) * f->bits};
}

void weft_pack_narrow(void *packed, int format, const void *w, size_t row_bytes, size_t rows, size_t cols) {
  const quantized_format *f = &quantized_formats[format];
  const size_t groups = narrow_groups(cols), blocks = narrow_blocks(cols), tiles = (rows + WEFT_TILE - 1) / WEFT_TILE;
  uint8_t *bytes = packed, *scales = bytes + narrow_scales(f, tiles, cols);
  const uint8_t zero[4] = {f->offset, f->offset, f->offset, f->offset};
  memset(packed, 0, weft_narrow_bytes(format, rows, cols));
  for (size_t r = 0; r < tiles * WEFT_TILE; r++) {
    for (size_t b = 0; b < blocks; b++) {
      quantized_block block;
      uint8_t file[WEFT_BLOCK + 2];
      if (r < rows) {
        // A row of ternary codes may end inside a block.
        size_t begin = b * f->block_bytes, count = row_bytes - begin < f->block_bytes ? row_bytes - begin : f->block_bytes;
        memset(file, 0, sizeof file);
        memcpy(file, (const uint8_t *)w + r * row_bytes + begin, count);
        quantized_unpack(&block, format, file);
        if (f->scale == SCALE_BLOCK) memcpy(scales + ((r / WEFT_TILE * blocks + b) * WEFT_TILE + r % WEFT_TILE) * 2, &block.d, 2);
      }
      for (size_t g = b * 8; g < groups && g < b * 8 + 8; g++) {
        uint32_t word, old;
        memcpy(&word, r < rows ? block.q + g % 8 * 4 : zero, 4);
        narrow_place place = place_of(f, groups, r, g);
        memcpy(&old, bytes + place.byte, 4);
        old |= (f->bits == 8 ? word : word & 0x01010101u * ((1u << f->bits) - 1)) << place.shift;
        memcpy(bytes + place.byte, &old, 4);
      }
    }
  }
}

void weft_unpack_narrow(void *w, int format, const void *packed, size_t row_bytes, size_t rows, size_t cols) {
  const quantized_format *f = &quantized_formats[format];
  const size_t groups = narrow_groups(cols), blocks = narrow_blocks(cols), tiles = (rows + WEFT_TILE - 1) / WEFT_TILE;
  const uint8_t *bytes = packed, *scales = bytes + narrow_scales(f, tiles, cols);
  for (size_t r = 0; r < rows; r++) {
    for (size_t b = 0; b < blocks; b++) {
      uint8_t q[WEFT_BLOCK], file[WEFT_BLOCK + 2];
      uint16_t d = 0;
      memset(q, f->offset, sizeof q);
      for (size_t g = b * 8; g < groups && g < b * 8 + 8; g++) {
        uint32_t word;
        narrow_place place = place_of(f, groups, r, g);
        memcpy(&word, bytes + place.byte, 4);
        word = f->bits == 8 ? word : word >> place.shift & 0x01010101u * ((1u << f->bits) - 1);
        memcpy(q + g % 8 * 4, &word, 4);
      }
      if (f->scale == SCALE_BLOCK) memcpy(&d, scales + ((r / WEFT_TILE * blocks + b) * WEFT_TILE + r % WEFT_TILE) * 2, 2);
      restore_block(file, format, d, q);
      size_t begin = b * f->block_bytes, count = row_bytes - begin < f->block_bytes ? row_bytes - begin : f->block_bytes;
      memcpy((uint8_t *)w + r * row_bytes + begin, file, count);
    }
  }
}
