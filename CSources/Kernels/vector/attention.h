// SPDX-License-Identifier: Apache-2.0
// Attention over a blocked KV cache. A tier defines NAME and QUERIES (query vectors that share one pass over keys and values:
// 4 x QUERIES + 5 registers of 16 floats) and includes this inside its target region.
//
// Keys are taken in chunks of 64 that begin at multiples of 64, whatever the number of queries, and masked keys add exact
// zeros, whole chunks of them too: a row's result does not depend on its neighbours or on how a prompt was cut.

enum { CHUNK = 64, CHUNK_TILES = CHUNK / WEFT_KV_BLOCK, MAX_HEAD_DIM = 512 };

typedef struct attention_query {
  const float *q;
  float *out;
  size_t first, end;  // the keys that it sees
} attention_query;

// scores = sum over the dimensions [begin, end) of key times query.
INLINE void multiply_keys(vf16 (*scores)[CHUNK_TILES], const attention_query *queries, const void *const *k, size_t begin,
                          size_t end, const int n, const int format) {
  UNROLL for (int r = 0; r < n; r++)
    UNROLL for (int t = 0; t < CHUNK_TILES; t++) scores[r][t] = vector_broadcast(0);
  for (size_t i = begin; i < end; i++) {
    vf16 key[CHUNK_TILES];
    UNROLL for (int t = 0; t < CHUNK_TILES; t++) key[t] = vector_load(k[t], i * WEFT_KV_BLOCK, format);
    UNROLL for (int r = 0; r < n; r++) {
      vf16 value = vector_broadcast(queries[r].q[i]);
      UNROLL for (int t = 0; t < CHUNK_TILES; t++) scores[r][t] = vector_fma(key[t], value, scores[r][t]);
    }
  }
}

