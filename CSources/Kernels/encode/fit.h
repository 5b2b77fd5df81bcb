// SPDX-License-Identifier: Apache-2.0
// Weighted least squares over the quants of one group of values: the searches that all encoders share. Internal.
//
// Groups have 16 or 32 values. Sums run in LANES partial sums, so that the compiler can vectorise them without changing
// the result from one target to another.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "../float16.h"

#pragma STDC FP_CONTRACT OFF

enum { LANES = 8, GROUP_LIMIT = 32 };

// Below this, the scale of a group is zero in f16, whatever its levels.
static const float NEGLIGIBLE = 0x1p-30f;

// To the nearest integer, ties to even, for |v| < 2^22.
static inline float to_integer(float v) { return (v + 0x1.8p23f) - 0x1.8p23f; }

static inline float clamped(float v, float low, float high) { return v < low ? low : v > high ? high : v; }

static inline float sum_of(const float *lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

static inline float reciprocal(float v) { return v == 0 ? 0 : 1 / v; }

// The nearest f16, but never so far below `v` that levels at the end of the range fall off: f16 is coarse near zero.
static inline uint16_t f16_not_below(float v) {
  uint16_t h = f32_to_f16(v);
  return f16_to_f32(h) < v * 0.999f ? (uint16_t)(h + 1) : h;
}

static inline float largest_magnitude(const float *x, size_t n) {
  float largest = 0;
  for (size_t i = 0; i < n; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
  return largest;
}

// A scale for x ~ scale * q, and how much of sum w x^2 it explains: the error is sum w x^2 - gain.
typedef struct scale_fit {
  float scale, gain;
} scale_fit;

static inline scale_fit solve_scale(const float *xq, const float *qq) {
  float a = sum_of(xq), b = sum_of(qq);
  return b > 0 ? (scale_fit){a / b, a * a / b} : (scale_fit){0, 0};
}

// The best scale for the integer levels low ... high that are nearest to x * inverse.
static inline scale_fit try_scale(const float *x, const float *w, size_t n, float inverse, float low, float high) {
  float xq[LANES] = {0}, qq[LANES] = {0};
  for (size_t i = 0; i < n; i += LANES)
    for (size_t l = 0; l < LANES; l++) {
      float q = to_integer(clamped(x[i + l] * inverse, low, high)), wq = w[i + l] * q;
      xq[l] += wq * x[i + l];
      qq[l] += wq * q;
    }
  return solve_scale(xq, qq);
}

// Searches the scale, of either sign, for the integer levels -count ... count - 1: the largest value goes to somewhere between
// level `from` and level `to`.
static inline scale_fit fit_scale(const float *x, const float *w, size_t n, float count, float from, float to, int steps) {
  scale_fit best = {0, 0};
  float largest = largest_magnitude(x, n);
  if (largest < NEGLIGIBLE) return best;
  for (int step = 0; step < 2 * steps; step++) {
    float level = from + (to - from) * (float)(step / 2) / (float)(steps - 1);
    float inverse = (step % 2 ? -level : level) / largest;
    scale_fit fit = try_scale(x, w, n, inverse, -count, count - 1);
    if (fit.gain > best.gain) best = fit;
  }
  for (int round = 0; round < 8 && best.scale != 0; round++) {
    scale_fit fit = try_scale(x, w, n, 1 / best.scale, -count, count - 1);
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return best;
}

// x ~ scale * q + offset, with the remaining error sum w (x - scale q - offset)^2 up to a constant.
typedef struct affine_fit {
  float scale, offset, error;
} affine_fit;

// The best scale and offset for the levels 0 ... top that are nearest to (x - base) * inverse; with `negative` the offset
// may not be above zero.
static inline affine_fit try_affine(const float *x, const float *w, size_t n, float inverse, float base, float top,
                                    int negative) {
  float lq[LANES] = {0}, lqq[LANES] = {0}, lxq[LANES] = {0}, lx[LANES] = {0}, l1[LANES] = {0};
  for (size_t i = 0; i < n; i += LANES)
    for (size_t l = 0; l < LANES; l++) {
      float q = to_integer(clamped((x[i + l] - base) * inverse, 0, top)), wq = w[i + l] * q;
      lq[l] += wq;
      lqq[l] += wq * q;
      lxq[l] += wq * x[i + l];
      lx[l] += w[i + l] * x[i + l];
      l1[l] += w[i + l];
    }
  float sq = sum_of(lq), sqq = sum_of(lqq), sxq = sum_of(lxq), sx = sum_of(lx), s1 = sum_of(l1);
  float determinant = s1 * sqq - sq * sq;
  float scale = 0, offset = sx / s1;
  if (determinant > 1e-6f * s1 * sqq) {
    scale = (s1 * sxq - sx * sq) / determinant;
    offset = (sx - scale * sq) / s1;
  }
  if (negative && offset > 0) {
    offset = 0;
    scale = sqq > 0 ? sxq / sqq : 0;
  }
  float error = -2 * (scale * sxq + offset * sx) + scale * scale * sqq + 2 * scale * offset * sq + offset * offset * s1;
  return (affine_fit){scale, offset, error};
}

// Searches scale and offset for the levels 0 ... top: the ends of the range move inwards by up to `inwards` levels each.
static inline affine_fit fit_affine(const float *x, const float *w, size_t n, float top, float inwards, int steps,
                                    int negative) {
  float low = x[0], high = x[0];
  for (size_t i = 1; i < n; i++) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  if (negative && low > 0) low = 0;
  affine_fit best = {0, negative && low > 0 ? 0 : low, INFINITY};
  if (high - low < NEGLIGIBLE) return best;
  for (int step = 0; step < steps * steps; step++) {
    float from = inwards * (float)(step / steps) / (float)(steps - 1) - 0.5f;
    float to = top + 0.5f - inwards * (float)(step % steps) / (float)(steps - 1);
    // Level `from` lies at `low`, level `to` at `high`.
    float inverse = (to - from) / (high - low);
    affine_fit fit = try_affine(x, w, n, inverse, low - from / inverse, top, negative);
    if (fit.error < best.error) best = fit;
  }
  for (int round = 0; round < 8 && best.scale != 0; round++) {
    affine_fit fit = try_affine(x, w, n, 1 / best.scale, best.offset, top, negative);
    if (!(fit.error < best.error)) break;
    best = fit;
  }
  return best;
}

// The weights of n columns relative to their mean. 0, with ones, where there is no importance or none that could be used.
static inline int set_weights(float *w, const float *importance, size_t n) {
  float sum = 0;
  for (size_t i = 0; importance && i < n; i++) sum += importance[i];
  int usable = sum > 0 && sum < INFINITY;
  for (size_t i = 0; i < n; i++) w[i] = usable ? importance[i] / sum * (float)n + 0x1p-10f : 1;
  return usable;
}
