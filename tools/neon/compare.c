// SPDX-License-Identifier: Apache-2.0
// The kernels of the NEON tiers against scalar, on random data: products bit for bit, over shapes with tails; the others within
// bounds. Built and run by tools/test_neon.sh; prints what differs, and returns 1 then. Arguments are the names of the tiers that this
// processor is expected to have, no more and no less.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../CSources/Kernels/include/encode.h"
#include "../../CSources/Kernels/include/kernels.h"

static weft_kernels scalar, neon;
static int failures, checks;
static uint64_t state = 1;

static uint64_t next(void) {
  uint64_t word = state += 0x9E3779B97F4A7C15u;
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
  return word ^ (word >> 31);
}
static float uniform(void) { return (float)(next() >> 40) * 0x1p-23f - 1; }
static float *floats(size_t n) {
  float *x = calloc(n, 4);
  for (size_t i = 0; i < n; i++) x[i] = uniform();
  return x;
}

static void expect(int ok, const char *what, size_t a, size_t b, size_t c) {
  checks++;
  if (!ok && failures++ < 20) printf("%s differs: %zu, %zu, %zu\n", what, a, b, c);
}

// The bytes of a block in files, and where its 16-bit floats are: -1 for none.
typedef struct weight_format {
  const char *name;
  int format;
  size_t elements, bytes;
  int halves[2];
  void(*neon) WEFT_MATMUL, (*scalar)WEFT_MATMUL;
} weight_format;

// Random bytes whose scales are small and finite; no ternary code 2.
static uint8_t *random_rows(const weight_format *f, size_t rows, size_t cols) {
  size_t n = rows * cols / f->elements * f->bytes;
  uint8_t *w = calloc(n, 1);
  for (size_t i = 0; i < n; i++) w[i] = (uint8_t)next();
  if (f->format <= WEFT_BF16) {
    float *x = floats(rows * cols);
    weft_round_row(w, f->format, x, rows * cols);
    free(x);
  }
  for (size_t b = 0; b < n; b += f->bytes) {
    for (int i = 0; i < 2 && f->halves[i] >= 0; i++) {
      float value = uniform() * 0.02f;
      weft_round_row(w + b + f->halves[i], WEFT_F16, &value, 1);
    }
    if (f->format == WEFT_MXFP4) w[b] = (uint8_t)(118 + next() % 4);
    if (f->format == WEFT_TERNARY) w[b] &= (uint8_t)~(w[b] & ~(w[b] << 1) & 0xAA);
  }
  return w;
}

static void products(const weight_format *f) {
  size_t unit = f->format <= WEFT_BF16 ? 1 : f->elements < 32 ? 32 : f->elements;
  for (size_t blocks = 1; blocks <= 11; blocks += 5)
    for (size_t tiles = 1; tiles <= 3; tiles++) {
      size_t cols = blocks * unit, rows = tiles * 16 - 5, n = 17, stride = tiles * 16 + 3;
      uint8_t *w = random_rows(f, rows, cols), *packed = calloc(weft_packed_bytes(f->format, rows, cols), 1);
      weft_pack(packed, f->format, w, cols / f->elements * f->bytes, rows, cols, 0, tiles, NULL);
      float *x = floats(n * cols), *before = floats(n * stride);
      weft_block_q8 *q = calloc(n * (cols / 32 + 1), sizeof *q), *other = calloc(n * (cols / 32 + 1), sizeof *q);
      size_t step = (cols / 32 + 1) * sizeof *q;
      const void *in = x;
      if (f->format > WEFT_BF16) {
        for (size_t r = 0; r < n; r++) {
          scalar.quantize_q8((void *)((char *)q + r * step), x + r * cols, 0, cols);
          neon.quantize_q8((void *)((char *)other + r * step), x + r * cols, 0, cols);
        }
        expect(memcmp(q, other, n * step) == 0, "quantize_q8", cols, n, 0);
        in = q;
      } else if (f->scalar == scalar.matmul_bf16_dot) {
        for (size_t r = 0; r < n; r++) {
          scalar.round_bf16((void *)((char *)q + r * step), x + r * cols, 0, cols);
          neon.round_bf16((void *)((char *)other + r * step), x + r * cols, 0, cols);
        }
        expect(memcmp(q, other, n * step) == 0, "round_bf16", cols, n, 0);
        in = q;
      } else {
        step = cols * 4;
      }
      for (int accumulate = 0; accumulate < 2; accumulate++)
        for (size_t count = 1; count <= n; count += count == 13 ? 4 : 1) {
          float *one = malloc(n * stride * 4), *two = malloc(n * stride * 4);
          memcpy(one, before, n * stride * 4);
          memcpy(two, before, n * stride * 4);
          f->scalar(one, stride, packed, in, step, cols, 0, tiles, count, accumulate);
          f->neon(two, stride, packed, in, step, cols, 0, tiles, count, accumulate);
          expect(memcmp(one, two, n * stride * 4) == 0, f->name, cols, tiles, count);
          free(one), free(two);
        }
      free(w), free(packed), free(x), free(before), free(q), free(other);
    }
}

