// SPDX-License-Identifier: Apache-2.0
// Loops of one multiply-accumulate instruction each, for roofline.c: as many as the processor can do.
#pragma once

// Does `rounds` rounds; returns how many multiply-accumulates those were.
typedef double (*Peak)(long rounds);

// Chains that wait for nothing but themselves: more than latency times instructions per cycle, fewer than registers. Each is a
// variable of its own: compilers leave arrays in memory.
#if defined(__x86_64__)
enum { CHAINS = 12 };
#define EACH(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define REGISTER "+v"
#else
enum { CHAINS = 20 };
#define EACH(M) \
  M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15) M(16) M(17) M(18) M(19)
#define REGISTER "+w"
#endif

#define DECLARE(i) c##i = start,
#define KEEP(i) __asm__ volatile("" : REGISTER(c##i));
// The body of a loop over STEP(i), which moves on chain i from `start` by so many multiply-accumulates.
#define RUN(TYPE, STEP, MACS)                       \
  TYPE EACH(DECLARE) last = start;                  \
  for (long round = 0; round < rounds; round++) {   \
    EACH(STEP)                                      \
    EACH(KEEP)                                      \
  }                                                 \
  (void)last;                                       \
  return (double)rounds * CHAINS * (MACS);

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET(features) __attribute__((target(features)))

static int has_avx512_vnni(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni"); }
static int has_avx512_bf16(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16"); }
static int has_avx512(void) { return __builtin_cpu_supports("avx512f"); }
static int has_avx_vnni(void) {
  unsigned a = 7, b, c = 1, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return __builtin_cpu_supports("avx2") && (a >> 4 & 1);
}
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

TARGET("avx512f,avx512vnni") static double avx512_vnni(long rounds) {
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(2);
  const __m512i start = _mm512_setzero_si512();
#define STEP(i) c##i = _mm512_dpbusd_epi32(c##i, a, b);
  RUN(__m512i, STEP, 64)
#undef STEP
}
TARGET("avx512f,avx512bf16") static double avx512_bf16(long rounds) {
  const __m512 one = _mm512_set1_ps(0x1p-60f);
  const __m512bh a = _mm512_cvtne2ps_pbh(one, one), b = a;
  const __m512 start = _mm512_set1_ps(1);
#define STEP(i) c##i = _mm512_dpbf16_ps(c##i, a, b);
  RUN(__m512, STEP, 32)
#undef STEP
}
TARGET("avx512f") static double avx512_fma(long rounds) {
  const __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1);
  const __m512 start = _mm512_set1_ps(1);
#define STEP(i) c##i = _mm512_fmadd_ps(c##i, a, b);
  RUN(__m512, STEP, 16)
#undef STEP
}
TARGET("avx2,avxvnni") static double avx_vnni(long rounds) {
  const __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(2);
  const __m256i start = _mm256_setzero_si256();
#define STEP(i) c##i = _mm256_dpbusd_avx_epi32(c##i, a, b);
  RUN(__m256i, STEP, 32)
#undef STEP
}
TARGET("avx2,fma") static double avx2_fma(long rounds) {
  const __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1);
  const __m256 start = _mm256_set1_ps(1);
#define STEP(i) c##i = _mm256_fmadd_ps(c##i, a, b);
  RUN(__m256, STEP, 8)
#undef STEP
}

static const struct { const char *name; int (*has)(void); Peak run; } peaks[] = {
  {"avx512_vnni", has_avx512_vnni, avx512_vnni}, {"avx512_bf16", has_avx512_bf16, avx512_bf16},
  {"avx512_fma", has_avx512, avx512_fma}, {"avx_vnni", has_avx_vnni, avx_vnni}, {"avx2_fma", has_avx2, avx2_fma},
};

#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>

#define TARGET(features) __attribute__((target(features)))

// Bits of Linux's HWCAP and HWCAP2, whose names older headers lack.
static int has_dotprod(void) { return getauxval(AT_HWCAP) >> 20 & 1; }
static int has_i8mm(void) { return getauxval(AT_HWCAP2) >> 13 & 1; }
static int has_bf16(void) { return getauxval(AT_HWCAP2) >> 14 & 1; }
static int has_fma(void) { return 1; }

TARGET("arch=armv8.2-a+dotprod") static double neon_dotprod(long rounds) {
  const int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(2);
  const int32x4_t start = vdupq_n_s32(0);
#define STEP(i) c##i = vdotq_s32(c##i, a, b);
  RUN(int32x4_t, STEP, 16)
#undef STEP
}
TARGET("arch=armv8.2-a+i8mm") static double neon_i8mm(long rounds) {
  const int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(2);
  const int32x4_t start = vdupq_n_s32(0);
#define STEP(i) c##i = vmmlaq_s32(c##i, a, b);
  RUN(int32x4_t, STEP, 32)
#undef STEP
}
TARGET("arch=armv8.2-a+bf16") static double neon_bf16(long rounds) {
  const bfloat16x8_t a = vreinterpretq_bf16_u16(vdupq_n_u16(0x3f81)), b = a;
  const float32x4_t start = vdupq_n_f32(1);
#define STEP(i) c##i = vbfdotq_f32(c##i, a, b);
  RUN(float32x4_t, STEP, 8)
#undef STEP
}
static double neon_fma(long rounds) {
  const float32x4_t a = vdupq_n_f32(0.5f), b = vdupq_n_f32(1);
  const float32x4_t start = vdupq_n_f32(1);
#define STEP(i) c##i = vfmaq_f32(c##i, a, b);
  RUN(float32x4_t, STEP, 4)
#undef STEP
}

static const struct { const char *name; int (*has)(void); Peak run; } peaks[] = {
  {"neon_dotprod", has_dotprod, neon_dotprod}, {"neon_i8mm", has_i8mm, neon_i8mm}, {"neon_bf16", has_bf16, neon_bf16},
  {"neon_fma", has_fma, neon_fma},
};
#else
#error "expected x86-64 or aarch64"
#endif

enum { PEAKS = sizeof peaks / sizeof *peaks };
