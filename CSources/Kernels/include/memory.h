// SPDX-License-Identifier: Apache-2.0
//
// The heap of this process, as malloc.h of the C library tells it: Swift's Glibc module leaves that header out.
#pragma once
#include <stddef.h>

// Bytes that are allocated now, by everybody in the process.
size_t weft_heap_bytes(void);
// Gives what is free back to the system.
void weft_heap_trim(void);
