// SPDX-License-Identifier: Apache-2.0
// Norm, rotation, activation and small loops. Included by a tier, which defines NAME, inside its target region.

// Sums of x - mean, or of its squares, in four registers, so that no addition waits for the one before.
INLINE float sum_of(const float *x, size_t n, float mean, const int squares) {
  vf16 sums[4] = {{0}, {0}, {0}, {0}};
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    UNROLL for (size_t k = 0; k < 4; k++) {
      vf16 v = vector_load(x, i + k * 16, WEFT_F32) - mean;
      sums[k] = squares ? vector_fma(v, v, sums[k]) : sums[k] + v;
    }
  }
  for (; i + 16 <= n; i += 16) {
    vf16 v = vector_load(x, i, WEFT_F32) - mean;
    sums[0] = squares ? vector_fma(v, v, sums[0]) : sums[0] + v;
  }
  float sum = vector_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < n; i++) sum += squares ? (x[i] - mean) * (x[i] - mean) : x[i] - mean;
  return sum;
}

void NAME(rms_norm)(float *y, const float *x, const float *w, size_t n, float eps) {
  const float inverse = 1.0f / __builtin_sqrtf(sum_of(x, n, 0, 1) / (float)n + eps);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    vf16 v = vector_load(w, i, WEFT_F32) * (vector_load(x, i, WEFT_F32) * inverse);
    vector_store(y + i, &v);
  }
  for (; i < n; i++) y[i] = w[i] * (x[i] * inverse);
}

// Two passes: the mean first, so that a large mean costs the variance no digits.
void NAME(layer_norm)(float *y, const float *x, const float *w, const float *b, size_t n, float eps) {
  const float mean = sum_of(x, n, 0, 0) / (float)n;
  const float inverse = 1.0f / __builtin_sqrtf(sum_of(x, n, mean, 1) / (float)n + eps);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    vf16 v = vector_load(w, i, WEFT_F32) * ((vector_load(x, i, WEFT_F32) - mean) * inverse);
    if (b) v += vector_load(b, i, WEFT_F32);
    vector_store(y + i, &v);
  }
  for (; i < n; i++) y[i] = w[i] * ((x[i] - mean) * inverse) + (b ? b[i] : 0);
}

void NAME(rope)(float *x, const float *cos_sin, size_t heads, size_t stride, size_t d) {
  const size_t half = d / 2;
  for (size_t h = 0; h < heads; h++, x += stride) {
    size_t i = 0;
    for (; i + 16 <= half; i += 16) {
      const vf16 a = vector_load(x, i, WEFT_F32), b = vector_load(x, half + i, WEFT_F32);
      const vf16 c = vector_load(cos_sin, i, WEFT_F32), s = vector_load(cos_sin, half + i, WEFT_F32);
      const vf16 low = vector_fma(a, c, -(b * s)), high = vector_fma(b, c, a * s);
      vector_store(x + i, &low);
      vector_store(x + half + i, &high);
    }
    for (; i < half; i++) {
      const float a = x[i], b = x[half + i], c = cos_sin[i], s = cos_sin[half + i];
      x[i] = __builtin_fmaf(a, c, -(b * s));
      x[half + i] = __builtin_fmaf(b, c, a * s);
    }
  }
}

INLINE vf16 silu_vector(vf16 x) { return x / (1.0f + vector_exp(-x)); }
INLINE vf16 gelu_vector(vf16 x) { return x / (1.0f + vector_exp(-1.5957691216f * (x + 0.044715f * x * x * x))); }

// y[i] = f(a[i], b[i]) over all n, the tail through a padded copy.
#define MAP(y, a, b, n, f)                            \
  size_t i = 0;                                       \
  for (; i + 16 <= n; i += 16) {                      \
    vf16 va = vector_load(a, i, WEFT_F32);            \
    vf16 vb = vector_load(b, i, WEFT_F32);            \
    (void)vb;                                         \
    vf16 v = f;                                       \
    vector_store(y + i, &v);                          \
  }                                                   \
  if (i < n) {                                        \
    float tail[3][16] = {{0}};                        \
    memcpy(tail[0], a + i, (n - i) * 4);              \
    memcpy(tail[1], b + i, (n - i) * 4);              \
    vf16 va = vector_load(tail[0], 0, WEFT_F32);      \
    vf16 vb = vector_load(tail[1], 0, WEFT_F32);      \
    (void)vb;                                         \
    vf16 v = f;                                       \
    vector_store(tail[2], &v);                        \
    memcpy(y + i, tail[2], (n - i) * 4);              \
  }

void NAME(swiglu)(float *y, const float *gate, const float *up, size_t n) { MAP(y, gate, up, n, silu_vector(va) * vb) }
void NAME(geglu)(float *y, const float *gate, const float *up, size_t n) { MAP(y, gate, up, n, gelu_vector(va) * vb) }
void NAME(gelu)(float *y, const float *x, size_t n) { MAP(y, x, x, n, gelu_vector(va)) }
void NAME(softcap)(float *y, float cap, size_t n) { MAP(y, y, y, n, cap * vector_tanh(va / cap)) }
#undef MAP

void NAME(add)(float *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += x[i];
}

void NAME(scale)(float *y, float s, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] *= s;
}

// The largest value first, then its place: a pass that keeps both waits for itself.
size_t NAME(argmax)(const float *x, size_t n) {
  const vf16 lowest = vector_broadcast(-__builtin_inff());
  vf16 tops[4] = {lowest, lowest, lowest, lowest};
  size_t i = 0;
  for (; i + 64 <= n; i += 64)
    UNROLL for (size_t k = 0; k < 4; k++) tops[k] = vector_larger(vector_load(x, i + k * 16, WEFT_F32), tops[k]);
  for (; i + 16 <= n; i += 16) tops[0] = vector_larger(vector_load(x, i, WEFT_F32), tops[0]);
  float top = vector_largest(vector_larger(vector_larger(tops[0], tops[1]), vector_larger(tops[2], tops[3])));
  for (; i < n; i++) top = x[i] > top ? x[i] : top;
  for (i = 0; i + 16 <= n; i += 16) {
    const vi16 found = vector_load(x, i, WEFT_F32) == vector_broadcast(top);
    if (__builtin_reduce_or(found)) break;
  }
  for (; i < n; i++)
    if (x[i] == top) return i;
  return 0;
}

void NAME(block_maxima)(float *y, const float *x, size_t n) {
  size_t begin = 0;
  for (; begin + WEFT_MAXIMA_BLOCK <= n; begin += WEFT_MAXIMA_BLOCK) {
    vf16 tops = vector_broadcast(-__builtin_inff());
    UNROLL for (size_t i = 0; i < WEFT_MAXIMA_BLOCK; i += 16) tops = vector_larger(vector_load(x, begin + i, WEFT_F32), tops);
    *y++ = vector_largest(tops);
  }
  if (begin == n) return;
  float top = -__builtin_inff();
  for (size_t i = begin; i < n; i++) top = x[i] > top ? x[i] : top;
  *y = top;
}
