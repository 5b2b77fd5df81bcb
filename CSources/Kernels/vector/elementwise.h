// SPDX-License-Identifier: Apache-2.0
// Norm, rotation, activation and small loops. Included by a tier, which defines NAME, inside its target region.

void NAME(rms_norm)(float *y, const float *x, const float *w, size_t n, float eps) {
  vf16 squares = vector_broadcast(0);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    vf16 v = vector_load(x, i, WEFT_F32);
    squares = vector_fma(v, v, squares);
  }
  float sum = vector_sum(squares);
  for (size_t j = i; j < n; j++) sum += x[j] * x[j];
  float inverse = 1.0f / __builtin_sqrtf(sum / (float)n + eps);
  for (size_t j = 0; j < n; j++) y[j] = w[j] * (x[j] * inverse);
}

// Two passes: the mean first, so that a large mean costs the variance no digits.
void NAME(layer_norm)(float *y, const float *x, const float *w, const float *b, size_t n, float eps) {
  vf16 sums = vector_broadcast(0), squares = vector_broadcast(0);
  size_t i = 0, whole = n / 16 * 16;
  for (; i < whole; i += 16) sums += vector_load(x, i, WEFT_F32);
  float sum = vector_sum(sums);
  for (; i < n; i++) sum += x[i];
  float mean = sum / (float)n;
  for (i = 0; i < whole; i += 16) {
    vf16 v = vector_load(x, i, WEFT_F32) - mean;
    squares = vector_fma(v, v, squares);
  }
  float square = vector_sum(squares);
  for (; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
  float inverse = 1.0f / __builtin_sqrtf(square / (float)n + eps);
  for (size_t j = 0; j < n; j++) y[j] = w[j] * ((x[j] - mean) * inverse) + (b ? b[j] : 0);
}

void NAME(rope)(float *x, const float *cos_sin, size_t heads, size_t stride, size_t d) {
  size_t half = d / 2;
  for (size_t h = 0; h < heads; h++, x += stride) {
    float *restrict low = x, *restrict high = x + half;
    for (size_t i = 0; i < half; i++) {
      float a = low[i], b = high[i], c = cos_sin[i], s = cos_sin[half + i];
      low[i] = a * c - b * s;
      high[i] = b * c + a * s;
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
