// SPDX-License-Identifier: Apache-2.0
// Discrete Fourier transforms of any length, and the forms that need them.
//
// The mixed-radix transform is Stockham's: every pass reads one array and writes the other in the order that the next pass
// wants, so that nothing is ever permuted. After passes of radices p1 ... pj, `stride` = p1 ... pj; a pass of radix p over
// sub-transforms of n = length / stride points takes, for pair < n / p and q < stride,
//   in[q + stride (pair + j n / p)], j < p   to   out[q + stride (p pair + k)] = exp(2 pi i pair k / n) sum_j in_j exp(2 pi i j k / p).
#include <string.h>

#include "../include/structured.h"

typedef struct {
  float *re, *im;
} complex_array;

typedef struct {
  float re, im;
} complex_number;

static complex_number root(const float *table, size_t index) {
  return (complex_number){table[2 * index], table[2 * index + 1]};
}

// Two is frequent, and needs no multiplication but the twiddle.
static void pass_2(complex_array out, complex_array in, const float *roots, size_t length, size_t stride) {
  size_t half = length / 2;
  for (size_t pair = 0; pair < half / stride; pair++) {
    complex_number w = root(roots, pair * stride);
    const float *ar = in.re + stride * pair, *ai = in.im + stride * pair, *br = ar + half, *bi = ai + half;
    float *restrict sr = out.re + 2 * stride * pair, *restrict si = out.im + 2 * stride * pair;
    float *restrict dr = sr + stride, *restrict di = si + stride;
    for (size_t q = 0; q < stride; q++) {
      float re = ar[q] - br[q], im = ai[q] - bi[q];
      sr[q] = ar[q] + br[q];
      si[q] = ai[q] + bi[q];
      dr[q] = re * w.re - im * w.im;
      di[q] = re * w.im + im * w.re;
    }
  }
}

static void pass_4(complex_array out, complex_array in, const float *roots, size_t length, size_t stride) {
  size_t quarter = length / 4;
  for (size_t pair = 0; pair < quarter / stride; pair++) {
    size_t step = pair * stride;
    complex_number w1 = root(roots, step), w2 = root(roots, 2 * step), w3 = root(roots, 3 * step);
    const float *ar = in.re + step, *ai = in.im + step;
    float *restrict zr = out.re + 4 * step, *restrict zi = out.im + 4 * step;
    for (size_t q = 0; q < stride; q++) {
      float r0 = ar[q], r1 = ar[q + quarter], r2 = ar[q + 2 * quarter], r3 = ar[q + 3 * quarter];
      float i0 = ai[q], i1 = ai[q + quarter], i2 = ai[q + 2 * quarter], i3 = ai[q + 3 * quarter];
      float even_r = r0 + r2, even_i = i0 + i2, odd_r = r1 + r3, odd_i = i1 + i3;
      float left_r = r0 - r2, left_i = i0 - i2, right_r = r1 - r3, right_i = i1 - i3;
      zr[q] = even_r + odd_r;
      zi[q] = even_i + odd_i;
      float k1r = left_r - right_i, k1i = left_i + right_r;  // left + i right
      float k2r = even_r - odd_r, k2i = even_i - odd_i;
      float k3r = left_r + right_i, k3i = left_i - right_r;
      zr[q + stride] = k1r * w1.re - k1i * w1.im;
      zi[q + stride] = k1r * w1.im + k1i * w1.re;
      zr[q + 2 * stride] = k2r * w2.re - k2i * w2.im;
      zi[q + 2 * stride] = k2r * w2.im + k2i * w2.re;
      zr[q + 3 * stride] = k3r * w3.re - k3i * w3.im;
      zi[q + 3 * stride] = k3r * w3.im + k3i * w3.re;
    }
  }
}

// z[q] += w a[q]
static void add_rotated(complex_array z, const float *ar, const float *ai, complex_number w, size_t n) {
  float *restrict zr = z.re, *restrict zi = z.im;
  for (size_t q = 0; q < n; q++) {
    zr[q] += ar[q] * w.re - ai[q] * w.im;
    zi[q] += ar[q] * w.im + ai[q] * w.re;
  }
}

// Any radix: both factors of a term are one root, of index j k / p + pair k / n turns.
static void pass_any(complex_array out, complex_array in, const float *roots, size_t length, size_t stride, size_t p) {
  size_t part = length / p;
  for (size_t pair = 0; pair < part / stride; pair++) {
    for (size_t k = 0; k < p; k++) {
      size_t place = stride * (p * pair + k);
      complex_array z = {out.re + place, out.im + place};
      memset(z.re, 0, stride * sizeof(float));
      memset(z.im, 0, stride * sizeof(float));
      for (size_t j = 0; j < p; j++) {
        size_t from = stride * pair + j * part;
        add_rotated(z, in.re + from, in.im + from, root(roots, (j * k % p * part + pair * k * stride) % length), stride);
      }
    }
  }
}

// In place on `x`, with the other array as room.
static void mixed_radix(const weft_transform *t, complex_array x, complex_array room) {
  complex_array in = x, out = room;
  size_t stride = 1;
  for (size_t i = 0; i < t->radix_count; i++) {
    size_t p = t->radices[i];
    if (p == 2) pass_2(out, in, t->roots, t->length, stride);
    else if (p == 4) pass_4(out, in, t->roots, t->length, stride);
    else pass_any(out, in, t->roots, t->length, stride, p);
    stride *= p;
    complex_array written = out;
    out = in, in = written;
  }
  if (in.re != x.re) {
    memcpy(x.re, in.re, t->length * sizeof(float));
    memcpy(x.im, in.im, t->length * sizeof(float));
  }
}

