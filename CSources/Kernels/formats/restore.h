// SPDX-License-Identifier: Apache-2.0
// The reverse of taking a block apart, for the formats that factors of adapters have. Internal.
#pragma once
#include <string.h>

#include "quantized.h"

// Writes a block of q8_0, q4_0 or ternary (32 columns) in file layout: the bits of its scale, and its quants.
static inline void restore_block(uint8_t *p, int format, uint16_t d, const uint8_t *q) {
  switch (format) {
    case WEFT_Q8_0:
      memcpy(p, &d, 2);
      for (size_t i = 0; i < 32; i++) p[2 + i] = q[i] ^ 0x80;
      break;
    case WEFT_Q4_0:
      memcpy(p, &d, 2);
      for (size_t i = 0; i < 16; i++) p[2 + i] = (uint8_t)(q[i] | q[16 + i] << 4);
      break;
    case WEFT_TERNARY:
      memset(p, 0, 8);
      for (size_t i = 0; i < 32; i++) p[i / 4] |= (uint8_t)(((q[i] - 1u) & 3) << i % 4 * 2);
      break;
  }
}
