// SPDX-License-Identifier: Apache-2.0
// Attention over a blocked KV cache. A tier defines NAME, REGISTERS (registers of 16 floats that it has) and QUERIES (the most
// query vectors that share one pass over a chunk of keys and values) and includes this inside its target region.
//
// Keys are taken in chunks of 64 that begin at multiples of 64, whatever the number of queries, and masked keys add exact
// zeros, whole chunks of them too: a row's result does not depend on its neighbours or on how a prompt was cut.
//
// A chunk goes past all queries of a batch before the next one comes, in passes of up to QUERIES; what is converted from the
// cache's format serves a whole pass. Sums of a pass stay in registers: products of n queries with `width` tiles of 16 keys, or
// with `width` times 16 dimensions of the values.

enum {
  CHUNK = 64,
  CHUNK_TILES = CHUNK / WEFT_KV_BLOCK,
  MAX_HEAD_DIM = 512,
  BATCH = 48,                  // queries that see a chunk one after the other: all that they need stays in the L1 cache
  BATCH_FLOATS = BATCH * 128,  // of wide heads, fewer; QUERIES of the widest
};

_Static_assert(BATCH % QUERIES == 0 && BATCH_FLOATS / MAX_HEAD_DIM >= QUERIES, "a batch is whole passes");

typedef struct attention_query {
  float *out;
  size_t first, end;  // the keys that it sees
} attention_query;

// Neighbouring queries that go past a chunk together.
typedef struct attention_pass {
  size_t at, count;   // the first query; how many
  size_t first, end;  // the keys that some of them sees
} attention_pass;

// What a batch of queries knows after some chunks: softmax(scores so far) V, without the division.
typedef struct attention_state {
  attention_query queries[BATCH];
  float reference[BATCH + 16];                           // the largest score so far times log2 e; -inf before the first
  vf16 total[BATCH];                                     // sums of p, 16 keys apart
  float q[BATCH_FLOATS] __attribute__((aligned(64)));    // of a pass of n queries: [blocks of 16 dimensions][n][16]
  float out[BATCH_FLOATS] __attribute__((aligned(64)));  // [queries][head_dim rounded up to 16]
} attention_state;

// 64 keys and the values that belong to them.
typedef struct attention_chunk {
  size_t begin;
  const char *k[CHUNK_TILES], *v[CHUNK_TILES];
} attention_chunk;

// Tiles of `width` that n queries are multiplied with at once: sums, keys and one query's number must fit the registers.
INLINE int width_for(const int n) { return (n + 1) * 4 < REGISTERS ? 4 : (n + 1) * 2 < REGISTERS ? 2 : 1; }

INLINE size_t format_bytes(const int format) { return format == WEFT_F32 ? 4 : format == WEFT_F16 ? 2 : 1; }

