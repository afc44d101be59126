// The part of libgomp that the engine calls. Declared here because gcc keeps omp.h in its own
// folder; the library itself arrives with OpenBLAS (openmp flavour) and oneDNN, which link it.
#pragma once
void GOMP_parallel(void (*body)(void *), void *context, unsigned threads, unsigned flags);
int omp_get_thread_num(void);
int omp_get_num_threads(void);
int omp_get_max_threads(void);
int omp_in_parallel(void);
void omp_set_num_threads(int threads);
void omp_set_dynamic(int dynamic);
