#include "ckernels.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

void lf_keep_heap(void) {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 16 << 20);
#endif
}

void lf_trim_heap(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}