// scores[r][16 t ...] = sum over the dimensions of keys of tile t times query r. Asks for the same lines at `ahead`.
INLINE void multiply_keys(float (*scores)[CHUNK], const float *q, const char *const *k, const char *const *ahead, size_t d,
                          const int n, const int width, const int format) {
  const size_t bytes = format_bytes(format);
  const size_t step = bytes == 4 || REGISTERS < 16 ? 1 : 2;  // so that 64 bytes are asked for once
  vf16 acc[QUERIES][CHUNK_TILES];
  UNROLL for (int r = 0; r < n; r++) UNROLL for (int t = 0; t < width; t++) acc[r][t] = vector_broadcast(0);
  for (size_t begin = 0; begin < d; begin += 16, q += n * 16) {
    const size_t count = d - begin < 16 ? d - begin : 16;
    size_t i = 0;
#define DIMENSION(i)                                                                                                    \
  do {                                                                                                                  \
    vf16 key[CHUNK_TILES];                                                                                              \
    UNROLL for (int t = 0; t < width; t++) key[t] = vector_load(k[t], (begin + (i)) * WEFT_KV_BLOCK, format);           \
    UNROLL for (int r = 0; r < n; r++) {                                                                                \
      vf16 value = vector_broadcast(q[r * 16 + (i)]);                                                                   \
      UNROLL for (int t = 0; t < width; t++) acc[r][t] = vector_fma(key[t], value, acc[r][t]);                          \
    }                                                                                                                   \
  } while (0)
    for (; i + step <= count; i += step) {
      UNROLL for (int t = 0; t < width; t++) __builtin_prefetch(ahead[t] + (begin + i) * WEFT_KV_BLOCK * bytes);
      UNROLL for (size_t j = 0; j < step; j++) DIMENSION(i + j);
    }
    for (; i < count; i++) DIMENSION(i);
#undef DIMENSION
    if (format == WEFT_Q8_0 && (begin % WEFT_BLOCK != 0 || begin + 16 >= d)) {
      UNROLL for (int t = 0; t < width; t++) {
        vf16 scale = vector_load(k[t] + d * WEFT_KV_BLOCK, begin / WEFT_BLOCK * WEFT_KV_BLOCK, WEFT_F16);
        UNROLL for (int r = 0; r < n; r++) {
          vf16 sum = begin < WEFT_BLOCK ? vector_broadcast(0) : vector_load(scores[r], (size_t)t * WEFT_KV_BLOCK, WEFT_F32);
          sum = vector_fma(acc[r][t], scale, sum);
          vector_store(scores[r] + t * WEFT_KV_BLOCK, &sum);
          acc[r][t] = vector_broadcast(0);
        }
      }
    }
  }
  if (format == WEFT_Q8_0) return;
  UNROLL for (int r = 0; r < n; r++)
    UNROLL for (int t = 0; t < width; t++) vector_store(scores[r] + t * WEFT_KV_BLOCK, &acc[r][t]);
}

// out[r][...] = out[r][...] correction[r] + sum over keys [from, count) of p[r] times value, for `width` x 16 dimensions from
// `begin` on.
INLINE void multiply_values(float *out, size_t padded, const float (*p)[CHUNK], const float *correction, const char *const *v,
                            const char *const *ahead, size_t begin, size_t from, size_t count, const int n, const int width,
                            const int format) {
  const size_t bytes = format_bytes(format);
  vf16 acc[QUERIES][CHUNK_TILES];
  UNROLL for (int r = 0; r < n; r++)
    UNROLL for (int t = 0; t < width; t++)
      acc[r][t] = vector_load(out + (size_t)r * padded, begin + (size_t)t * 16, WEFT_F32) * correction[r];
  for (size_t j = from; j < count;) {
    const size_t tile = j / WEFT_KV_BLOCK, stop = (tile + 1) * WEFT_KV_BLOCK < count ? (tile + 1) * WEFT_KV_BLOCK : count;
    const char *row = v[tile] + (j % WEFT_KV_BLOCK * padded + begin) * bytes;
    const char *later = ahead[tile] + (j % WEFT_KV_BLOCK * padded + begin) * bytes;
    for (; j < stop; j++, row += padded * bytes, later += padded * bytes) {
      UNROLL for (size_t i = 0; i < (size_t)width * 16 * bytes; i += 64) __builtin_prefetch(later + i);
      vf16 value[CHUNK_TILES];
      UNROLL for (int t = 0; t < width; t++) value[t] = vector_load(row, (size_t)t * 16, format);
      UNROLL for (int r = 0; r < n; r++) {
        vf16 weight = vector_broadcast(p[r][j]);
        UNROLL for (int t = 0; t < width; t++) acc[r][t] = vector_fma(value[t], weight, acc[r][t]);
      }
    }
  }
  UNROLL for (int r = 0; r < n; r++)
    UNROLL for (int t = 0; t < width; t++) vector_store(out + (size_t)r * padded + begin + t * 16, &acc[r][t]);
}

// Scores that are capped, or whose order a negative scale turns round, as `weigh` wants them: it multiplies them with a number
// that is not negative.
static __attribute__((noinline)) void bend(float (*scores)[CHUNK], size_t n, const weft_attention_task *task) {
  for (size_t r = 0; r < n; r++) {
    UNROLL for (int t = 0; t < CHUNK_TILES; t++) {
      vf16 s = vector_load(scores[r], (size_t)t * WEFT_KV_BLOCK, WEFT_F32);
      s = task->softcap > 0 ? vector_tanh(s * task->scale / task->softcap) * task->softcap : -s;
      vector_store(scores[r] + t * WEFT_KV_BLOCK, &s);
    }
  }
}

