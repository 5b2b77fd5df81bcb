// SPDX-License-Identifier: Apache-2.0
// What the quantised formats of GGUF have in common, as data. Internal.
//
// Every one of them is a row of blocks; a block has quants q (unsigned, `bits` wide), a 16-bit float d, perhaps another one e,
// and for every `sub` columns perhaps an integer scale s and an integer minimum m. Its weights are
//
//   (d s) v - (e m)     where v = q - offset, or v = table[q]; s = 1 and m = 1 where the format has no such integers, e = 0 where
//                       it has no minimums; d = 1 for ours, WEFT_TERNARY
//
// d s and e m are exact in f32: 11 bits times at most 8. Sources: the formats are those of ggml (github.com/ggml-org/ggml), read
// from the gguf package's `quants.py`; MXFP4 is OCP's Microscaling Formats 1.0.
#pragma once
#include "../include/kernels.h"

enum quantized_scale {
  SCALE_BLOCK,  // one per block of 32: d
  SCALE_BYTES,  // int8 per sub-block, times d of 256 columns
  SCALE_SUPER,  // d of 256 columns alone
  SCALE_NONE,   // 1: whoever holds the matrix has its scale
};

enum quantized_min {
  MIN_NONE,
  MIN_BLOCK,  // one per block of 32: e
  MIN_BYTES,  // uint8 per sub-block, times e of 256 columns
};

typedef struct quantized_format {
  uint16_t block_elements, block_bytes;  // in the file
  uint8_t bits;                          // of a quant: 2, 3, 4, 5, 6 or 8
  uint8_t sub;                           // columns with one integer scale: 16 or 32
  uint8_t offset;                        // 0 or a power of two: v + offset, which kernels multiply, is never negative
  uint8_t scale;                         // enum quantized_scale
  uint8_t min;                           // enum quantized_min
  uint8_t brain;                         // d is bfloat16: powers of two beyond binary16
  const int8_t *table;                   // [16], or NULL
} quantized_format;

// The 16 values of IQ4_NL and IQ4_XS, and of MXFP4 (E2M1 times two).
static const int8_t table_iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int8_t table_mxfp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// By format. Float formats have no bits.
static const quantized_format quantized_formats[WEFT_WEIGHT_FORMATS] = {
    //               elements bytes bits sub offset scale      min     brain table
    [WEFT_Q8_0] =   {32,  34,  8, 32, 128, SCALE_BLOCK, MIN_NONE,  0, NULL},
    [WEFT_Q4_0] =   {32,  18,  4, 32, 8,   SCALE_BLOCK, MIN_NONE,  0, NULL},
    [WEFT_Q4_1] =   {32,  20,  4, 32, 0,   SCALE_BLOCK, MIN_BLOCK, 0, NULL},
    [WEFT_Q5_0] =   {32,  22,  5, 32, 16,  SCALE_BLOCK, MIN_NONE,  0, NULL},
    [WEFT_Q5_1] =   {32,  24,  5, 32, 0,   SCALE_BLOCK, MIN_BLOCK, 0, NULL},
    [WEFT_Q2_K] =   {256, 84,  2, 16, 0,   SCALE_BYTES, MIN_BYTES, 0, NULL},
    [WEFT_Q3_K] =   {256, 110, 3, 16, 4,   SCALE_BYTES, MIN_NONE,  0, NULL},
    [WEFT_Q4_K] =   {256, 144, 4, 32, 0,   SCALE_BYTES, MIN_BYTES, 0, NULL},
    [WEFT_Q5_K] =   {256, 176, 5, 32, 0,   SCALE_BYTES, MIN_BYTES, 0, NULL},
    [WEFT_Q6_K] =   {256, 210, 6, 16, 32,  SCALE_BYTES, MIN_NONE,  0, NULL},
    [WEFT_IQ4_NL] = {32,  18,  4, 32, 128, SCALE_BLOCK, MIN_NONE,  0, table_iq4},
    [WEFT_IQ4_XS] = {256, 136, 4, 32, 128, SCALE_BYTES, MIN_NONE,  0, table_iq4},
    [WEFT_TQ1_0] =  {256, 54,  2, 32, 1,   SCALE_SUPER, MIN_NONE,  0, NULL},
    [WEFT_TQ2_0] =  {256, 66,  2, 32, 1,   SCALE_SUPER, MIN_NONE,  0, NULL},
    [WEFT_MXFP4] =  {32,  17,  4, 32, 16,  SCALE_BLOCK, MIN_NONE,  1, table_mxfp4},
    [WEFT_TERNARY] = {32, 8,   2, 32, 1,   SCALE_NONE,  MIN_NONE,  0, NULL},  // rows in files are any number of bytes
};

// The formats that have a kernel: X(kernel, format). The two ternary ones share theirs.
#define QUANTIZED_KERNELS(X)                                                                                     \
  X(matmul_q8_0, WEFT_Q8_0) X(matmul_q4_0, WEFT_Q4_0) X(matmul_q4_1, WEFT_Q4_1) X(matmul_q5_0, WEFT_Q5_0)       \
  X(matmul_q5_1, WEFT_Q5_1) X(matmul_q2_k, WEFT_Q2_K) X(matmul_q3_k, WEFT_Q3_K) X(matmul_q4_k, WEFT_Q4_K)       \
  X(matmul_q5_k, WEFT_Q5_K) X(matmul_q6_k, WEFT_Q6_K) X(matmul_iq4_nl, WEFT_IQ4_NL) X(matmul_iq4_xs, WEFT_IQ4_XS) \
  X(matmul_tq2_0, WEFT_TQ2_0) X(matmul_mxfp4, WEFT_MXFP4) X(matmul_ternary, WEFT_TERNARY)

// The formats of narrow matrices: X(kernel, format).
#define NARROW_KERNELS(X) X(expand_q8_0, WEFT_Q8_0) X(expand_q4_0, WEFT_Q4_0) X(expand_ternary, WEFT_TERNARY)

// One block, taken apart. Only what the format has is written; there are block_elements / sub scales and minimums.
typedef struct quantized_block {
  uint16_t d, e;  // bits of the floats
  int8_t scales[16];
  uint8_t mins[16];
  uint8_t q[256];
} quantized_block;

// Takes apart the block at p, which is in file layout.
#pragma GCC visibility push(hidden)
void quantized_unpack(quantized_block *block, int format, const uint8_t *p);
#pragma GCC visibility pop

// The value that a quant stands for, without its scale.
static inline int quantized_value(const quantized_format *format, uint8_t q) {
  return format->table ? format->table[q] : (int)q - format->offset;
}
