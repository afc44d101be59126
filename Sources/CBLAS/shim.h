#include <cblas.h>

// What the metrics need of LAPACK, which OpenBLAS holds under its Fortran names; column-major.

// Symmetric eigenvalue problem by divide and conquer.
void dsyevd_(const char *job, const char *triangle, const int *n, double *a, const int *lda,
             double *eigenvalues, double *work, const int *work_size, int *integer_work,
             const int *integer_work_size, int *info);
// Singular values by divide and conquer.
void dgesdd_(const char *job, const int *m, const int *n, double *a, const int *lda,
             double *singular_values, double *u, const int *ldu, double *vt, const int *ldvt,
             double *work, const int *work_size, int *integer_work, int *info);
// Solution of A·x = b with symmetric positive definite A, by Cholesky.
void dposv_(const char *triangle, const int *n, const int *columns, double *a, const int *lda,
            double *b, const int *ldb, int *info);
