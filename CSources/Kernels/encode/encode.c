// SPDX-License-Identifier: Apache-2.0
// The table of encoders, and rows cut into blocks.
#include "../include/encode.h"

#include "../include/kernels.h"
#include "encode.h"

// What is done where nobody says which columns matter. The least squared error is not the least perplexity: with four bits it
// gives up large values, and those count. `range` and `magnitude` keep them (measured in weft_quantize_rows's header).
enum { LEAST_SQUARES, MAGNITUDE };

typedef struct encoder {
  encode_block *encode;
  encode_block *plain;  // without importance; NULL for `encode` with the weights that `prior` says
  int prior;
  size_t elements, bytes;
} encoder;

static const encoder ENCODERS[WEFT_WEIGHT_FORMATS] = {
    [WEFT_Q8_0] = {encode_block_q8_0, NULL, LEAST_SQUARES, 32, 34},
    [WEFT_Q4_0] = {encode_block_q4_0, encode_block_q4_0_range, LEAST_SQUARES, 32, 18},
    [WEFT_Q4_1] = {encode_block_q4_1, encode_block_q4_1_range, LEAST_SQUARES, 32, 20},
    [WEFT_Q5_0] = {encode_block_q5_0, NULL, LEAST_SQUARES, 32, 22},
    [WEFT_Q5_1] = {encode_block_q5_1, NULL, LEAST_SQUARES, 32, 24},
    [WEFT_Q4_K] = {encode_block_q4_k, NULL, MAGNITUDE, 256, 144},
    [WEFT_Q5_K] = {encode_block_q5_k, NULL, LEAST_SQUARES, 256, 176},
    [WEFT_Q6_K] = {encode_block_q6_k, NULL, LEAST_SQUARES, 256, 210},
    [WEFT_IQ4_NL] = {encode_block_iq4_nl, NULL, LEAST_SQUARES, 32, 18},
};

// Large values weigh more: 0.1 + x^2 over the mean square of their group of 32.
static void set_magnitudes(float *w, const float *x, size_t n) {
  for (size_t g = 0; g < n; g += 32) {
    float squares = 0;
    for (size_t i = g; i < g + 32; i++) squares += x[i] * x[i];
    float inverse = reciprocal(squares / 32);
    for (size_t i = g; i < g + 32; i++) w[i] = 0.1f + x[i] * x[i] * inverse;
  }
}

int weft_can_quantize(int format) { return format >= 0 && format < WEFT_WEIGHT_FORMATS && ENCODERS[format].encode != NULL; }

void weft_quantize_rows(void *w, int format, const float *x, size_t rows, size_t cols, const float *importance) {
  const encoder *encoder = &ENCODERS[format];
  float weights[256];
  uint8_t *block = w;
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < cols; c += encoder->elements, block += encoder->bytes) {
      const float *values = x + r * cols + c;
      int guided = set_weights(weights, importance ? importance + c : NULL, encoder->elements);
      if (!guided && encoder->prior == MAGNITUDE) set_magnitudes(weights, values, encoder->elements);
      (!guided && encoder->plain ? encoder->plain : encoder->encode)(block, values, weights);
    }
}
