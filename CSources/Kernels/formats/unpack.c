// SPDX-License-Identifier: Apache-2.0
// The bits of every quantised block, as they lie in files.
#include <string.h>

#include "quantized.h"

static uint16_t load_u16(const uint8_t *p) {
  uint16_t h;
  memcpy(&h, p, 2);
  return h;
}

// `count` bytes hold 8 / bits numbers each: first the lowest bits of all bytes, then the next.
static void spread(uint8_t *q, const uint8_t *p, size_t count, unsigned bits) {
  for (unsigned shift = 0; shift < 8; shift += bits)
    for (size_t i = 0; i < count; i++) *q++ = (uint8_t)(p[i] >> shift & ((1u << bits) - 1));
}

// Adds more significant bits to 32 or 256 quants.
static void raise(uint8_t *q, const uint8_t *high, size_t count, unsigned shift) {
  for (size_t i = 0; i < count; i++) q[i] = (uint8_t)(q[i] | high[i] << shift);
}

// Q5_0, Q5_1: 32 high bits in the order of the columns, then nibbles.
static void unpack_5_bits(uint8_t *q, const uint8_t *p) {
  spread(q, p + 4, 16, 4);
  for (size_t i = 0; i < 4; i++) {
    // Eight bits to eight bytes: bit j stays in a copy of the byte, and the addition carries it to the top of byte j.
    uint64_t high = p[i] * 0x0101010101010101u & 0x8040201008040201u, low;
    memcpy(&low, q + i * 8, 8);
    low |= (high + 0x7f7f7f7f7f7f7f7fu) >> 3 & 0x1010101010101010u;
    memcpy(q + i * 8, &low, 8);
  }
}

// Q4_K, Q5_K: eight scales and eight minimums of 6 bits in 12 bytes. The first four of each are the low bits of a byte; the others
// have their low nibbles in the last four bytes and their high bits above the first ones.
static void unpack_scales_6_bits(quantized_block *block, const uint8_t *p) {
  for (size_t i = 0; i < 4; i++) {
    block->scales[i] = (int8_t)(p[i] & 63);
    block->mins[i] = p[4 + i] & 63;
    block->scales[4 + i] = (int8_t)((p[8 + i] & 15) | p[i] >> 6 << 4);
    block->mins[4 + i] = (uint8_t)(p[8 + i] >> 4 | p[4 + i] >> 6 << 4);
  }
}

static void unpack_q2_k(quantized_block *block, const uint8_t *p) {
  for (size_t i = 0; i < 16; i++) {
    block->scales[i] = (int8_t)(p[i] & 15);
    block->mins[i] = p[i] >> 4;
  }
  for (size_t half = 0; half < 2; half++) spread(block->q + half * 128, p + 16 + half * 32, 32, 2);
  block->d = load_u16(p + 80);
  block->e = load_u16(p + 82);
}

static void unpack_q3_k(quantized_block *block, const uint8_t *p) {
  uint8_t high[256];
  spread(high, p, 32, 1);
  for (size_t half = 0; half < 2; half++) spread(block->q + half * 128, p + 32 + half * 32, 32, 2);
  raise(block->q, high, 256, 2);
  const uint8_t *scales = p + 96;
  for (size_t i = 0; i < 16; i++) {
    int low = i < 8 ? scales[i] & 15 : scales[i - 8] >> 4;
    block->scales[i] = (int8_t)((low | (scales[8 + i % 4] >> i / 4 * 2 & 3) << 4) - 32);
  }
  block->d = load_u16(p + 108);
}

static void unpack_q4_k(quantized_block *block, const uint8_t *p) {
  block->d = load_u16(p);
  block->e = load_u16(p + 2);
  unpack_scales_6_bits(block, p + 4);
  for (size_t i = 0; i < 4; i++) spread(block->q + i * 64, p + 16 + i * 32, 32, 4);
}

static void unpack_q5_k(quantized_block *block, const uint8_t *p) {
  uint8_t high[256];
  block->d = load_u16(p);
  block->e = load_u16(p + 2);
  unpack_scales_6_bits(block, p + 4);
  spread(high, p + 16, 32, 1);
  for (size_t i = 0; i < 4; i++) spread(block->q + i * 64, p + 48 + i * 32, 32, 4);
  raise(block->q, high, 256, 4);
}

