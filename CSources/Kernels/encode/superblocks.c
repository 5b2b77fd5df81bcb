// SPDX-License-Identifier: Apache-2.0
// Encoders of the formats with blocks of 256 values, whose groups have quantised scales: q4_k, q5_k, q6_k.
#include "encode.h"

enum { SUPER = 256 };

static void store_u16(uint8_t *p, uint16_t h) { memcpy(p, &h, 2); }

// q4_k, q5_k: x ~ d * scales[g] * q - m * minima[g], eight groups of 32.
typedef struct affine_block {
  uint16_t d, m;  // f16
  uint8_t scales[8], minima[8], q[SUPER];
} affine_block;

// sum w (x - s q + m)^2 with the nearest levels.
static float affine_error(const float *x, const float *w, float s, float m, float top) {
  float error[LANES] = {0}, inverse = reciprocal(s);
  for (size_t i = 0; i < 32; i += LANES)
    for (size_t l = 0; l < LANES; l++) {
      float q = to_integer(clamped((x[i + l] + m) * inverse, 0, top)), r = x[i + l] + m - s * q;
      error[l] += w[i + l] * r * r;
    }
  return sum_of(error);
}

static uint8_t six_bits(float v) { return (uint8_t)to_integer(clamped(v, 0, 63)); }

// Quantised scale and minimum of one group: the best of the neighbours of (scale, minimum).
static float choose_scales(const float *x, const float *w, float d, float m, uint8_t *scale, uint8_t *minimum, float top) {
  int s0 = *scale, m0 = *minimum;
  float best = INFINITY;
  for (int s = s0 > 0 ? s0 - 1 : 0; s <= s0 + 1 && s < 64; s++)
    for (int n = m0 > 0 ? m0 - 1 : 0; n <= m0 + 1 && n < 64; n++) {
      float error = affine_error(x, w, d * (float)s, m * (float)n, top);
      if (error < best) {
        best = error;
        *scale = (uint8_t)s;
        *minimum = (uint8_t)n;
      }
    }
  return best;
}

// The best d and m for given scales, minima and quants; no change where they are not determined.
static void solve_affine(affine_block *block, const float *x, const float *w, float top) {
  float d = f16_to_f32(block->d), m = f16_to_f32(block->m);
  float a = 0, b = 0, c = 0, e = 0, f = 0;
  for (size_t g = 0; g < 8; g++) {
    float s = block->scales[g], n = block->minima[g], inverse = reciprocal(d * s);
    float lqq[LANES] = {0}, lq[LANES] = {0}, l1[LANES] = {0}, lxq[LANES] = {0}, lx[LANES] = {0};
    for (size_t i = 32 * g; i < 32 * (g + 1); i += LANES)
      for (size_t l = 0; l < LANES; l++) {
        float q = to_integer(clamped((x[i + l] + m * n) * inverse, 0, top)), wq = w[i + l] * q;
        lqq[l] += wq * q;
        lq[l] += wq;
        l1[l] += w[i + l];
        lxq[l] += wq * x[i + l];
        lx[l] += w[i + l] * x[i + l];
      }
    a += s * s * sum_of(lqq);
    b += s * n * sum_of(lq);
    c += n * n * sum_of(l1);
    e += s * sum_of(lxq);
    f += n * sum_of(lx);
  }
  float determinant = a * c - b * b;
  if (determinant > 1e-6f * a * c) {
    d = (e * c - f * b) / determinant;
    m = (b * e - a * f) / determinant;
  } else if (a > 0) {
    d = (e + b * m) / a;
  }
  if (d > 0 && m >= 0) {
    block->d = f32_to_f16(d);
    block->m = f32_to_f16(m);
  }
}

static float choose_all_scales(affine_block *block, const float *x, const float *w, float top) {
  float d = f16_to_f32(block->d), m = f16_to_f32(block->m), error = 0;
  for (size_t g = 0; g < 8; g++)
    error += choose_scales(x + 32 * g, w + 32 * g, d, m, &block->scales[g], &block->minima[g], top);
  return error;
}

static void encode_affine(affine_block *block, const float *x, const float *w, float top) {
  affine_fit fits[8];
  float scale = 0, minimum = 0;
  for (size_t g = 0; g < 8; g++) {
    fits[g] = fit_affine(x + 32 * g, w + 32 * g, 32, top, 2.0f, 6, 1);
    scale = fmaxf(scale, fits[g].scale);
    minimum = fmaxf(minimum, -fits[g].offset);
  }
  block->d = f16_not_below(scale / 63);
  block->m = f16_not_below(minimum / 63);
  float to_scale = reciprocal(f16_to_f32(block->d)), to_minimum = reciprocal(f16_to_f32(block->m));
  for (size_t g = 0; g < 8; g++) {
    block->scales[g] = six_bits(fits[g].scale * to_scale);
    block->minima[g] = six_bits(-fits[g].offset * to_minimum);
  }
  float error = choose_all_scales(block, x, w, top);
  for (int round = 0; round < 3; round++) {
    affine_block next = *block;
    solve_affine(&next, x, w, top);
    float better = choose_all_scales(&next, x, w, top);
    if (!(better < error)) break;
    error = better;
    *block = next;
  }
  for (size_t i = 0; i < SUPER; i++) {
    float s = f16_to_f32(block->d) * (float)block->scales[i / 32], m = f16_to_f32(block->m) * (float)block->minima[i / 32];
    block->q[i] = (uint8_t)to_integer(clamped((x[i] + m) * reciprocal(s), 0, top));
  }
}

