// SPDX-License-Identifier: Apache-2.0
// The specification of norm, rotation, activation and the small vector loops.
#include <math.h>

#include "../tiers.h"

void rms_norm__scalar(float *y, const float *x, const float *w, size_t n, float eps) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
  float inverse = (float)(1.0 / sqrt(sum / (double)n + eps));
  for (size_t i = 0; i < n; i++) y[i] = w[i] * (x[i] * inverse);
}

void layer_norm__scalar(float *y, const float *x, const float *w, const float *b, size_t n, float eps) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++) sum += x[i];
  double mean = sum / (double)n;
  for (size_t i = 0; i < n; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
  double inverse = 1.0 / sqrt(squares / (double)n + eps);
  for (size_t i = 0; i < n; i++) y[i] = w[i] * (float)(((double)x[i] - mean) * inverse) + (b ? b[i] : 0);
}

void rope__scalar(float *x, const float *cos_sin, size_t heads, size_t stride, size_t d) {
  size_t half = d / 2;
  for (size_t h = 0; h < heads; h++, x += stride)
    for (size_t i = 0; i < half; i++) {
      float a = x[i], b = x[i + half], c = cos_sin[i], s = cos_sin[half + i];
      x[i] = a * c - b * s;
      x[i + half] = b * c + a * s;
    }
}

void swiglu__scalar(float *y, const float *gate, const float *up, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static float gelu_of(float x) { return x / (1.0f + expf(-1.5957691216f * (x + 0.044715f * x * x * x))); }

void geglu__scalar(float *y, const float *gate, const float *up, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = gelu_of(gate[i]) * up[i];
}

void gelu__scalar(float *y, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = gelu_of(x[i]);
}

void softcap__scalar(float *y, float cap, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = cap * tanhf(y[i] / cap);
}

void add__scalar(float *y, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += x[i];
}

void scale__scalar(float *y, float s, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] *= s;
}

size_t argmax__scalar(const float *x, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (x[i] > x[best] || (isnan(x[best]) && !isnan(x[i]))) best = i;
  return best;
}

void block_maxima__scalar(float *y, const float *x, size_t n) {
  for (size_t begin = 0; begin < n; begin += WEFT_MAXIMA_BLOCK) {
    float top = -INFINITY;
    for (size_t i = begin; i < n && i < begin + WEFT_MAXIMA_BLOCK; i++) top = x[i] > top ? x[i] : top;
    *y++ = top;
  }
}
