// SPDX-License-Identifier: Apache-2.0
//
// The kernels: loops over raw memory that cannot fail. No kernel allocates, locks, logs or checks its arguments;
// WeftTensors validates shapes once, when a model is opened.
//
// One list (KERNELS) feeds the table, the overlay, the tests and the benchmarks. Every entry exists in scalar/ (the
// specification) and is replaced by the best tier that the machine has: avx2, avx512; neon, neon_i8mm. Choose once per loop, never
// per element.
//
// Words: a *tile* is 16 consecutive output rows of a packed matrix, interleaved so that one register holds one element of each
// row. A *row* of activations is one token. Rows never influence each other and the order of additions inside a row does not
// depend on how many rows or tiles are computed together, so results do not depend on batch mates or threads.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
  WEFT_TILE = 16,       // output rows in a tile of a packed matrix
  WEFT_BLOCK = 32,      // columns in a quantised block
  WEFT_KV_BLOCK = 16,   // tokens in a block of the KV cache
  WEFT_MAXIMA_BLOCK = 64,  // numbers of which block_maxima finds the largest
};

// Formats of weights; the values are those of DType in WeftTensors.
enum {
  WEFT_F32, WEFT_F16, WEFT_BF16, WEFT_Q8_0, WEFT_Q4_0, WEFT_Q4_1, WEFT_Q5_0, WEFT_Q5_1, WEFT_Q2_K, WEFT_Q3_K, WEFT_Q4_K, WEFT_Q5_K,
  WEFT_Q6_K, WEFT_IQ4_NL, WEFT_IQ4_XS, WEFT_TQ1_0, WEFT_TQ2_0, WEFT_MXFP4,
  // Ours, of no model file: 4 elements in a byte, 2-bit two's complement (0, 1, 3 = -1), element i in bits 2 i and 2 i + 1. A scale
  // that belongs to the matrix is whoever's who holds it: here the values are the codes.
  WEFT_TERNARY,
  WEFT_WEIGHT_FORMATS
};

// 32 activations in int8, as quantised weights are multiplied with them.
typedef struct weft_block_q8 {
  int8_t q[WEFT_BLOCK];
  float scale;
  int32_t minus;            // -sum of q
  float minus_float;        // the same
  int32_t minus_halves[2];  // those of 16
} weft_block_q8;

// y[t, r] = sum_c W[r, c] x[t, c]   (+ y[t, r] when `accumulate`),
// for rows t in [0, n) and the output rows r of tiles [tile_begin, tile_end).
//   y         f32, row t at y + t * y_stride (floats). All 16 rows of every tile are written: pad y to whole tiles.
//   w         packed by weft_pack of the same format.
//   x         row t at (char *)x + t * x_stride (bytes): f32 [cols] for float formats; else a row made by quantize_q8 (of
//             matmul_bf16_dot: by round_bf16).
//   cols      columns of W; a multiple of 32, and of the format's block in files.
// Float formats: acc = fma(W[r, c], x[c], acc) for c = 0, 1, ... in f32.
// Quantised formats, blocks of 32 columns in order (v, d, s, e, m: formats/quantized.h; the scale s d is exact in f32):
//   dot  = sum_c v[c] q_x[c]  in integers; formats with a scale for every 16 columns have a dot of each half
//   part = (float)dot * (d s),           or  fma((float)dot_1, d s_1, (float)dot_0 * (d s_0))
//   part = fma((float)-sum_c q_x[c], e m, part)                        where there are minimums; likewise for both halves
//   acc  = fma(part, d_x, acc)
#define WEFT_MATMUL                                                                                                            \
  (float *y, size_t y_stride, const void *w, const void *x, size_t x_stride, size_t cols, size_t tile_begin, size_t tile_end, \
   size_t n, int accumulate)

// u[t, r] = sum_c A[r, c] x[t, c] for an A of floats, which has few rows (a rank) and any number of columns: half of a low rank.
//   u         f32, row t at u + t * u_stride (floats); all 16 rows of all tile_count tiles are written
// Otherwise as matmul.
#define WEFT_SHRINK                                                                                                            \
  (float *u, size_t u_stride, const void *w, const void *x, size_t x_stride, size_t cols, size_t tile_count, size_t n)

