// SPDX-License-Identifier: Apache-2.0
// The encoders of single blocks: x and w hold the values and their weights, 32 or 256 of each. Internal. An encoder without
// search ends in `_range`: its scale follows from the ends of the range alone, and it has no use for weights.
#pragma once
#include "fit.h"

typedef void encode_block(uint8_t *block, const float *x, const float *w);

encode_block encode_block_q8_0, encode_block_q4_0, encode_block_q4_1, encode_block_q5_0, encode_block_q5_1;
encode_block encode_block_q4_0_range, encode_block_q4_1_range;
encode_block encode_block_q4_k, encode_block_q5_k, encode_block_q6_k, encode_block_iq4_nl;
