// SPDX-License-Identifier: Apache-2.0
// Start from the specification, overlay what is faster.
#include "include/kernels.h"
#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include "tiers.h"

static void overlay(weft_kernels *table, const weft_kernels *tier) {
  table->isa = tier->isa;
#define X(name, ret, args) \
  if (tier->name) table->name = tier->name;
  KERNELS(X)
#undef X
}

#if defined(__x86_64__)
// compiler-rt reads CPUID for the features and XGETBV for what the operating system saves.
int weft_isa_available(int isa) {
  __builtin_cpu_init();
  switch (isa) {
    case WEFT_ISA_SCALAR: return 1;
    case WEFT_ISA_AVX2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    case WEFT_ISA_AVX512:
      return weft_isa_available(WEFT_ISA_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
    default: return 0;
  }
}
#elif defined(__aarch64__)
// Linux says what a processor has beyond Armv8.0; Apple's all have dot products.
int weft_isa_available(int isa) {
  switch (isa) {
    case WEFT_ISA_SCALAR: return 1;
#if defined(__linux__)
    case WEFT_ISA_NEON: return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
    case WEFT_ISA_NEON_I8MM: return weft_isa_available(WEFT_ISA_NEON) && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
#elif defined(__APPLE__)
    case WEFT_ISA_NEON: return 1;
    case WEFT_ISA_NEON_I8MM: {
      int found = 0;
      size_t size = sizeof found;
      return sysctlbyname("hw.optional.arm.FEAT_I8MM", &found, &size, NULL, 0) == 0 && found;
    }
#endif
    default: return 0;
  }
}
#else
int weft_isa_available(int isa) { return isa == WEFT_ISA_SCALAR; }
#endif

weft_kernels weft_kernels_for(int isa) {
  weft_kernels table = weft_kernels_scalar;
#if defined(__x86_64__)
  if (isa >= WEFT_ISA_AVX2) overlay(&table, &weft_kernels_avx2);
  if (isa >= WEFT_ISA_AVX512) overlay(&table, &weft_kernels_avx512);
  if (isa >= WEFT_ISA_AVX512 && __builtin_cpu_supports("avx512bf16")) overlay(&table, &weft_kernels_avx512_bf16);
#elif defined(__aarch64__)
  if (isa >= WEFT_ISA_NEON) overlay(&table, &weft_kernels_neon);
  if (isa >= WEFT_ISA_NEON_I8MM) overlay(&table, &weft_kernels_neon_i8mm);
#else
  (void)isa;
  (void)overlay;
#endif
  return table;
}