// Scores of n queries to p = e^(score - largest), and what they change: the totals, and correction[r] for what was summed
// before.
static void weigh(float (*scores)[CHUNK], float *correction, attention_state *state, size_t at, size_t n, size_t begin,
                  const weft_attention_task *task) {
  const float log2e = 1.44269504088896341f, none = -__builtin_inff();
  const float factor = task->softcap > 0 ? log2e : __builtin_fabsf(task->scale) * log2e;
  const vi16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  if (task->softcap > 0 || task->scale < 0) bend(scores, n, task);
  vf16 largest = vector_broadcast(none);  // of this chunk, a lane for each query
  for (size_t r = 0; r < n; r++) {
    const attention_query *query = state->queries + at + r;
    vf16 s[CHUNK_TILES];
    UNROLL for (int t = 0; t < CHUNK_TILES; t++) s[t] = vector_load(scores[r], (size_t)t * WEFT_KV_BLOCK, WEFT_F32);
    if (query->first > begin || query->end < begin + CHUNK) {
      const size_t past = query->first > begin ? query->first - begin : 0, left = query->end > begin ? query->end - begin : 0;
      const int32_t lower = (int32_t)(past < CHUNK ? past : CHUNK), upper = (int32_t)(left < CHUNK ? left : CHUNK);
      UNROLL for (int t = 0; t < CHUNK_TILES; t++) {
        vi16 key = lane + t * WEFT_KV_BLOCK;
        s[t] = vector_select((key >= lower) & (key < upper), s[t], vector_broadcast(none));
        vector_store(scores[r] + t * WEFT_KV_BLOCK, &s[t]);
      }
    }
    const float top = vector_largest(vector_larger(vector_larger(s[0], s[1]), vector_larger(s[2], s[3])));
    largest = vector_select(lane == (int32_t)r, vector_broadcast(top), largest);
  }
  const vf16 before = vector_load(state->reference + at, 0, WEFT_F32);
  const vf16 reference = vector_larger(largest * factor, before);
  vector_store(state->reference + at, &reference);
  // Before its window a row has seen nothing: zeros, not -inf - -inf.
  const vf16 zero = vector_select(reference == none, vector_broadcast(0), reference), change = vector_exp2(before - zero);
  float zeros[WEFT_TILE] __attribute__((aligned(64)));
  vector_store(zeros, &zero);
  vector_store(correction, &change);
  for (size_t r = 0; r < n; r++) {
    vf16 sum = vector_broadcast(0);
    UNROLL for (int t = 0; t < CHUNK_TILES; t++) {
      vf16 score = vector_load(scores[r], (size_t)t * WEFT_KV_BLOCK, WEFT_F32);
      vf16 e = vector_exp2(vector_fma(score, vector_broadcast(factor), vector_broadcast(-zeros[r])));
      vector_store(scores[r] + t * WEFT_KV_BLOCK, &e);
      sum += e;
    }
    state->total[at + r] = state->total[at + r] * correction[r] + sum;
  }
}

