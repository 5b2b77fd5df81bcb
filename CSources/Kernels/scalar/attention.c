// SPDX-License-Identifier: Apache-2.0
// The specification of attention over a blocked KV cache. Keys of a block are [head_dim][16], values [16][padded head_dim];
// q8_0 has scales [blocks of 32 dimensions][16] behind either.
#include <math.h>

#include "../float16.h"
#include "../tiers.h"

enum { CHUNK = 64 };

static size_t padded(size_t head_dim) { return (head_dim + WEFT_TILE - 1) / WEFT_TILE * WEFT_TILE; }

static float load(const void *p, size_t i, int format) {
  if (format == WEFT_Q8_0) return ((const int8_t *)p)[i];
  return format == WEFT_F16 ? f16_to_f32(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

// The scale of a token's dimension i, `elements` int8 behind p.
static float scale_of(const void *p, size_t elements, size_t i, size_t slot, int format) {
  if (format != WEFT_Q8_0) return 1;
  return f16_to_f32(((const uint16_t *)((const int8_t *)p + elements))[i / WEFT_BLOCK * WEFT_KV_BLOCK + slot]);
}

static float score(const void *block, const float *query, size_t d, size_t slot, int format) {
  float dot = 0;
  if (format != WEFT_Q8_0) {
    for (size_t i = 0; i < d; i++) dot = fmaf(load(block, i * WEFT_KV_BLOCK + slot, format), query[i], dot);
    return dot;
  }
  for (size_t begin = 0; begin < d; begin += WEFT_BLOCK) {
    float part = 0;
    for (size_t i = begin; i < d && i < begin + WEFT_BLOCK; i++)
      part = fmaf(load(block, i * WEFT_KV_BLOCK + slot, format), query[i], part);
    dot = fmaf(part, scale_of(block, d * WEFT_KV_BLOCK, begin, slot, format), dot);
  }
  return dot;
}

static const void *block_of(const void *base, const weft_attention_task *task, size_t position) {
  return (const char *)base + (size_t)task->block_table[position / WEFT_KV_BLOCK] * task->block_stride;
}

// Keys [first, end); chunks begin at multiples of CHUNK, whatever `first` is.
static void attend(float *out, const float *query, size_t first, size_t end, const weft_attention_task *task, int format) {
  size_t d = task->head_dim;
  float largest = -INFINITY, total = 0;
  for (size_t i = 0; i < d; i++) out[i] = 0;
  for (size_t begin = first; begin < end; begin = (begin / CHUNK + 1) * CHUNK) {
    size_t left = CHUNK - begin % CHUNK, count = end - begin < left ? end - begin : left;
    float scores[CHUNK], previous = largest;
    for (size_t j = 0; j < count; j++) {
      const void *block = block_of(task->keys, task, begin + j);
      scores[j] = score(block, query, d, (begin + j) % WEFT_KV_BLOCK, format) * task->scale;
      if (task->softcap > 0) scores[j] = task->softcap * tanhf(scores[j] / task->softcap);
      largest = fmaxf(largest, scores[j]);
    }
    float correction = expf(previous - largest);
    total *= correction;
    for (size_t i = 0; i < d; i++) out[i] *= correction;
    for (size_t j = 0; j < count; j++) {
      float p = expf(scores[j] - largest);
      const void *block = block_of(task->values, task, begin + j);
      size_t slot = (begin + j) % WEFT_KV_BLOCK;
      total += p;
      for (size_t i = 0; i < d; i++) {
        float weight = p * scale_of(block, padded(d) * WEFT_KV_BLOCK, i, slot, format);
        out[i] = fmaf(load(block, slot * padded(d) + i, format), weight, out[i]);
      }
    }
  }
  for (size_t i = 0; i < d; i++) out[i] /= total;
}

static void attention(const weft_attention_task *task, int format) {
  for (size_t row = 0; row < task->rows; row++) {
    size_t end = task->first_position + row + 1, first = task->window != 0 && end > task->window ? end - task->window : 0;
    for (size_t h = 0; h < task->group; h++)
      attend(task->out + row * task->out_stride + h * task->head_dim,
             task->query + row * task->query_stride + h * task->head_dim, first, end, task, format);
  }
}

void attention_f32__scalar(const weft_attention_task *task) { attention(task, WEFT_F32); }
void attention_f16__scalar(const weft_attention_task *task) { attention(task, WEFT_F16); }
void attention_q8_0__scalar(const weft_attention_task *task) { attention(task, WEFT_Q8_0); }

void kv_store_f32__scalar(void *keys, void *values, const float *k, const float *v, size_t head_dim, size_t slot) {
  for (size_t i = 0; i < head_dim; i++) {
    ((float *)keys)[i * WEFT_KV_BLOCK + slot] = k[i];
    ((float *)values)[slot * padded(head_dim) + i] = v[i];
  }
}

void kv_store_f16__scalar(void *keys, void *values, const float *k, const float *v, size_t head_dim, size_t slot) {
  for (size_t i = 0; i < head_dim; i++) {
    ((uint16_t *)keys)[i * WEFT_KV_BLOCK + slot] = f32_to_f16(k[i]);
    ((uint16_t *)values)[slot * padded(head_dim) + i] = f32_to_f16(v[i]);
  }
}

// One token's d values to every `step`-th int8 from q on, and their scales.
static void store_q8_0(int8_t *q, size_t step, uint16_t *scales, const float *x, size_t d) {
  for (size_t begin = 0; begin < d; begin += WEFT_BLOCK) {
    size_t end = d - begin < WEFT_BLOCK ? d : begin + WEFT_BLOCK;
    float largest = 0;
    for (size_t i = begin; i < end; i++) largest = fmaxf(largest, fabsf(x[i]));
    uint16_t half = f32_to_f16(fminf(largest / 127.0f, 65504.0f));
    float scale = f16_to_f32(half), inverse = scale > 0 ? 1.0f / scale : 0;
    scales[begin / WEFT_BLOCK * WEFT_KV_BLOCK] = half;
    for (size_t i = begin; i < end; i++) q[i * step] = (int8_t)rintf(fminf(fmaxf(x[i] * inverse, -127), 127));
  }
}

void kv_store_q8_0__scalar(void *keys, void *values, const float *k, const float *v, size_t head_dim, size_t slot) {
  int8_t *key = keys, *value = values;
  store_q8_0(key + slot, WEFT_KV_BLOCK, (uint16_t *)(key + head_dim * WEFT_KV_BLOCK) + slot, k, head_dim);
  store_q8_0(value + slot * padded(head_dim), 1, (uint16_t *)(value + padded(head_dim) * WEFT_KV_BLOCK) + slot, v, head_dim);
}