INLINE void attend(const attention_query *queries, const weft_attention_task *task, const int n, const int format) {
  const size_t d = task->head_dim, padded = (d + 15) / 16 * 16;
  float out[QUERIES][MAX_HEAD_DIM] __attribute__((aligned(64)));
  float p[QUERIES][CHUNK] __attribute__((aligned(64)));
  float scaled[QUERIES][CHUNK] __attribute__((aligned(64)));  // p times the scales of 32 dimensions of the values
  float(*const weights)[CHUNK] = format == WEFT_Q8_0 ? scaled : p;
  float largest[QUERIES], total[QUERIES], correction[QUERIES];
  size_t first = SIZE_MAX, end = 0;  // keys that some query sees
  UNROLL for (int r = 0; r < n; r++) {
    memset(out[r], 0, padded * 4);
    largest[r] = -__builtin_inff();
    total[r] = 0;
    if (queries[r].first < first) first = queries[r].first;
    if (queries[r].end > end) end = queries[r].end;
  }
  for (size_t begin = first / CHUNK * CHUNK; begin < end; begin += CHUNK) {
    const size_t from = first > begin ? first - begin : 0, count = end - begin < CHUNK ? end - begin : CHUNK;
    const void *k[CHUNK_TILES], *v[CHUNK_TILES];
    for (size_t t = 0; t < CHUNK_TILES; t++) {  // tiles that nobody sees repeat one that is seen; their scores are masked
      const int seen = t * WEFT_KV_BLOCK < count && (t + 1) * WEFT_KV_BLOCK > from;
      size_t block = begin / WEFT_KV_BLOCK + (seen ? t : from / WEFT_KV_BLOCK);
      size_t offset = (size_t)task->block_table[block] * task->block_stride;
      k[t] = (const char *)task->keys + offset;
      v[t] = (const char *)task->values + offset;
    }
    vf16 scores[QUERIES][CHUNK_TILES];
    if (format == WEFT_Q8_0) {
      UNROLL for (int r = 0; r < n; r++)
        UNROLL for (int t = 0; t < CHUNK_TILES; t++) scores[r][t] = vector_broadcast(0);
      for (size_t i = 0; i < d; i += WEFT_BLOCK) {
        vf16 part[QUERIES][CHUNK_TILES];
        multiply_keys(part, queries, k, i, d - i < WEFT_BLOCK ? d : i + WEFT_BLOCK, n, format);
        UNROLL for (int t = 0; t < CHUNK_TILES; t++) {
          vf16 scale = vector_load((const char *)k[t] + d * WEFT_KV_BLOCK, i / WEFT_BLOCK * WEFT_KV_BLOCK, WEFT_F16);
          UNROLL for (int r = 0; r < n; r++) scores[r][t] = vector_fma(part[r][t], scale, scores[r][t]);
        }
      }
    } else {
      multiply_keys(scores, queries, k, 0, d, n, format);
    }
    if (task->softcap > 0) {
      UNROLL for (int r = 0; r < n; r++)
        UNROLL for (int t = 0; t < CHUNK_TILES; t++)
          scores[r][t] = vector_tanh(scores[r][t] * task->scale / task->softcap) * task->softcap;
    } else {
      UNROLL for (int r = 0; r < n; r++)
        UNROLL for (int t = 0; t < CHUNK_TILES; t++) scores[r][t] *= task->scale;
    }
    UNROLL for (int r = 0; r < n; r++) {
      const vi16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
      const size_t past = queries[r].first > begin ? queries[r].first - begin : 0;
      const size_t left = queries[r].end > begin ? queries[r].end - begin : 0;
      if (past > 0 || left < CHUNK) {
        const int32_t lower = (int32_t)(past < CHUNK ? past : CHUNK), upper = (int32_t)(left < CHUNK ? left : CHUNK);
        UNROLL for (int t = 0; t < CHUNK_TILES; t++) {
          vi16 key = lane + t * WEFT_KV_BLOCK;
          scores[r][t] = vector_select((key >= lower) & (key < upper), scores[r][t], vector_broadcast(-__builtin_inff()));
        }
      }
      vf16 top = scores[r][0];
      UNROLL for (int t = 1; t < CHUNK_TILES; t++) top = __builtin_elementwise_max(top, scores[r][t]);
      float previous = largest[r], highest = vector_largest(top);
      largest[r] = highest > previous ? highest : previous;
      // Before its window a row has seen nothing: zeros, not -inf - -inf.
      const float reference = largest[r] == -__builtin_inff() ? 0 : largest[r];
      vf16 sum = vector_broadcast(0);
      UNROLL for (int t = 0; t < CHUNK_TILES; t++) {
        vf16 e = vector_exp(scores[r][t] - reference);
        vector_store(p[r] + t * WEFT_KV_BLOCK, &e);
        sum += e;
      }
      correction[r] = vector_exp(vector_broadcast(previous - reference))[0];
      total[r] = total[r] * correction[r] + vector_sum(sum);
    }
    for (size_t i = 0; i < padded; i += 16) {
      if (format == WEFT_Q8_0 && i % WEFT_BLOCK == 0) {
        UNROLL for (int t = 0; t < CHUNK_TILES; t++) {
          vf16 scale = vector_load((const char *)v[t] + padded * WEFT_KV_BLOCK, i / WEFT_BLOCK * WEFT_KV_BLOCK, WEFT_F16);
          UNROLL for (int r = 0; r < n; r++) {
            vf16 weight = vector_load(p[r], (size_t)t * WEFT_KV_BLOCK, WEFT_F32) * scale;
            vector_store(scaled[r] + t * WEFT_KV_BLOCK, &weight);
          }
        }
      }
      vf16 acc[QUERIES];
      UNROLL for (int r = 0; r < n; r++) acc[r] = vector_load(out[r], i, WEFT_F32) * correction[r];
      for (size_t j = from; j < count; j++) {
        vf16 value = vector_load(v[j / WEFT_KV_BLOCK], j % WEFT_KV_BLOCK * padded + i, format);
        UNROLL for (int r = 0; r < n; r++) acc[r] = vector_fma(value, vector_broadcast(weights[r][j]), acc[r]);
      }
      UNROLL for (int r = 0; r < n; r++) vector_store(out[r] + i, &acc[r]);
    }
  }
  for (int r = 0; r < n; r++) {
    float inverse = 1.0f / total[r];
    for (size_t i = 0; i < d; i++) queries[r].out[i] = out[r][i] * inverse;
  }
}

