// SPDX-License-Identifier: Apache-2.0
// What every tier gives to the table. Internal.
#pragma once
#include "include/kernels.h"

#pragma GCC visibility push(hidden)
extern const weft_kernels weft_kernels_scalar;
#if defined(__aarch64__)
extern const weft_kernels weft_kernels_neon, weft_kernels_neon_i8mm;
#endif
#if defined(__x86_64__)
extern const weft_kernels weft_kernels_avx2;
extern const weft_kernels weft_kernels_avx512, weft_kernels_avx512_bf16;
#endif

// The kernels of one tier, so that a tier can be several files.
#define X(name, ret, args) ret name##__scalar args;
KERNELS(X)
#undef X
#define X(name, ret, args) ret name##__avx2 args;
KERNELS(X)
#undef X
#define X(name, ret, args) ret name##__avx512 args;
KERNELS(X)
#undef X
#define X(name, ret, args) ret name##__neon args;
KERNELS(X)
#undef X
#define X(name, ret, args) ret name##__neon_i8mm args;
KERNELS(X)
#undef X
#pragma GCC visibility pop

// Code between BEGIN and END may use the named instruction sets, whatever the compiler flags are.
#define TARGET_BEGIN(features) _Pragma(TARGET_TEXT(clang attribute push(__attribute__((target(features))), apply_to = function)))
#define TARGET_TEXT(x) #x
#define TARGET_END _Pragma("clang attribute pop")
