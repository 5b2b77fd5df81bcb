// SPDX-License-Identifier: Apache-2.0
#include "include/memory.h"

#include <stdlib.h>  // __GLIBC__

#if defined(__GLIBC__)
#include <malloc.h>

size_t weft_heap_bytes(void) {
  struct mallinfo2 heap = mallinfo2();
  return heap.uordblks + heap.hblkhd;
}

void weft_heap_trim(void) { malloc_trim(0); }
#else
size_t weft_heap_bytes(void) { return 0; }
void weft_heap_trim(void) {}
#endif
