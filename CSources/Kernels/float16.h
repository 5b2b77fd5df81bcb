// SPDX-License-Identifier: Apache-2.0
// Scalar conversions between f32 and the 16-bit floats (IEEE 754 binary16, bfloat16). Internal.
#pragma once
#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  return u;
}

static inline float bits_float(uint32_t u) {
  float x;
  memcpy(&x, &u, 4);
  return x;
}

static inline float bf16_to_f32(uint16_t h) { return bits_float((uint32_t)h << 16); }

// Rounds to nearest even; NaN stays NaN.
static inline uint16_t f32_to_bf16(float x) {
  uint32_t u = float_bits(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
  return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

static inline float f16_to_f32(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 0x1fu, mantissa = h & 0x3ffu;
  if (exponent == 0x1f) return bits_float(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return bits_float(sign | ((exponent + 112u) << 23) | (mantissa << 13));
  float subnormal = (float)mantissa * 0x1p-24f;
  return bits_float(sign | float_bits(subnormal));
}

// Rounds to nearest even; overflow becomes infinity; NaN stays NaN.
static inline uint16_t f32_to_f16(float x) {
  uint32_t u = float_bits(x), sign = (u >> 16) & 0x8000u;
  u &= 0x7fffffffu;
  if (u > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((u >> 13) & 0x3ffu));
  if (u >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
  if (u < 0x38800000u) {  // subnormal in f16: adding 0.5 aligns the mantissa so that the FPU rounds it
    float rounded = bits_float(u) + 0.5f;
    return (uint16_t)(sign | (float_bits(rounded) - float_bits(0.5f)));
  }
  u += 0xfffu + ((u >> 13) & 1u);
  return (uint16_t)(sign | ((u - 0x38000000u) >> 13));
}
