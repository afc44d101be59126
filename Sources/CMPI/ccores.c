#define _GNU_SOURCE
#include "ccores.h"
#include <sched.h>
#include <unistd.h>

int lf_usable_cores(void) {
#if defined(__linux__)
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) return CPU_COUNT(&mask);
#endif
  return (int)sysconf(_SC_NPROCESSORS_ONLN);
}
