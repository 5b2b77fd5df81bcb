// SPDX-License-Identifier: Apache-2.0
// What NEON does faster with matrix products of int8 (Armv8.6, FEAT_I8MM): products with quantised weights. The rest is the NEON
// tier's.
#if defined(__aarch64__)
#include <arm_neon.h>

#include "../formats/packed.h"
#include "../tiers.h"
#include "../vector/rows_in_cache.h"

TARGET_BEGIN("dotprod,i8mm")
#include "../vector/vector.h"
#define NAME(kernel) kernel##__neon_i8mm
#define ROWS 4
#define I8MM 1
#include "matmul_quantized_neon.h"
TARGET_END

const weft_kernels weft_kernels_neon_i8mm = {
    .isa = "neon_i8mm",
#define X(name, format) .name = name##__neon_i8mm,
    QUANTIZED_KERNELS(X)
#undef X
};
#endif
