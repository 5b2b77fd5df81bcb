// SPDX-License-Identifier: Apache-2.0
#include "../tiers.h"

const weft_kernels weft_kernels_scalar = {
    .isa = "scalar",
#define X(name, ret, args) .name = name##__scalar,
    KERNELS(X)
#undef X
};