static void narrow(const weight_format *f, void(*fast) WEFT_EXPAND, void(*plain) WEFT_EXPAND) {
  const size_t ranks[] = {1, 3, 4, 7, 8, 12, 16, 20, 31, 32, 33, 64, 100};
  for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
    for (size_t tiles = 1; tiles <= 4; tiles++) {
      size_t rank = ranks[i], rows = tiles * 16 - 5, n = 6, stride = tiles * 16 + 3;
      size_t cols = (rank + f->elements - 1) / f->elements * f->elements;
      uint8_t *w = random_rows(f, rows, cols), *packed = calloc(weft_narrow_bytes(f->format, rows, rank), 1);
      weft_pack_narrow(packed, f->format, w, cols / f->elements * f->bytes, rows, rank);
      float *u = floats(n * (rank + 2)), *before = floats(n * stride);
      for (size_t begin = 0; begin < tiles; begin++) {
        float *one = malloc(n * stride * 4), *two = malloc(n * stride * 4);
        memcpy(one, before, n * stride * 4);
        memcpy(two, before, n * stride * 4);
        plain(one, stride, packed, u, rank + 2, rank, tiles, begin, tiles, n);
        fast(two, stride, packed, u, rank + 2, rank, tiles, begin, tiles, n);
        expect(memcmp(one, two, n * stride * 4) == 0, "narrow", rank, tiles, begin);
        free(one), free(two);
      }
      free(w), free(packed), free(u), free(before);
    }
}

// Largest difference relative to the largest number.
static float error(const float *a, const float *b, size_t n) {
  float difference = 0, largest = 0;
  for (size_t i = 0; i < n; i++) {
    difference = fmaxf(difference, fabsf(a[i] - b[i]));
    largest = fmaxf(largest, fabsf(b[i]));
  }
  return isfinite(difference) ? difference / fmaxf(largest, 1e-30f) : INFINITY;
}

