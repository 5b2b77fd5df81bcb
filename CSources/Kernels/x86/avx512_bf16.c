// SPDX-License-Identifier: Apache-2.0
// What AVX-512 BF16 adds to the AVX-512 tier, where the processor has it.
#if defined(__x86_64__)
#include <immintrin.h>

#include "../tiers.h"
#include "../vector/rows_in_cache.h"

void matmul_bf16_dot__avx512_bf16 WEFT_MATMUL;

TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c")
#include "../vector/vector.h"
#define NAME(kernel) kernel##__avx512_bf16
#define TILES 2
#define ROWS 12
#define HAS_BF16_DOT 1
#include "../vector/matmul_bf16_dot.h"
TARGET_END

const weft_kernels weft_kernels_avx512_bf16 = {.isa = "avx512", .matmul_bf16_dot = matmul_bf16_dot__avx512_bf16};
#endif
