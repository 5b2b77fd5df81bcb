// SPDX-License-Identifier: Apache-2.0
// From f32 to quantised blocks: load time and file making, not tiered, no allocation. The block layouts are GGUF's (ggml's
// `block_*`); DType in WeftTensors names them.
//
// With importance, every encoder minimises sum_i w[i] (x[i] - decoded[i])^2 over the scales, minima and quants of a block, where
// w is the importance of the column. It searches scales, assigns every value to its nearest level, solves for the best scale
// given that assignment (weighted least squares), and repeats while that helps; then it rounds the scales as the format
// does and assigns again. A row's bytes depend on that row and the importance alone.
// Without importance w is 1, except where the least squared error was measured to cost perplexity (demo model, 79,560 tokens of
// 60 novels, F32 63.96; llama.cpp's quantisation, least squares, this):
//   q4_k   0.1 + x^2 / mean x^2 of the group        Q4_K_M 64.07, 64.49, 63.98; Q4_K_S 64.27, 64.59, 64.00
//   q4_0   largest magnitude at level -8, no search        64.23, 64.62, 64.23
//   q4_1   smallest at level 0, largest at 15, no search   64.02, 64.54, 64.06
#pragma once
#include <stddef.h>

// 1 for the formats that weft_quantize_rows writes: q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k, iq4_nl.
int weft_can_quantize(int format);

// Encodes `rows` rows of `cols` values each (row r at x + r * cols) one after the other into `w`, in file layout.
//   cols         a multiple of the format's block
//   importance   [cols] non-negative weights of the columns, the same for all rows; NULL for all equal
// x must be finite. A block whose scale exceeds what f16 holds gets an infinite scale; weft_first_non_finite finds it.
void weft_quantize_rows(void *w, int format, const float *x, size_t rows, size_t cols, const float *importance);