static void elementwise(void) {
  for (size_t n = 1; n <= 100; n += 11) {
    float *x = floats(n), *w = floats(n), *a = calloc(n, 4), *b = calloc(n, 4);
#define SAME(bound, name, ...)                                        \
  memcpy(a, x, n * 4), memcpy(b, x, n * 4);                           \
  { float *y = a; (void)y; scalar.name(__VA_ARGS__); }                \
  { float *y = b; (void)y; neon.name(__VA_ARGS__); }                  \
  expect(error(b, a, n) <= (bound), #name, n, 0, 0);
    SAME(1e-6f, rms_norm, y, x, w, n, 1e-5f)
    SAME(2e-6f, layer_norm, y, x, w, w, n, 1e-5f)
    SAME(1e-6f, swiglu, y, x, w, n)
    SAME(1e-6f, geglu, y, x, w, n)
    SAME(1e-6f, gelu, y, x, n)
    SAME(1e-6f, softcap, y, 3, n)
    SAME(0, add, y, w, n)
    SAME(0, scale, y, 1.7f, n)
    for (size_t i = 0; i < n; i++) x[i] = (float)(next() % 9);
    expect(scalar.argmax(x, n) == neon.argmax(x, n), "argmax", n, 0, 0);
    scalar.block_maxima(a, x, n), neon.block_maxima(b, x, n);
    expect(memcmp(a, b, (n + 63) / 64 * 4) == 0, "block_maxima", n, 0, 0);
#undef SAME
    free(x), free(w), free(a), free(b);
  }
}

static void attention(void) {
  const size_t head_dims[] = {12, 32, 64, 80};
  for (int kind = 0; kind < 3; kind++)
    for (size_t i = 0; i < 4; i++) {
      size_t d = head_dims[i], padded = (d + 15) / 16 * 16, tokens = 75, group = 3, rows = 5;
      size_t key_bytes = kind == 2 ? d * 16 + (d + 31) / 32 * 32 : d * 16 * (kind == 0 ? 4 : 2);
      size_t value_bytes = kind == 2 ? padded * 16 + (d + 31) / 32 * 32 : padded * 16 * (kind == 0 ? 4 : 2);
      size_t stride = (key_bytes + value_bytes + 63) / 64 * 64, blocks = (tokens + 15) / 16;
      char *one = calloc(blocks, stride), *two = calloc(blocks, stride);
      int32_t table[8] = {4, 2, 0, 1, 3};
      for (size_t t = 0; t < tokens; t++) {
        float *k = floats(d), *v = floats(d);
        size_t at = (size_t)table[t / 16] * stride;
        void(*store[2])(void *, void *, const float *, const float *, size_t, size_t) = {
            kind == 0 ? scalar.kv_store_f32 : kind == 1 ? scalar.kv_store_f16 : scalar.kv_store_q8_0,
            kind == 0 ? neon.kv_store_f32 : kind == 1 ? neon.kv_store_f16 : neon.kv_store_q8_0};
        store[0](one + at, one + at + key_bytes, k, v, d, t % 16);
        store[1](two + at, two + at + key_bytes, k, v, d, t % 16);
        free(k), free(v);
      }
      expect(memcmp(one, two, blocks * stride) == 0, "kv_store", (size_t)kind, d, 0);
      float *query = floats(rows * group * d), *a = calloc(rows * group * d, 4), *b = calloc(rows * group * d, 4);
      for (size_t window = 0; window <= 40; window += 20) {
        weft_attention_task task = {a, query, group * d, group * d, rows, group, d, tokens - rows, window, table,
                                    one, one + key_bytes, stride, 0.3f, window == 20 ? 5.0f : 0};
        (kind == 0 ? scalar.attention_f32 : kind == 1 ? scalar.attention_f16 : scalar.attention_q8_0)(&task);
        task.out = b;
        (kind == 0 ? neon.attention_f32 : kind == 1 ? neon.attention_f16 : neon.attention_q8_0)(&task);
        expect(error(b, a, rows * group * d) <= 1e-5f, "attention", (size_t)kind, d, window);
      }
      free(one), free(two), free(query), free(a), free(b);
    }
}

static int run(int isa) {
  failures = checks = 0;
  neon = weft_kernels_for(isa);
#define FORMAT(name, format, elements, bytes, half, other) \
  {#name, format, elements, bytes, {half, other}, neon.matmul_##name, scalar.matmul_##name}
  const weight_format formats[] = {
      FORMAT(f32, WEFT_F32, 1, 4, -1, -1),           FORMAT(f16, WEFT_F16, 1, 2, -1, -1),
      FORMAT(bf16, WEFT_BF16, 1, 2, -1, -1),         FORMAT(q8_0, WEFT_Q8_0, 32, 34, 0, -1),
      FORMAT(q4_0, WEFT_Q4_0, 32, 18, 0, -1),        FORMAT(q4_1, WEFT_Q4_1, 32, 20, 0, 2),
      FORMAT(q5_0, WEFT_Q5_0, 32, 22, 0, -1),        FORMAT(q5_1, WEFT_Q5_1, 32, 24, 0, 2),
      FORMAT(q2_k, WEFT_Q2_K, 256, 84, 80, 82),      FORMAT(q3_k, WEFT_Q3_K, 256, 110, 108, -1),
      FORMAT(q4_k, WEFT_Q4_K, 256, 144, 0, 2),       FORMAT(q5_k, WEFT_Q5_K, 256, 176, 0, 2),
      FORMAT(q6_k, WEFT_Q6_K, 256, 210, 208, -1),    FORMAT(iq4_nl, WEFT_IQ4_NL, 32, 18, 0, -1),
      FORMAT(iq4_xs, WEFT_IQ4_XS, 256, 136, 0, -1),  FORMAT(tq2_0, WEFT_TQ2_0, 256, 66, 64, -1),
      FORMAT(mxfp4, WEFT_MXFP4, 32, 17, -1, -1),     FORMAT(ternary, WEFT_TERNARY, 4, 1, -1, -1),
      FORMAT(bf16_dot, WEFT_BF16, 1, 2, -1, -1),
  };
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) products(&formats[i]);
  narrow(&formats[3], neon.expand_q8_0, scalar.expand_q8_0);
  narrow(&formats[4], neon.expand_q4_0, scalar.expand_q4_0);
  narrow(&formats[17], neon.expand_ternary, scalar.expand_ternary);
  elementwise();
  attention();
  printf("%s against scalar: %d checks, %d failures\n", neon.isa, checks, failures);
  return failures > 0;
}

int main(int count, char **names) {
  int failed = 0, found = 0;
  scalar = weft_kernels_for(WEFT_ISA_SCALAR);
  for (int isa = WEFT_ISA_NEON; isa < WEFT_ISA_COUNT; isa++) {
    if (!weft_isa_available(isa)) continue;
    const char *name = weft_kernels_for(isa).isa, *expected = ++found < count ? names[found] : "no further tier";
    if (strcmp(name, expected) != 0) return printf("expected %s, found %s\n", expected, name), 1;
    failed |= run(isa);
  }
  if (found + 1 != count) return printf("expected %s, found no further tier\n", names[found + 1]), 1;
  return failed;
}