// d, m, then twelve bytes: 6-bit scales and minima. Groups 0 to 3 have their own bytes, the low four bits of groups 4 to 7 share the
// last four bytes, and their high two bits fill the first eight.
static void store_scales(uint8_t *p, const affine_block *block) {
  store_u16(p, block->d);
  store_u16(p + 2, block->m);
  for (size_t g = 0; g < 4; g++) {
    uint8_t s = block->scales[g + 4], m = block->minima[g + 4];
    p[4 + g] = (uint8_t)(block->scales[g] | (s >> 4) << 6);
    p[8 + g] = (uint8_t)(block->minima[g] | (m >> 4) << 6);
    p[12 + g] = (uint8_t)((s & 15) | (m & 15) << 4);
  }
}

// Group 2 k in the low nibbles of 32 bytes, group 2 k + 1 in the high ones.
static void store_low_bits(uint8_t *p, const uint8_t *q) {
  for (size_t i = 0; i < SUPER / 2; i++) {
    size_t first = i / 32 * 64 + i % 32;
    p[i] = (uint8_t)((q[first] & 15) | (q[first + 32] & 15) << 4);
  }
}

void encode_block_q4_k(uint8_t *p, const float *x, const float *w) {
  affine_block block;
  encode_affine(&block, x, w, 15);
  store_scales(p, &block);
  store_low_bits(p + 16, block.q);
}

void encode_block_q5_k(uint8_t *p, const float *x, const float *w) {
  affine_block block;
  encode_affine(&block, x, w, 31);
  store_scales(p, &block);
  // The fifth bit of value i of group g is bit g of byte i.
  for (size_t i = 0; i < 32; i++) {
    uint8_t bits = 0;
    for (size_t g = 0; g < 8; g++) bits |= (uint8_t)((block.q[32 * g + i] >> 4) << g);
    p[16 + i] = bits;
  }
  store_low_bits(p + 48, block.q);
}

// q6_k: x ~ d * scales[g] * q, 16 groups of 16, q from -32 to 31.
static float scale_error(const float *x, const float *w, float s) {
  float error[LANES] = {0}, inverse = reciprocal(s);
  for (size_t i = 0; i < 16; i += LANES)
    for (size_t l = 0; l < LANES; l++) {
      float r = x[i + l] - s * to_integer(clamped(x[i + l] * inverse, -32, 31));
      error[l] += w[i + l] * r * r;
    }
  return sum_of(error);
}

static float choose_q6_scales(int8_t *scales, const float *x, const float *w, float d) {
  float total = 0;
  for (size_t g = 0; g < 16; g++) {
    int s0 = scales[g];
    float best = INFINITY;
    for (int s = s0 - 1; s <= s0 + 1; s++) {
      if (s < -128 || s > 127) continue;
      float error = scale_error(x + 16 * g, w + 16 * g, d * (float)s);
      if (error < best) {
        best = error;
        scales[g] = (int8_t)s;
      }
    }
    total += best;
  }
  return total;
}

static float solve_q6(const int8_t *scales, const float *x, const float *w, float d) {
  float xq = 0, qq = 0;
  for (size_t g = 0; g < 16; g++) {
    float s = scales[g], inverse = reciprocal(d * s), lxq[LANES] = {0}, lqq[LANES] = {0};
    for (size_t i = 16 * g; i < 16 * (g + 1); i += LANES)
      for (size_t l = 0; l < LANES; l++) {
        float q = s * to_integer(clamped(x[i + l] * inverse, -32, 31)), wq = w[i + l] * q;
        lxq[l] += wq * x[i + l];
        lqq[l] += wq * q;
      }
    xq += sum_of(lxq);
    qq += sum_of(lqq);
  }
  return qq > 0 ? xq / qq : d;
}

void encode_block_q6_k(uint8_t *p, const float *x, const float *w) {
  float fits[16], largest = 0;
  for (size_t g = 0; g < 16; g++) {
    fits[g] = fit_scale(x + 16 * g, w + 16 * g, 16, 32, 28.0f, 33.0f, 16).scale;
    largest = fmaxf(largest, fabsf(fits[g]));
  }
  uint16_t d = f16_not_below(largest / 127);
  int8_t scales[16];
  for (size_t g = 0; g < 16; g++) scales[g] = (int8_t)to_integer(clamped(fits[g] * reciprocal(f16_to_f32(d)), -128, 127));
  float error = choose_q6_scales(scales, x, w, f16_to_f32(d));
  for (int round = 0; round < 3; round++) {
    int8_t next[16];
    memcpy(next, scales, 16);
    uint16_t other = f32_to_f16(solve_q6(scales, x, w, f16_to_f32(d)));
    float better = choose_q6_scales(next, x, w, f16_to_f32(other));
    if (!(better < error)) break;
    error = better;
    d = other;
    memcpy(scales, next, 16);
  }
  uint8_t q[SUPER];
  for (size_t i = 0; i < SUPER; i++) {
    float inverse = reciprocal(f16_to_f32(d) * (float)scales[i / 16]);
    q[i] = (uint8_t)(to_integer(clamped(x[i] * inverse, -32, 31)) + 32);
  }
  // Low four bits: 64 bytes per half, values i and i + 64 share a byte. High two bits: 32 bytes per half, values i, i + 32, i + 64 and
  // i + 96 share one.
  for (size_t half = 0; half < 2; half++) {
    const uint8_t *v = q + 128 * half;
    for (size_t i = 0; i < 64; i++) p[64 * half + i] = (uint8_t)((v[i] & 15) | (v[64 + i] & 15) << 4);
    for (size_t i = 0; i < 32; i++)
      p[128 + 32 * half + i] = (uint8_t)(v[i] >> 4 | v[32 + i] >> 4 << 2 | v[64 + i] >> 4 << 4 | v[96 + i] >> 4 << 6);
  }
  memcpy(p + 192, scales, 16);
  store_u16(p + 208, d);
}
