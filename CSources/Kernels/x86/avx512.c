// SPDX-License-Identifier: Apache-2.0
// The AVX-512 tier: f, bw, vl, dq, vnni.
#if defined(__x86_64__)
#include <immintrin.h>

#include "../formats/narrow.h"
#include "../formats/packed.h"
#include "../tiers.h"
#include "../vector/rows_in_cache.h"

TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")
#include "../vector/vector.h"
#define NAME(kernel) kernel##__avx512
#define TILES 2
#define ROWS 12
#define REGISTERS 32
#define QUERIES 12
#include "../vector/attention.h"
#include "../vector/elementwise.h"
#define HAS_BF16_DOT 0
#include "../vector/matmul_bf16_dot.h"
#define SHRINK_SUMS 24
#define EXPAND_TILES 2
#define EXPAND_FLOAT_ROWS 8
#include "../vector/low_rank.h"
#include "../vector/matmul_float.h"
#include "../vector/quantize.h"
#include "matmul_quantized_avx512.h"
#define EXPAND_ROWS 4
#include "expand_avx512.h"
#include "expand_block.h"
#include "../vector/expand.h"
TARGET_END

const weft_kernels weft_kernels_avx512 = {
    .isa = "avx512",
#define X(name, ret, args) .name = name##__avx512,
    KERNELS(X)
#undef X
};
#endif