INLINE void attention(const weft_attention_task *task, const int format) {
  attention_query queries[QUERIES];
  size_t total = task->rows * task->group;
  for (size_t begin = 0; begin < total; begin += QUERIES) {
    size_t n = total - begin < QUERIES ? total - begin : QUERIES;
    for (size_t i = 0; i < n; i++) {
      size_t row = (begin + i) / task->group, head = (begin + i) % task->group;
      queries[i].q = task->query + row * task->query_stride + head * task->head_dim;
      queries[i].out = task->out + row * task->out_stride + head * task->head_dim;
      queries[i].end = task->first_position + row + 1;
      queries[i].first = task->window != 0 && queries[i].end > task->window ? queries[i].end - task->window : 0;
    }
    switch (n) {
      case 1: attend(queries, task, 1, format); break;
      case 2: attend(queries, task, 2, format); break;
#if QUERIES >= 3
      case 3: attend(queries, task, 3, format); break;
#endif
#if QUERIES >= 4
      case 4: attend(queries, task, 4, format); break;
      case 5: attend(queries, task, 5, format); break;
      default: attend(queries, task, 6, format); break;
#endif
    }
  }
}

void NAME(attention_f32)(const weft_attention_task *task) { attention(task, WEFT_F32); }
void NAME(attention_f16)(const weft_attention_task *task) { attention(task, WEFT_F16); }
void NAME(attention_q8_0)(const weft_attention_task *task) { attention(task, WEFT_Q8_0); }

void NAME(kv_store_f32)(void *keys, void *values, const float *k, const float *v, size_t head_dim, size_t slot) {
  float *column = (float *)keys + slot;
  for (size_t i = 0; i < head_dim; i++) column[i * WEFT_KV_BLOCK] = k[i];
  memcpy((float *)values + slot * ((head_dim + 15) / 16 * 16), v, head_dim * 4);
}

void NAME(kv_store_f16)(void *keys, void *values, const float *k, const float *v, size_t head_dim, size_t slot) {
  _Float16 *column = (_Float16 *)keys + slot, *row = (_Float16 *)values + slot * ((head_dim + 15) / 16 * 16);
  for (size_t i = 0; i < head_dim; i++) {
    column[i * WEFT_KV_BLOCK] = (_Float16)k[i];
    row[i] = (_Float16)v[i];
  }
}

// 32 values of one token, or fewer with zeros behind them, to int8; returns their scale.
INLINE _Float16 quantize_kv(int8_t *q, const float *x) {
  vf16 low = vector_load(x, 0, WEFT_F32), high = vector_load(x, 16, WEFT_F32);
  float largest = vector_largest(__builtin_elementwise_max(__builtin_elementwise_abs(low), __builtin_elementwise_abs(high)));
  float limited = largest / 127.0f < 65504.0f ? largest / 127.0f : 65504.0f;
  const _Float16 half = (_Float16)limited;
  const float scale = (float)half, inverse = scale > 0 ? 1.0f / scale : 0;
  const vf16 least = vector_broadcast(-127), most = vector_broadcast(127);
  low = __builtin_elementwise_min(__builtin_elementwise_max(low * inverse, least), most);
  high = __builtin_elementwise_min(__builtin_elementwise_max(high * inverse, least), most);
  vi16 first = __builtin_convertvector(__builtin_elementwise_roundeven(low), vi16);
  vi16 second = __builtin_convertvector(__builtin_elementwise_roundeven(high), vi16);
  vb16 bytes[2] = {__builtin_convertvector(first, vb16), __builtin_convertvector(second, vb16)};
  memcpy(q, bytes, 32);
  return half;
}

void NAME(kv_store_q8_0)(void *keys, void *values, const float *k, const float *v, size_t head_dim, size_t slot) {
  const size_t padded = (head_dim + 15) / 16 * 16;
  int8_t *column = (int8_t *)keys + slot, *row = (int8_t *)values + slot * padded;
  _Float16 *key_scales = (_Float16 *)((int8_t *)keys + head_dim * WEFT_KV_BLOCK) + slot;
  _Float16 *value_scales = (_Float16 *)((int8_t *)values + padded * WEFT_KV_BLOCK) + slot;
  for (size_t begin = 0; begin < head_dim; begin += WEFT_BLOCK) {
    const size_t count = head_dim - begin < WEFT_BLOCK ? head_dim - begin : WEFT_BLOCK;
    const size_t place = begin / WEFT_BLOCK * WEFT_KV_BLOCK;
    float x[WEFT_BLOCK] = {0};
    int8_t q[WEFT_BLOCK];
    memcpy(x, k + begin, count * 4);
    key_scales[place] = quantize_kv(q, x);
    for (size_t i = 0; i < count; i++) column[(begin + i) * WEFT_KV_BLOCK] = q[i];
    memcpy(x, v + begin, count * 4);
    value_scales[place] = quantize_kv(q, x);
    memcpy(row + begin, q, count);
  }
}
