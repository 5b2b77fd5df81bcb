// SPDX-License-Identifier: Apache-2.0
// The specification of attention over a blocked KV cache. Keys of a block are [head_dim][16], values [16][padded head_dim].
#include <math.h>

#include "../float16.h"
#include "../tiers.h"

enum { CHUNK = 64 };

static size_t padded(size_t head_dim) { return (head_dim + WEFT_TILE - 1) / WEFT_TILE * WEFT_TILE; }

static float load(const void *p, size_t i, int half) {
  return half ? f16_to_f32(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

static const void *block_of(const void *base, const weft_attention_task *task, size_t position) {
  return (const char *)base + (size_t)task->block_table[position / WEFT_KV_BLOCK] * task->block_stride;
}

// Keys [first, end); chunks begin at multiples of CHUNK, whatever `first` is.
static void attend(float *out, const float *query, size_t first, size_t end, const weft_attention_task *task, int half) {
  size_t d = task->head_dim;
  float largest = -INFINITY, total = 0;
  for (size_t i = 0; i < d; i++) out[i] = 0;
  for (size_t begin = first; begin < end; begin = (begin / CHUNK + 1) * CHUNK) {
    size_t left = CHUNK - begin % CHUNK, count = end - begin < left ? end - begin : left;
    float scores[CHUNK], previous = largest;
    for (size_t j = 0; j < count; j++) {
      const void *block = block_of(task->keys, task, begin + j);
      float dot = 0;
      for (size_t i = 0; i < d; i++)
        dot = fmaf(load(block, i * WEFT_KV_BLOCK + (begin + j) % WEFT_KV_BLOCK, half), query[i], dot);
      scores[j] = dot * task->scale;
      if (task->softcap > 0) scores[j] = task->softcap * tanhf(scores[j] / task->softcap);
      largest = fmaxf(largest, scores[j]);
    }
    float correction = expf(previous - largest);
    total *= correction;
    for (size_t i = 0; i < d; i++) out[i] *= correction;
    for (size_t j = 0; j < count; j++) {
      float p = expf(scores[j] - largest);
      const void *block = block_of(task->values, task, begin + j);
      total += p;
      for (size_t i = 0; i < d; i++) out[i] = fmaf(load(block, (begin + j) % WEFT_KV_BLOCK * padded(d) + i, half), p, out[i]);
    }
  }
  for (size_t i = 0; i < d; i++) out[i] /= total;
}

static void attention(const weft_attention_task *task, int half) {
  for (size_t row = 0; row < task->rows; row++) {
    size_t end = task->first_position + row + 1, first = task->window != 0 && end > task->window ? end - task->window : 0;
    for (size_t h = 0; h < task->group; h++)
      attend(task->out + row * task->out_stride + h * task->head_dim,
             task->query + row * task->query_stride + h * task->head_dim, first, end, task, half);
  }
}

void attention_f32__scalar(const weft_attention_task *task) { attention(task, 0); }
void attention_f16__scalar(const weft_attention_task *task) { attention(task, 1); }

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
