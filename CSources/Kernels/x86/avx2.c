// SPDX-License-Identifier: Apache-2.0
// The AVX2 tier: avx2, fma, f16c.
#if defined(__x86_64__)
#include <immintrin.h>

#include "../formats/narrow.h"
#include "../formats/packed.h"
#include "../tiers.h"
#include "../vector/rows_in_cache.h"

TARGET_BEGIN("avx2,fma,f16c")
#include "../vector/vector.h"
#define NAME(kernel) kernel##__avx2
#define TILES 1
#define ROWS 4
#define REGISTERS 8
#define QUERIES 6
#include "../vector/attention.h"
#include "../vector/elementwise.h"
#define HAS_BF16_DOT 0
#include "../vector/matmul_bf16_dot.h"
#define SHRINK_SUMS 4
#define EXPAND_TILES 1
#define EXPAND_FLOAT_ROWS 4
#include "../vector/low_rank.h"
#include "../vector/matmul_float.h"
#include "../vector/quantize.h"
#include "matmul_quantized_avx2.h"
#define EXPAND_ROWS 4
#include "expand_avx2.h"
#include "expand_block.h"
#include "../vector/expand.h"
TARGET_END

const weft_kernels weft_kernels_avx2 = {
    .isa = "avx2",
#define X(name, ret, args) .name = name##__avx2,
    KERNELS(X)
#undef X
};
#endif
