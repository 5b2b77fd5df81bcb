// SPDX-License-Identifier: Apache-2.0
// From f32 to quantised blocks: load time and file making, not tiered, no allocation. The block layouts are GGUF's (ggml's
// `block_*`); DType in WeftTensors names them.
//
// Every encoder minimises sum_i w[i] (x[i] - decoded[i])^2 over the scales, minima and quants of a block, where w is the
// importance of the column, or 1. It searches scales, assigns every value to its nearest level, solves for the best scale
// given that assignment (weighted least squares), and repeats while that helps; then it rounds the scales as the format
// does and assigns again. A row's bytes depend on that row and the importance alone.
#pragma once
#include <stddef.h>

// 1 for the formats that weft_quantize_rows writes: q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k, iq4_nl.
int weft_can_quantize(int format);

// Encodes `rows` rows of `cols` values each (row r at x + r * cols) one after the other into `w`, in file layout.
//   cols         a multiple of the format's block
//   importance   [cols] non-negative weights of the columns, the same for all rows; NULL for all equal
// x must be finite. A block whose scale exceeds what f16 holds gets an infinite scale; weft_first_non_finite finds it.
void weft_quantize_rows(void *w, int format, const float *x, size_t rows, size_t cols, const float *importance);
