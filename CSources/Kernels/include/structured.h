// SPDX-License-Identifier: Apache-2.0
//
// Changes of a weight matrix D [out, in] that are kept in a small form: y += weight * D x without D. One file per form in
// structured/. As in kernels.h nothing allocates, locks or checks its arguments; WeftTensors (StructuredMatrix) checks once.
// There is one implementation for every machine: plain C with f32 sums over at least 16 partial sums, or f64.
//
// Every form has a description, which borrows its factors from the caller, and
//   weft_FORM_scratch(op)                                            floats of scratch that one call needs
//   weft_FORM_apply(op, y, x, weight, row_begin, row_end, scratch)   y[i] += weight * (D x)[row_begin + i]
// for the rows [row_begin, row_end) of D; x has `in` values. y overlaps neither x nor scratch. The value of a row does not depend
// on which other rows are asked for. Matrices are row-major. Complex numbers are pairs (real, imaginary) in tables and two
// arrays (all real parts, then all imaginary parts) in scratch.
#pragma once
#include <stddef.h>
#include <stdint.h>

// D = w [out, in], f32, f16 or bf16 (`format` as in kernels.h), finite.
typedef struct weft_dense {
  size_t out, in;
  int format;
  const void *w;
} weft_dense;

size_t weft_dense_scratch(const weft_dense *op);
void weft_dense_apply(
    const weft_dense *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch);

// Some rows of D: row indices[i] is row i of w [count, in]; the others are zero. Indices ascend.
typedef struct weft_rows {
  size_t in, count;
  const uint32_t *indices;
  const float *w;
} weft_rows;

size_t weft_rows_scratch(const weft_rows *op);
void weft_rows_apply(
    const weft_rows *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch);

// Single elements of a matrix: those of row r are values[i] in column columns[i] for i in [starts[r], starts[r + 1]).
typedef struct weft_sparse {
  const uint32_t *starts;
  const uint32_t *columns;
  const float *values;
} weft_sparse;

// D = the elements.
size_t weft_sparse_scratch(const weft_sparse *op);
void weft_sparse_apply(
    const weft_sparse *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch);

// D[r, c] = +1 or -1: bit c mod 32 of planes[r][c / 32] is set where it is +1. A row has ceil(in / 32) words.
typedef struct weft_signs {
  size_t in;
  const uint32_t *planes;
} weft_signs;

size_t weft_signs_scratch(const weft_signs *op);
void weft_signs_apply(
    const weft_signs *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch);

// D = (a1 b1) o (a2 b2), elementwise, with a1 [out, rank1], b1 [rank1, in], a2 [out, rank2], b2 [rank2, in]:
// y[o] = a1[o] M a2[o]' with M = b1 diag(x) b2' [rank1, rank2].
typedef struct weft_hadamard {
  size_t in, rank1, rank2;
  const float *a1, *b1, *a2, *b2;
} weft_hadamard;

size_t weft_hadamard_scratch(const weft_hadamard *op);
void weft_hadamard_apply(
    const weft_hadamard *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch);

// One factor of a Kronecker product [rows, columns]: `full`, or, where that is NULL, left [rows, rank] right [rank, columns].
typedef struct weft_kronecker_factor {
  size_t rows, columns, rank;
  const float *full, *left, *right;
} weft_kronecker_factor;

// D = first (x) second: D[a * second.rows + b, c * second.columns + d] = first[a, c] second[b, d].
typedef struct weft_kronecker {
  weft_kronecker_factor first, second;
} weft_kronecker;

size_t weft_kronecker_scratch(const weft_kronecker *op);
void weft_kronecker_apply(
    const weft_kronecker *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch);

// A discrete Fourier transform of `count` points, with the sign of the inverse one and no division:
// z[k] = sum_j x[j] exp(2 pi i j k / count). By mixed radices where count has small prime factors only; else as a convolution
// (Bluestein) of `length` points.
typedef struct weft_transform {
  size_t count;
  size_t length;               // points of the mixed-radix transform: count, or a power of two >= 2 count - 1
  size_t radix_count;
  const uint32_t *radices;     // [radix_count], their product is length
  const float *roots;          // [length] complex: exp(2 pi i j / length)
  const float *chirp;          // [count] complex: exp(pi i j^2 / count); NULL for mixed radix
  const float *chirp_filter;   // [length] complex: the transform of the conjugate chirp, for j in (-count, count), divided by length
} weft_transform;

size_t weft_transform_scratch(const weft_transform *t);
// In place on re [count] and im [count].
void weft_transform_run(const weft_transform *t, float *re, float *im, float *scratch);

// D = real part of the inverse 2-D transform of a matrix C that is zero but for some elements (FourierFT):
// D[o, i] = 1 / (out in) Re sum_{k, l} C[k, l] exp(2 pi i (k o / out + l i / in)).
typedef struct weft_fourier {
  weft_transform rows, columns;  // of out and of in points
  weft_sparse coefficients;      // [out, in]
} weft_fourier;

size_t weft_fourier_scratch(const weft_fourier *op);
void weft_fourier_apply(
    const weft_fourier *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch);

// One axis of a one-level wavelet synthesis with filters low, high [taps] from `half` low and `half` high coefficients:
// value[p] = sum_c low[p + shift - 2 c] coefficient[c] + high[p + shift - 2 c] coefficient[half + c].
typedef struct weft_synthesis {
  size_t count;  // values
  size_t half, taps, shift;
  const float *low, *high;
} weft_synthesis;

// D = the 2-D synthesis of a matrix that is zero but for some elements (WaveFT); coefficients [2 rows.half, 2 columns.half], low
// before high on both axes.
typedef struct weft_wavelet {
  weft_synthesis rows, columns;  // to out and to in values
  weft_sparse coefficients;
} weft_wavelet;

size_t weft_wavelet_scratch(const weft_wavelet *op);
void weft_wavelet_apply(
    const weft_wavelet *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch);

// Blocks of circulant matrices (C3A), without its divisor: with b = transform.count,
// D[p b + t, q b + j] = kernel[p, q, (j - t) mod b].
typedef struct weft_circulant {
  size_t block_rows, block_columns;
  weft_transform transform;
  // [block_rows, block_columns, b / 2 + 1] complex: sum_u kernel[p, q, u] exp(-2 pi i u f / b) / b for f <= b / 2
  const float *spectra;
} weft_circulant;

size_t weft_circulant_scratch(const weft_circulant *op);
void weft_circulant_apply(
    const weft_circulant *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch);

// D = u core v with u [out, rank] and v [rank, in] in a format (f32, f16 or bf16), core [rank, rank] in f32.
typedef struct weft_basis {
  size_t out, in, rank;
  int format;
  const void *u, *v;
  const float *core;
} weft_basis;

size_t weft_basis_scratch(const weft_basis *op);
void weft_basis_apply(
    const weft_basis *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch);

// D = (mb o b)(ma o a) with b [out, rank] and a [rank, in] in a format, and masks of bits: bit c mod 32 of word c / 32 of a row says
// whether column c counts. A row of ma has ceil(in / 32) words, of mb ceil(rank / 32).
typedef struct weft_masked {
  size_t out, in, rank;
  int format;
  const void *a, *b;
  const uint32_t *ma, *mb;
} weft_masked;

size_t weft_masked_scratch(const weft_masked *op);
void weft_masked_apply(
    const weft_masked *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch);
