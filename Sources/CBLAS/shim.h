#include <cblas.h>

// LAPACK's symmetric eigenvalue solver, which OpenBLAS holds under its Fortran name.
void dsyev_(const char *job, const char *triangle, const int *n, double *a, const int *lda,
            double *eigenvalues, double *work, const int *work_size, int *info);