// y[t, r] += sum_c B[r, c] u[t, c] for a B which has few columns (a rank): the other half.
//   w         packed by weft_pack_narrow of the same format, or by weft_pack where it is of floats, with tile_count tiles in all
//   u         f32, row t at u + t * u_stride (floats), [cols]
// Otherwise as matmul. Float formats: as matmul with `accumulate`. Quantised formats: blocks of 32 columns in order; u of a block,
// behind its end 0, is quantised as by quantize_q8; then the formula of the quantised products, with y as the start.
#define WEFT_EXPAND                                                                                                            \
  (float *y, size_t y_stride, const void *w, const float *u, size_t u_stride, size_t cols, size_t tile_count, size_t tile_begin, \
   size_t tile_end, size_t n)

// What one call of attention reads and writes: rows of one sequence with consecutive positions, one key-value head.
typedef struct weft_attention_task {
  float *out;                  // row t, query head h of the group: out + t * out_stride + h * head_dim
  const float *query;          // likewise, with query_stride; already rotated
  size_t out_stride, query_stride;  // floats
  size_t rows;                 // query rows
  size_t group;                // query heads that share this key-value head
  size_t head_dim;
  size_t first_position;       // row t stands at position p = first_position + t and sees keys of positions up to p,
  size_t window;               // from max(0, p - window + 1) on; 0 = from the first
  const int32_t *block_table;  // block of tokens [16 i, 16 i + 16) is number block_table[i]
  const void *keys;            // block b: keys + b * block_stride bytes, laid out [head_dim][16 tokens]
  const void *values;          // block b: values + b * block_stride bytes, laid out [16 tokens][head_dim rounded up to 16]
                               // q8_0: int8 in this layout, then f16 scales [head_dim / 32 rounded up][16 tokens]
  size_t block_stride;         // bytes
  float scale;                 // multiplies the scores; 1 / sqrt(head_dim) in Llama
  float softcap;               // then a score s becomes softcap * tanh(s / softcap) (Gemma 2); 0 = it stays
} weft_attention_task;

