// SPDX-License-Identifier: Apache-2.0
// The NEON tier: Advanced SIMD with dot products (Armv8.2).
#if defined(__aarch64__)
#include <arm_neon.h>

#include "../formats/narrow.h"
#include "../formats/packed.h"
#include "../tiers.h"
#include "../vector/rows_in_cache.h"

TARGET_BEGIN("dotprod")
#include "../vector/vector.h"
#define NAME(kernel) kernel##__neon
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
#define I8MM 0
#include "matmul_quantized_neon.h"
#define EXPAND_ROWS 4
#include "expand_neon.h"
#include "../vector/expand.h"
TARGET_END

const weft_kernels weft_kernels_neon = {
    .isa = "neon",
#define X(name, ret, args) .name = name##__neon,
    KERNELS(X)
#undef X
};
#endif
