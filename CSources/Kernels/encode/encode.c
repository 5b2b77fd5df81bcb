// SPDX-License-Identifier: Apache-2.0
// The table of encoders, and rows cut into blocks.
#include "../include/encode.h"

#include "../include/kernels.h"
#include "encode.h"

typedef struct encoder {
  encode_block *encode;
  size_t elements, bytes;
} encoder;

static const encoder ENCODERS[WEFT_WEIGHT_FORMATS] = {
    [WEFT_Q8_0] = {encode_block_q8_0, 32, 34},   [WEFT_Q4_0] = {encode_block_q4_0, 32, 18},
    [WEFT_Q4_1] = {encode_block_q4_1, 32, 20},   [WEFT_Q5_0] = {encode_block_q5_0, 32, 22},
    [WEFT_Q5_1] = {encode_block_q5_1, 32, 24},   [WEFT_Q4_K] = {encode_block_q4_k, 256, 144},
    [WEFT_Q5_K] = {encode_block_q5_k, 256, 176}, [WEFT_Q6_K] = {encode_block_q6_k, 256, 210},
    [WEFT_IQ4_NL] = {encode_block_iq4_nl, 32, 18},
};

int weft_can_quantize(int format) { return format >= 0 && format < WEFT_WEIGHT_FORMATS && ENCODERS[format].encode != NULL; }

void weft_quantize_rows(void *w, int format, const float *x, size_t rows, size_t cols, const float *importance) {
  const encoder *encoder = &ENCODERS[format];
  float weights[256];
  uint8_t *block = w;
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < cols; c += encoder->elements, block += encoder->bytes) {
      set_weights(weights, importance ? importance + c : NULL, encoder->elements);
      encoder->encode(block, x + r * cols + c, weights);
    }
}