#define KERNELS(X)                                                                                                             \
  X(matmul_f32, void, WEFT_MATMUL)                                                                                             \
  X(matmul_f16, void, WEFT_MATMUL)                                                                                             \
  X(matmul_bf16, void, WEFT_MATMUL)                                                                                            \
  /* bf16 weights of a base: a row of x is bf16 too, made by round_bf16. Columns in pairs, the later one of each first:        \
     acc = fma(W[r, 2 i], x[2 i], fma(W[r, 2 i + 1], x[2 i + 1], acc)). Numbers below 2^-126 may count as 0. */                \
  X(matmul_bf16_dot, void, WEFT_MATMUL)                                                                                        \
  X(matmul_q8_0, void, WEFT_MATMUL)                                                                                            \
  X(matmul_q4_0, void, WEFT_MATMUL)                                                                                            \
  X(matmul_q4_1, void, WEFT_MATMUL)                                                                                            \
  X(matmul_q5_0, void, WEFT_MATMUL)                                                                                            \
  X(matmul_q5_1, void, WEFT_MATMUL)                                                                                            \
  X(matmul_q2_k, void, WEFT_MATMUL)                                                                                            \
  X(matmul_q3_k, void, WEFT_MATMUL)                                                                                            \
  X(matmul_q4_k, void, WEFT_MATMUL)                                                                                            \
  X(matmul_q5_k, void, WEFT_MATMUL)                                                                                            \
  X(matmul_q6_k, void, WEFT_MATMUL)                                                                                            \
  X(matmul_iq4_nl, void, WEFT_MATMUL)                                                                                          \
  X(matmul_iq4_xs, void, WEFT_MATMUL)                                                                                          \
  /* tq1_0 is packed as tq2_0 */                                                                                               \
  X(matmul_tq2_0, void, WEFT_MATMUL)                                                                                           \
  X(matmul_mxfp4, void, WEFT_MATMUL)                                                                                           \
  X(matmul_ternary, void, WEFT_MATMUL)                                                                                         \
  X(shrink_f32, void, WEFT_SHRINK)                                                                                             \
  X(shrink_f16, void, WEFT_SHRINK)                                                                                             \
  X(shrink_bf16, void, WEFT_SHRINK)                                                                                            \
  X(expand_f32, void, WEFT_EXPAND)                                                                                             \
  X(expand_f16, void, WEFT_EXPAND)                                                                                             \
  X(expand_bf16, void, WEFT_EXPAND)                                                                                            \
  X(expand_q8_0, void, WEFT_EXPAND)                                                                                            \
  X(expand_q4_0, void, WEFT_EXPAND)                                                                                            \
  X(expand_ternary, void, WEFT_EXPAND)                                                                                         \
  /* Columns [begin, end) of one row of activations to blocks of 32: xq[begin/32 ... end/32). scale = max|x| / 127;            \
     q = round-to-even(x * 127 / max|x|), or 0 where max|x| <= 2^-120 (127 / max|x| could be infinite). begin and end are      \
     multiples of 32. NaN, or infinity, is its block's scale. */                                                               \
  X(quantize_q8, void, (weft_block_q8 *xq, const float *x, size_t begin, size_t end))                                          \
  /* Columns [begin, end) of one row of activations to bf16, to nearest even; NaN stays NaN. */                                \
  X(round_bf16, void, (uint16_t *xr, const float *x, size_t begin, size_t end))                                                \
  /* y[i] = w[i] x[i] / sqrt(mean(x^2) + eps), i in [0, n); y may be x. Zhang & Sennrich 2019. */                              \
  X(rms_norm, void, (float *y, const float *x, const float *w, size_t n, float eps))                                           \
  /* y[i] = w[i] (x[i] - mean(x)) / sqrt(var(x) + eps) + b[i]; y may be x, b may be NULL. Ba et al. 2016. */                   \
  X(layer_norm, void, (float *y, const float *x, const float *w, const float *b, size_t n, float eps))                         \
  /* Rotates the halves of the first d of each head's `stride` numbers: (a, b) = (x[i], x[i + d/2]) -> (a c - b s, b c + a s); \
     cos_sin holds [d/2] cosines, then [d/2] sines. Su et al. 2021, in the layout of transformers ("rotate half"). */          \
  X(rope, void, (float *x, const float *cos_sin, size_t heads, size_t stride, size_t d))                                       \
  /* y[i] = silu(gate[i]) up[i]; y may be gate. Shazeer 2020. */                                                               \
  X(swiglu, void, (float *y, const float *gate, const float *up, size_t n))                                                    \
  /* y[i] = gelu(gate[i]) up[i] with gelu(x) = x / (1 + e^(-2 u)), u = sqrt(2/pi) (x + 0.044715 x^3): the tanh approximation   \
     of Hendrycks & Gimpel 2016. y may be gate. */                                                                             \
  X(geglu, void, (float *y, const float *gate, const float *up, size_t n))                                                     \
  /* y[i] = gelu(x[i]), likewise; y may be x. */                                                                               \
  X(gelu, void, (float *y, const float *x, size_t n))                                                                          \
  /* y[i] = cap tanh(y[i] / cap). Gemma 2. */                                                                                  \
  X(softcap, void, (float *y, float cap, size_t n))                                                                            \
  /* y[i] += x[i] */                                                                                                           \
  X(add, void, (float *y, const float *x, size_t n))                                                                           \
  /* y[i] *= s */                                                                                                              \
  X(scale, void, (float *y, float s, size_t n))                                                                                \
  /* The index of the first of the largest; what is not a number is smaller than all others. n >= 1. */                        \
  X(argmax, size_t, (const float *x, size_t n))                                                                                \
  /* y[i] = the largest of x[64 i] ... x[64 i + 63], as far as there are n; -infinity where none is a number. */               \
  X(block_maxima, void, (float *y, const float *x, size_t n))                                                                  \
  /* One token's key and value of one head into slot `slot` of a KV block (layout above). head_dim floats each. */             \
  X(kv_store_f32, void, (void *keys, void *values, const float *k, const float *v, size_t head_dim, size_t slot))              \
  X(kv_store_f16, void, (void *keys, void *values, const float *k, const float *v, size_t head_dim, size_t slot))              \
  /* The same as int8 with an f16 scale for every 32 dimensions of the token; where head_dim is no multiple of 32, the rest    \
     of it has a scale of its own. scale = max|x| / 127, at most 65504, rounded to f16; q = round-to-even(x * (1 / scale)),    \
     clamped to +-127, or 0 where the scale is 0. Equal bit for bit on all tiers. */                                           \
  X(kv_store_q8_0, void, (void *keys, void *values, const float *k, const float *v, size_t head_dim, size_t slot))             \
  /* out = softmax(softcap(scale q K^T)) V with a running softmax over chunks of 64 keys (Milakov & Gimelshein 2018), causal   \
     and within the window. Blocks that no row sees are not read. */                                                           \
  X(attention_f32, void, (const weft_attention_task *task))                                                                    \
  X(attention_f16, void, (const weft_attention_task *task))                                                                    \
  /* A score sums 32 dimensions q k before it multiplies them with their scale; p is multiplied with a value's scale first. */ \
  X(attention_q8_0, void, (const weft_attention_task *task))

