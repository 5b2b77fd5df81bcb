// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stddef.h>

// How many rows of activations to multiply with a strip of weights before moving on: they should stay in half of a 1 MiB L2
// while the weights stream past. A multiple of 24, which the row counts of the inner loops divide.
static inline size_t rows_in_cache(size_t row_bytes) {
  size_t rows = ((size_t)512 << 10) / (row_bytes ? row_bytes : 1) / 24 * 24;
  return rows < 24 ? 24 : rows;
}
