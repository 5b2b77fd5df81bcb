// SPDX-License-Identifier: Apache-2.0
// Encoders of the formats with blocks of 32 values: q8_0, q4_0, q5_0, q4_1, q5_1, iq4_nl.
#include "encode.h"

static void store_u16(uint8_t *p, uint16_t h) { memcpy(p, &h, 2); }

// The integer levels low ... high nearest to x / d, with d in f16.
static void assign(int8_t *q, const float *x, size_t n, float inverse, float offset, float low, float high) {
  for (size_t i = 0; i < n; i++) q[i] = (int8_t)to_integer(clamped((x[i] - offset) * inverse, low, high));
}

void encode_block_q8_0(uint8_t *block, const float *x, const float *w) {
  uint16_t d = f32_to_f16(largest_magnitude(x, 32) / 127);
  scale_fit fit = try_scale(x, w, 32, reciprocal(f16_to_f32(d)), -127, 127);
  if (fit.scale > 0) d = f32_to_f16(fit.scale);
  int8_t q[32];
  assign(q, x, 32, reciprocal(f16_to_f32(d)), 0, -127, 127);
  store_u16(block, d);
  memcpy(block + 2, q, 32);
}

// Low nibbles: values 0 ... 15; high nibbles: 16 ... 31.
static void store_nibbles(uint8_t *p, const int8_t *q) {
  for (size_t i = 0; i < 16; i++) p[i] = (uint8_t)((q[i] & 15) | (q[16 + i] & 15) << 4);
}

// The fifth bit of value i is bit i.
static void store_fifth_bits(uint8_t *p, const int8_t *q) {
  uint32_t bits = 0;
  for (size_t i = 0; i < 32; i++) bits |= (uint32_t)(q[i] >> 4 & 1) << i;
  memcpy(p, &bits, 4);
}

void encode_block_q4_0(uint8_t *block, const float *x, const float *w) {
  uint16_t d = f32_to_f16(fit_scale(x, w, 32, 8, 4.5f, 8.7f, 18).scale);
  int8_t q[32];
  assign(q, x, 32, reciprocal(f16_to_f32(d)), 0, -8, 7);
  for (size_t i = 0; i < 32; i++) q[i] = (int8_t)(q[i] + 8);
  store_u16(block, d);
  store_nibbles(block + 2, q);
}

// The value of largest magnitude at level -8.
void encode_block_q4_0_range(uint8_t *block, const float *x, const float *w) {
  (void)w;
  float end = 0;
  for (size_t i = 0; i < 32; i++) end = fabsf(x[i]) > fabsf(end) ? x[i] : end;
  uint16_t d = f32_to_f16(end / -8);
  int8_t q[32];
  assign(q, x, 32, reciprocal(f16_to_f32(d)), 0, -8, 7);
  for (size_t i = 0; i < 32; i++) q[i] = (int8_t)(q[i] + 8);
  store_u16(block, d);
  store_nibbles(block + 2, q);
}

void encode_block_q5_0(uint8_t *block, const float *x, const float *w) {
  uint16_t d = f32_to_f16(fit_scale(x, w, 32, 16, 11.5f, 16.7f, 20).scale);
  int8_t q[32];
  assign(q, x, 32, reciprocal(f16_to_f32(d)), 0, -16, 15);
  for (size_t i = 0; i < 32; i++) q[i] = (int8_t)(q[i] + 16);
  store_u16(block, d);
  store_fifth_bits(block + 2, q);
  store_nibbles(block + 6, q);
}

static void store_affine(uint8_t *block, int8_t *q, const float *x, affine_fit fit, float top) {
  uint16_t d = f32_to_f16(fit.scale), m = f32_to_f16(fit.offset);
  assign(q, x, 32, reciprocal(f16_to_f32(d)), f16_to_f32(m), 0, top);
  store_u16(block, d);
  store_u16(block + 2, m);
}

void encode_block_q4_1(uint8_t *block, const float *x, const float *w) {
  int8_t q[32];
  store_affine(block, q, x, fit_affine(x, w, 32, 15, 2.0f, 7, 0), 15);
  store_nibbles(block + 4, q);
}

// The smallest value at level 0, the largest at level 15.
void encode_block_q4_1_range(uint8_t *block, const float *x, const float *w) {
  (void)w;
  float low = x[0], high = x[0];
  for (size_t i = 1; i < 32; i++) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  int8_t q[32];
  store_affine(block, q, x, (affine_fit){(high - low) / 15, low, 0}, 15);
  store_nibbles(block + 4, q);
}

void encode_block_q5_1(uint8_t *block, const float *x, const float *w) {
  int8_t q[32];
  store_affine(block, q, x, fit_affine(x, w, 32, 31, 2.0f, 7, 0), 31);
  store_fifth_bits(block + 4, q);
  store_nibbles(block + 8, q);
}

// The levels of IQ4_NL.
static const int8_t LEVELS[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// Index of the level nearest to v: levels are integers, so the answer changes only at multiples of 1/2, and one entry per half
// is enough.
static void fill_nearest(uint8_t nearest[512]) {
  size_t index = 0;
  for (int half = -256; half < 256; half++) {
    while (index < 15 && half >= LEVELS[index] + LEVELS[index + 1]) index++;
    nearest[half + 256] = (uint8_t)index;
  }
}

static size_t nearest_level(const uint8_t nearest[512], float v) {
  return nearest[(int)(clamped(v, -127, 127) * 2 + 256)];
}

static scale_fit try_levels(const uint8_t nearest[512], const float *x, const float *w, float inverse) {
  float xq[LANES] = {0}, qq[LANES] = {0};
  for (size_t i = 0; i < 32; i++) {
    float q = LEVELS[nearest_level(nearest, x[i] * inverse)], wq = w[i] * q;
    xq[i % LANES] += wq * x[i];
    qq[i % LANES] += wq * q;
  }
  return solve_scale(xq, qq);
}

void encode_block_iq4_nl(uint8_t *block, const float *x, const float *w) {
  uint8_t nearest[512];
  fill_nearest(nearest);
  scale_fit best = {0, 0};
  float largest = largest_magnitude(x, 32);
  for (int step = 0; step < 36 && largest >= NEGLIGIBLE; step++) {
    float level = 110 + 1.6f * (float)(step / 2);
    scale_fit fit = try_levels(nearest, x, w, (step % 2 ? -level : level) / largest);
    if (fit.gain > best.gain) best = fit;
  }
  for (int round = 0; round < 8 && best.scale != 0; round++) {
    scale_fit fit = try_levels(nearest, x, w, 1 / best.scale);
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  uint16_t d = f32_to_f16(best.scale);
  float inverse = reciprocal(f16_to_f32(d));
  int8_t q[32];
  for (size_t i = 0; i < 32; i++) q[i] = (int8_t)nearest_level(nearest, x[i] * inverse);
  store_u16(block, d);
  store_nibbles(block + 2, q);
}