typedef struct weft_kernels {
  const char *isa;
#define X(name, ret, args) ret(*name) args;
  KERNELS(X)
#undef X
} weft_kernels;

// The tiers, from the specification upwards.
enum {
  WEFT_ISA_SCALAR = 0,
  WEFT_ISA_AVX2 = 1,
  WEFT_ISA_AVX512 = 2,
  WEFT_ISA_NEON = 3,
  WEFT_ISA_NEON_I8MM = 4,
  WEFT_ISA_COUNT = 5,
};

// 1 when this machine and its operating system can run the tier (CPUID and XGETBV; HWCAP; sysctl on Apple's systems).
int weft_isa_available(int isa);
// The table of one tier: scalar overlaid by everything up to that tier. The tier must be available.
weft_kernels weft_kernels_for(int isa);

// Load time, not tiered -------------------------------------------------------------------------------------------------------

// Bytes of a packed matrix of `rows` x `cols` (rows padded to whole tiles).
size_t weft_packed_bytes(int format, size_t rows, size_t cols);
// Packs tiles [tile_begin, tile_end) of a row-major matrix in file layout (row r at w + r * row_bytes) into `packed`. A tile of
// a float format is [cols][16 rows]; those of quantised formats are described in formats/packed.h. Rows at and after `rows` become
// zero. `row_map`, when not NULL, names the file row of every packed row.
void weft_pack(void *packed, int format, const void *w, size_t row_bytes, size_t rows, size_t cols, size_t tile_begin,
               size_t tile_end, const int32_t *row_map);
// The reverse: rows [row_begin, row_end) of a packed matrix in file layout, one after the other. Of f32, f16, bf16, q8_0, q4_0, ternary.
void weft_unpack(void *w, int format, const void *packed, size_t cols, size_t row_begin, size_t row_end);
// The same for narrow matrices (WEFT_EXPAND) of q8_0, q4_0 or ternary; all rows at once. Rows in file layout are row_bytes long, which
// may be more than `cols` elements, to whole blocks: what is behind them is not read, and comes back as 0.
size_t weft_narrow_bytes(int format, size_t rows, size_t cols);
void weft_pack_narrow(void *packed, int format, const void *w, size_t row_bytes, size_t rows, size_t cols);
void weft_unpack_narrow(void *w, int format, const void *packed, size_t row_bytes, size_t rows, size_t cols);
// x[i] for i in [0, n) of one row in file layout, as f32. n is a multiple of the block. The bits are those of the gguf package.
void weft_dequantize(float *x, int format, const void *w, size_t n);
// The reverse, for float formats only: rounds to nearest even.
void weft_round_row(void *w, int format, const float *x, size_t n);
// Index of the first element that is not finite in n elements of one row, or of the first element of the first block whose scale
// or minimum is not finite; -1 when there is none. The scale codes 253 ... 255 of mxfp4 count as not finite.
ptrdiff_t weft_first_non_finite(int format, const void *w, size_t n);
// Index of the first of n ternary elements (a multiple of 4) whose code is 2, which stands for nothing; -1 when there is none.
ptrdiff_t weft_first_invalid_ternary(const void *w, size_t n);