// One chunk past the n queries of a pass.
INLINE void attend(attention_state *state, const weft_attention_task *task, const attention_chunk *chunk,
                   const attention_chunk *ahead, const attention_pass *pass, const int n, const int format) {
  const size_t d = task->head_dim, padded = (d + 15) / 16 * 16, at = pass->at;
  float scores[QUERIES][CHUNK] __attribute__((aligned(64)));
  float correction[WEFT_TILE] __attribute__((aligned(64)));
  const size_t from = pass->first > chunk->begin ? pass->first - chunk->begin : 0;
  const size_t count = pass->end - chunk->begin < CHUNK ? pass->end - chunk->begin : CHUNK;
  for (int t = 0; t < CHUNK_TILES; t += width_for(n)) {
    // Of tiles that nobody sees any scores do: they are masked.
    if ((size_t)t * WEFT_KV_BLOCK >= count || (size_t)(t + width_for(n)) * WEFT_KV_BLOCK <= from) {
      for (int r = 0; r < n; r++) memset(scores[r] + t * WEFT_KV_BLOCK, 0, width_for(n) * WEFT_KV_BLOCK * 4);
      continue;
    }
    multiply_keys((float(*)[CHUNK])(scores[0] + t * WEFT_KV_BLOCK), state->q + at * padded, chunk->k + t, ahead->k + t, d, n,
                  width_for(n), format);
  }
  weigh(scores, correction, state, at, n, chunk->begin, task);
  size_t i = 0;
  float *out = state->out + at * padded;
  if (format == WEFT_Q8_0) {
    for (; i < padded; i += WEFT_BLOCK) {
      float scaled[QUERIES][CHUNK] __attribute__((aligned(64)));  // p times the scales of 32 dimensions of the values
      UNROLL for (int t = 0; t < CHUNK_TILES; t++) {
        vf16 scale = vector_load(chunk->v[t] + padded * WEFT_KV_BLOCK, i / WEFT_BLOCK * WEFT_KV_BLOCK, WEFT_F16);
        for (int r = 0; r < n; r++) {
          vf16 weight = vector_load(scores[r], (size_t)t * WEFT_KV_BLOCK, WEFT_F32) * scale;
          vector_store(scaled[r] + t * WEFT_KV_BLOCK, &weight);
        }
      }
      if (width_for(n) >= 2 && i + 32 <= padded) {
        multiply_values(out, padded, scaled, correction, chunk->v, ahead->v, i, from, count, n, 2, format);
      } else {
        for (size_t j = i; j < padded && j < i + WEFT_BLOCK; j += 16)
          multiply_values(out, padded, scaled, correction, chunk->v, ahead->v, j, from, count, n, 1, format);
      }
    }
    return;
  }
#define DIMENSIONS(width)                                                                                                   \
  for (; width_for(n) >= width && i + width * 16 <= padded; i += width * 16)                                                \
    multiply_values(out, padded, (const float(*)[CHUNK])scores, correction, chunk->v, ahead->v, i, from, count, n, width,   \
                    format);
  DIMENSIONS(4) DIMENSIONS(2) DIMENSIONS(1)
#undef DIMENSIONS
}

// Blocks that nobody sees of a chunk repeat one that somebody does.
INLINE void locate(attention_chunk *chunk, const weft_attention_task *task, size_t begin, size_t first, size_t end) {
  const size_t low = first > begin ? first : begin, high = end - 1;
  chunk->begin = begin;
  for (size_t t = 0; t < CHUNK_TILES; t++) {
    size_t block = begin / WEFT_KV_BLOCK + t;
    if (block < low / WEFT_KV_BLOCK || block > high / WEFT_KV_BLOCK) block = low / WEFT_KV_BLOCK;
    size_t offset = (size_t)task->block_table[block] * task->block_stride;
    chunk->k[t] = (const char *)task->keys + offset;
    chunk->v[t] = (const char *)task->values + offset;
  }
}

// `attend` for every number of queries, as functions of their own: inlined, they took the compiler four times as long.
typedef void attention_body(attention_state *state, const weft_attention_task *task, const attention_chunk *chunk,
                            const attention_chunk *ahead, const attention_pass *pass);
#if QUERIES == 12
#define SIZES(X, f) X(f, 1) X(f, 2) X(f, 3) X(f, 4) X(f, 5) X(f, 6) X(f, 7) X(f, 8) X(f, 9) X(f, 10) X(f, 11) X(f, 12)
#else
#define SIZES(X, f) X(f, 1) X(f, 2) X(f, 3) X(f, 4) X(f, 5) X(f, 6)
#endif
#define DEFINE(format, n)                                                                                                 \
  static __attribute__((noinline)) void attend_##format##_##n(attention_state *state, const weft_attention_task *task,    \
                                                              const attention_chunk *chunk, const attention_chunk *ahead, \
                                                              const attention_pass *pass) {                               \
    attend(state, task, chunk, ahead, pass, n, format);                                                                   \
  }
SIZES(DEFINE, WEFT_F32) SIZES(DEFINE, WEFT_F16) SIZES(DEFINE, WEFT_Q8_0)
#define NAMED(format, n) attend_##format##_##n,
static attention_body *const attend_f32[] = {SIZES(NAMED, WEFT_F32)}, *const attend_f16[] = {SIZES(NAMED, WEFT_F16)},
                            *const attend_q8_0[] = {SIZES(NAMED, WEFT_Q8_0)};
#undef SIZES
#undef DEFINE
#undef NAMED