static void unpack_q6_k(quantized_block *block, const uint8_t *p) {
  uint8_t high[256];
  for (size_t half = 0; half < 2; half++) {
    spread(block->q + half * 128, p + half * 64, 64, 4);
    spread(high + half * 128, p + 128 + half * 32, 32, 2);
  }
  raise(block->q, high, 256, 4);
  memcpy(block->scales, p + 192, 16);
  block->d = load_u16(p + 208);
}

static void unpack_iq4_xs(quantized_block *block, const uint8_t *p) {
  block->d = load_u16(p);
  unsigned high = load_u16(p + 2);
  for (size_t i = 0; i < 8; i++) {
    block->scales[i] = (int8_t)(((p[4 + i / 2] >> i % 2 * 4 & 15) | (high >> i * 2 & 3) << 4) - 32);
    spread(block->q + i * 32, p + 8 + i * 16, 16, 4);
  }
}

// TQ1_0: a byte is a fraction of 256 in base 3, the first digit is the most significant one. `digits` of them, all bytes' first
// digits first.
static uint8_t *spread_ternary(uint8_t *q, const uint8_t *p, size_t count, int digits) {
  for (unsigned power = 1; digits > 0; digits--, power *= 3)
    for (size_t i = 0; i < count; i++) *q++ = (uint8_t)((p[i] * power & 255) * 3 >> 8);
  return q;
}

static void unpack_tq1_0(quantized_block *block, const uint8_t *p) {
  uint8_t *q = spread_ternary(block->q, p, 32, 5);
  q = spread_ternary(q, p + 32, 16, 5);
  spread_ternary(q, p + 48, 4, 4);
  block->d = load_u16(p + 52);
}

static void unpack_tq2_0(quantized_block *block, const uint8_t *p) {
  for (size_t half = 0; half < 2; half++) spread(block->q + half * 128, p + half * 32, 32, 2);
  block->d = load_u16(p + 64);
}

// The scale is 2^(code - 128), half of what E8M0 says because the table holds doubled values: exact in bfloat16, whose exponent
// is one lower than the code's; the lowest two codes are subnormal.
static void unpack_mxfp4(quantized_block *block, const uint8_t *p) {
  block->d = (uint16_t)(p[0] < 2 ? 0x20u << p[0] : (p[0] - 1u) << 7);
  spread(block->q, p + 1, 16, 4);
}

static void unpack_ternary(quantized_block *block, const uint8_t *p) {
  for (size_t i = 0; i < 32; i++) block->q[i] = (uint8_t)((p[i / 4] >> i % 4 * 2 & 3) ^ 2) - 1;
}

void quantized_unpack(quantized_block *block, int format, const uint8_t *p) {
  switch (format) {
    case WEFT_Q8_0:
      block->d = load_u16(p);
      for (size_t i = 0; i < 32; i++) block->q[i] = p[2 + i] ^ 0x80;
      break;
    case WEFT_Q4_0:
    case WEFT_IQ4_NL:
      block->d = load_u16(p);
      spread(block->q, p + 2, 16, 4);
      break;
    case WEFT_Q4_1:
      block->d = load_u16(p);
      block->e = load_u16(p + 2) ^ 0x8000;  // the file adds its minimum, we subtract
      spread(block->q, p + 4, 16, 4);
      break;
    case WEFT_Q5_0:
      block->d = load_u16(p);
      unpack_5_bits(block->q, p + 2);
      break;
    case WEFT_Q5_1:
      block->d = load_u16(p);
      block->e = load_u16(p + 2) ^ 0x8000;
      unpack_5_bits(block->q, p + 4);
      break;
    case WEFT_Q2_K: unpack_q2_k(block, p); break;
    case WEFT_Q3_K: unpack_q3_k(block, p); break;
    case WEFT_Q4_K: unpack_q4_k(block, p); break;
    case WEFT_Q5_K: unpack_q5_k(block, p); break;
    case WEFT_Q6_K: unpack_q6_k(block, p); break;
    case WEFT_IQ4_XS: unpack_iq4_xs(block, p); break;
    case WEFT_TQ1_0: unpack_tq1_0(block, p); break;
    case WEFT_TQ2_0: unpack_tq2_0(block, p); break;
    case WEFT_MXFP4: unpack_mxfp4(block, p); break;
    case WEFT_TERNARY: unpack_ternary(block, p); break;
  }
}