size_t weft_transform_scratch(const weft_transform *t) { return (t->chirp ? 4 : 2) * t->length; }

// (re, im) *= w, or the conjugate of the product.
static void rotate(float *re, float *im, complex_number w, float sign) {
  float real = *re * w.re - *im * w.im;
  *im = sign * (*re * w.im + *im * w.re);
  *re = real;
}

void weft_transform_run(const weft_transform *t, float *re, float *im, float *scratch) {
  complex_array room = {scratch, scratch + t->length};
  if (!t->chirp) {
    mixed_radix(t, (complex_array){re, im}, room);
    return;
  }
  // With j k = (j^2 + k^2 - (k - j)^2) / 2: z[k] = chirp[k] sum_j (chirp[j] x[j]) conj(chirp[k - j]), a convolution, which is a
  // product of transforms; the transform back has the other sign, so that conjugates go in and come out.
  complex_array a = {scratch + 2 * t->length, scratch + 3 * t->length};
  memset(a.re, 0, 2 * t->length * sizeof(float));
  for (size_t j = 0; j < t->count; j++) {
    a.re[j] = re[j], a.im[j] = im[j];
    rotate(a.re + j, a.im + j, root(t->chirp, j), 1);
  }
  mixed_radix(t, a, room);
  for (size_t f = 0; f < t->length; f++) rotate(a.re + f, a.im + f, root(t->chirp_filter, f), -1);
  mixed_radix(t, a, room);
  for (size_t k = 0; k < t->count; k++) {
    re[k] = a.re[k], im[k] = -a.im[k];
    rotate(re + k, im + k, root(t->chirp, k), 1);
  }
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

// The transform of x [in], the coefficients times that [out], and what the transforms need.
size_t weft_fourier_scratch(const weft_fourier *op) {
  return 2 * op->columns.count + 2 * op->rows.count
         + larger(weft_transform_scratch(&op->columns), weft_transform_scratch(&op->rows));
}

void weft_fourier_apply(
    const weft_fourier *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch) {
  size_t in = op->columns.count, out = op->rows.count;
  const weft_sparse *c = &op->coefficients;
  float *xr = scratch, *xi = xr + in, *zr = xi + in, *zi = zr + out, *rest = zi + out;
  memcpy(xr, x, in * sizeof(float));
  memset(xi, 0, in * sizeof(float));
  weft_transform_run(&op->columns, xr, xi, rest);
  for (size_t k = 0; k < out; k++) {
    double re = 0, im = 0;
    for (uint32_t i = c->starts[k]; i < c->starts[k + 1]; i++) {
      re += (double)c->values[i] * xr[c->columns[i]];
      im += (double)c->values[i] * xi[c->columns[i]];
    }
    zr[k] = (float)re, zi[k] = (float)im;
  }
  weft_transform_run(&op->rows, zr, zi, rest);
  float divided = (float)((double)weight / ((double)out * (double)in));
  for (size_t row = row_begin; row < row_end; row++) y[row - row_begin] += divided * zr[row];
}

// The transforms of all blocks of x [block_columns, half], of one block of y [b], and what a transform needs.
size_t weft_circulant_scratch(const weft_circulant *op) {
  size_t b = op->transform.count, half = b / 2 + 1;
  return 2 * op->block_columns * half + 2 * b + weft_transform_scratch(&op->transform);
}

void weft_circulant_apply(
    const weft_circulant *op, float *y, const float *x, float weight, size_t row_begin, size_t row_end, float *scratch) {
  size_t b = op->transform.count, half = b / 2 + 1, columns = op->block_columns;
  float *xr = scratch, *xi = xr + columns * half, *zr = xi + columns * half, *zi = zr + b, *rest = zi + b;
  for (size_t q = 0; q < columns; q++) {
    memcpy(zr, x + q * b, b * sizeof(float));
    memset(zi, 0, b * sizeof(float));
    weft_transform_run(&op->transform, zr, zi, rest);
    memcpy(xr + q * half, zr, half * sizeof(float));
    memcpy(xi + q * half, zi, half * sizeof(float));
  }
  for (size_t row = row_begin; row < row_end;) {
    size_t p = row / b, begin = row % b, end = row_end - row < b - begin ? begin + row_end - row : b;
    memset(zr, 0, 2 * b * sizeof(float));
    for (size_t q = 0; q < columns; q++) {
      const float *k = op->spectra + 2 * half * (p * columns + q), *r = xr + q * half, *i = xi + q * half;
      for (size_t f = 0; f < half; f++) {
        zr[f] += r[f] * k[2 * f] - i[f] * k[2 * f + 1];
        zi[f] += r[f] * k[2 * f + 1] + i[f] * k[2 * f];
      }
    }
    // The block of y is real: its spectrum at b - f is the conjugate of that at f, and the transform back is the transform of
    // the conjugates.
    for (size_t f = 1; f < half; f++) {
      zr[b - f] = zr[f], zi[b - f] = zi[f];
      if (b - f != f) zi[f] = -zi[f];
    }
    weft_transform_run(&op->transform, zr, zi, rest);
    for (size_t t = begin; t < end; t++, row++) y[row - row_begin] += weight * zr[t];
  }
}