// Query number `index` of the task becomes number r of a pass.
INLINE void start(attention_state *state, attention_pass *pass, size_t r, const weft_attention_task *task, size_t index) {
  const size_t d = task->head_dim, padded = (d + 15) / 16 * 16, row = index / task->group, head = index % task->group;
  const float *from = task->query + row * task->query_stride + head * d;
  float *to = state->q + pass->at * padded + r * 16;
  size_t i = 0;
  for (; i + 16 <= d; i += 16) memcpy(to + i * pass->count, from + i, 64);
  for (; i < d; i++) to[i / 16 * 16 * pass->count + i % 16] = from[i];
  attention_query *query = state->queries + pass->at + r;
  query->out = task->out + row * task->out_stride + head * d;
  query->end = task->first_position + row + 1;
  query->first = task->window != 0 && query->end > task->window ? query->end - task->window : 0;
  if (query->first < pass->first) pass->first = query->first;
  if (query->end > pass->end) pass->end = query->end;
  state->total[pass->at + r] = vector_broadcast(0);
}

// Passes [first_pass, end_pass) of `all` that the query vectors of the task are divided into.
static void attend_batch(attention_state *state, const weft_attention_task *task, size_t first_pass, size_t end_pass,
                         size_t all, attention_body *const *attend) {
  const size_t d = task->head_dim, padded = (d + 15) / 16 * 16, pass_count = end_pass - first_pass;
  const size_t total = task->rows * task->group, begin = total * first_pass / all, count = total * end_pass / all - begin;
  attention_pass passes[BATCH / QUERIES];
  for (size_t r = 0; r < BATCH + 16; r++) state->reference[r] = -__builtin_inff();
  for (size_t i = 0; i < pass_count; i++) {
    const size_t at = total * (first_pass + i) / all - begin, end = total * (first_pass + i + 1) / all - begin;
    passes[i] = (attention_pass){at, end - at, SIZE_MAX, 0};
    for (size_t r = 0; r < passes[i].count; r++) start(state, passes + i, r, task, begin + at + r);
  }
  memset(state->out, 0, count * padded * 4);
  // Later queries see later keys: the first pass begins first, the last one ends last.
  const size_t first = passes[0].first, end = passes[pass_count - 1].end;
  attention_chunk chunk, next;
  locate(&chunk, task, first / CHUNK * CHUNK, first, end);
  for (; chunk.begin < end; chunk = next) {
    if (chunk.begin + CHUNK < end) {
      locate(&next, task, chunk.begin + CHUNK, first, end);
    } else {
      next = chunk;
      next.begin = end;
    }
    // Memory is asked for by one pass; what the others ask for is there.
    const attention_chunk *ahead = &next;
    for (const attention_pass *pass = passes; pass < passes + pass_count; pass++) {
      if (pass->end <= chunk.begin || pass->first >= chunk.begin + CHUNK) continue;
      attend[pass->count - 1](state, task, &chunk, ahead, pass);
      ahead = &chunk;
    }
  }
  for (size_t r = 0; r < count; r++) {
    const float inverse = 1.0f / vector_sum(state->total[r]);
    for (size_t i = 0; i < d; i++) state->queries[r].out[i] = state->out[r * padded + i] * inverse;
  }
}

static void attention(const weft_attention_task *task, attention_body *const *attend) {
  attention_state state;
  const size_t padded = (task->head_dim + 15) / 16 * 16, passes = (task->rows * task->group + QUERIES - 1) / QUERIES;
  const size_t queries = BATCH_FLOATS / padded < BATCH ? BATCH_FLOATS / padded : BATCH, most = queries / QUERIES;
  const size_t batches = (passes + most - 1) / most;
  for (size_t batch = 0; batch < batches; batch++)
    attend_batch(&state, task, passes * batch / batches, passes * (batch + 1) / batches, passes, attend);
}

void NAME(attention_f32)(const weft_attention_task *task) { attention(task, attend_f32); }
void NAME(attention_f16)(const weft_attention_task *task) { attention(task, attend_f16); }
void NAME(attention_q8_0)(const weft_attention_task *task) { attention(task, attend_q8_0); }

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
  float largest = vector_largest(vector_larger(__builtin_elementwise_abs(low), __builtin_elementwise_abs(high)));
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
