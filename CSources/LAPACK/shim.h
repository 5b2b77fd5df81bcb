// SPDX-License-Identifier: Apache-2.0
#ifndef WEFT_LAPACK_H
#define WEFT_LAPACK_H

#include <stddef.h>
#include <stdint.h>

// The Fortran symbols of BLAS and LAPACK (https://netlib.org/lapack/explore-html) that Weft calls, as gfortran compiles them:
// everything by address, integers of 32 bits, matrices by columns, and the length of every text as a size_t behind all others.
// OpenBLAS brings them all in one library; its own headers differ between versions and distributions, these symbols do not.

// C <- alpha op(A) op(B) + beta C
void sgemm_(const char *op_a, const char *op_b, const int32_t *m, const int32_t *n, const int32_t *k, const float *alpha,
            const float *a, const int32_t *lda, const float *b, const int32_t *ldb, const float *beta, float *c,
            const int32_t *ldc, size_t op_a_length, size_t op_b_length);
void dgemm_(const char *op_a, const char *op_b, const int32_t *m, const int32_t *n, const int32_t *k, const double *alpha,
            const double *a, const int32_t *lda, const double *b, const int32_t *ldb, const double *beta, double *c,
            const int32_t *ldc, size_t op_a_length, size_t op_b_length);

// A = U diag(S) V^T by divide and conquer; iwork has 8 min(m, n) elements.
void sgesdd_(const char *job, const int32_t *m, const int32_t *n, float *a, const int32_t *lda, float *s, float *u,
             const int32_t *ldu, float *vt, const int32_t *ldvt, float *work, const int32_t *lwork, int32_t *iwork,
             int32_t *info, size_t job_length);
void dgesdd_(const char *job, const int32_t *m, const int32_t *n, double *a, const int32_t *lda, double *s, double *u,
             const int32_t *ldu, double *vt, const int32_t *ldvt, double *work, const int32_t *lwork, int32_t *iwork,
             int32_t *info, size_t job_length);

// A = Q R by Householder reflections, and Q from them.
void sgeqrf_(const int32_t *m, const int32_t *n, float *a, const int32_t *lda, float *tau, float *work, const int32_t *lwork,
             int32_t *info);
void dgeqrf_(const int32_t *m, const int32_t *n, double *a, const int32_t *lda, double *tau, double *work,
             const int32_t *lwork, int32_t *info);
void sorgqr_(const int32_t *m, const int32_t *n, const int32_t *k, float *a, const int32_t *lda, const float *tau, float *work,
             const int32_t *lwork, int32_t *info);
void dorgqr_(const int32_t *m, const int32_t *n, const int32_t *k, double *a, const int32_t *lda, const double *tau,
             double *work, const int32_t *lwork, int32_t *info);

// A X = B by LU with partial pivoting
void sgesv_(const int32_t *n, const int32_t *nrhs, float *a, const int32_t *lda, int32_t *ipiv, float *b, const int32_t *ldb,
            int32_t *info);
void dgesv_(const int32_t *n, const int32_t *nrhs, double *a, const int32_t *lda, int32_t *ipiv, double *b, const int32_t *ldb,
            int32_t *info);

// OpenBLAS's own: how many threads its later calls use.
void openblas_set_num_threads(int threads);

#endif
