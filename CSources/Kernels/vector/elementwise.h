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

void NAME(rope)(float *x, const float *cos_sin, size_t heads, size_t d) {
  size_t half = d / 2;
  for (size_t h = 0; h < heads; h++, x += d) {
    float *restrict low = x, *restrict high = x + half;
    for (size_t i = 0; i < half; i++) {
      float a = low[i], b = high[i], c = cos_sin[i], s = cos_sin[half + i];
      low[i] = a * c - b * s;
      high[i] = b * c + a * s;
    }
  }
}

INLINE vf16 swiglu_vector(vf16 gate, vf16 up) { return gate / (1.0f + vector_exp(-gate)) * up; }

void NAME(swiglu)(float *y, const float *gate, const float *up, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    vf16 v = swiglu_vector(vector_load(gate, i, WEFT_F32), vector_load(up, i, WEFT_F32));
    vector_store(y + i, &v);
  }
  if (i < n) {
    float tail[3][16] = {{0}};
    memcpy(tail[0], gate + i, (n - i) * 4);
    memcpy(tail[1], up + i, (n - i) * 4);
    vf16 v = swiglu_vector(vector_load(tail[0], 0, WEFT_F32), vector_load(tail[1], 0, WEFT_F32));
    vector_store(tail[2], &v);
    memcpy(y + i, tail[2], (n - i) * 4);
  }
}

void NAME(add)(float *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += x[i];
}

void NAME(scale)(float *y, float s, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] *= s;
}

void NAME(quantize_q8)(void *xq, const float *x, size_t cols, size_t begin, size_t end) {
  int8_t *q = xq;
  size_t blocks = cols / WEFT_BLOCK;
  float *scales = (float *)(q + cols);
  int32_t *sums = (int32_t *)(scales + blocks);
  for (size_t c = begin; c < end; c += WEFT_BLOCK) {
    vf16 low = vector_load(x, c, WEFT_F32), high = vector_load(x, c + 16, WEFT_F32);
    float largest = vector_largest(__builtin_elementwise_max(__builtin_elementwise_abs(low), __builtin_elementwise_abs(high)));
    float inverse = largest > 0x1p-120f ? 127.0f / largest : 0;
    vi16 first = __builtin_convertvector(__builtin_elementwise_roundeven(low * inverse), vi16);
    vi16 second = __builtin_convertvector(__builtin_elementwise_roundeven(high * inverse), vi16);
    typedef int8_t vb16 __attribute__((vector_size(16)));
    vb16 bytes[2] = {__builtin_convertvector(first, vb16), __builtin_convertvector(second, vb16)};
    memcpy(q + c, bytes, 32);
    scales[c / WEFT_BLOCK] = largest / 127.0f;
    sums[c / WEFT_BLOCK] = -__builtin_reduce_add(first + second);
  }
}
