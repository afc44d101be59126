#include "csignals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

static atomic_uint flags;
static atomic_int installed;

static void fill(sigset_t *set) {
  sigemptyset(set);
  sigaddset(set, SIGUSR1);
  sigaddset(set, SIGUSR2);
  sigaddset(set, SIGTERM);
  sigaddset(set, SIGINT);
}

// Waits for the signals in a thread of its own. No other thread ever runs a handler: the generated
// code of oneDNN's matrix products uses the stack pointer for other purposes, and a signal frame
// written there destroys the heap.
static void *listen(void *context) {
  (void)context;
  sigset_t set;
  fill(&set);
  int interrupts = 0;
  for (;;) {
    int number = 0;
    if (sigwait(&set, &number) != 0) continue;
    if (number == SIGINT && ++interrupts > 1) {
      signal(SIGINT, SIG_DFL);
      sigset_t interrupt;
      sigemptyset(&interrupt);
      sigaddset(&interrupt, SIGINT);
      pthread_sigmask(SIG_UNBLOCK, &interrupt, 0);
      raise(SIGINT);
    }
    unsigned flag = number == SIGUSR1   ? LF_SIGNAL_USR1
                    : number == SIGUSR2 ? LF_SIGNAL_USR2
                    : number == SIGTERM ? LF_SIGNAL_TERM
                                        : LF_SIGNAL_INT;
    atomic_fetch_or_explicit(&flags, flag, memory_order_relaxed);
  }
  return 0;
}

int lf_signals_install(void) {
  struct sigaction ignore;
  memset(&ignore, 0, sizeof ignore);
  ignore.sa_handler = SIG_IGN;
  sigemptyset(&ignore.sa_mask);
  if (sigaction(SIGPIPE, &ignore, 0) != 0 || sigaction(SIGXFSZ, &ignore, 0) != 0) return errno;
  // Threads made from here on, OpenMP's and MPI's among them, inherit the mask.
  sigset_t set;
  fill(&set);
  int error = pthread_sigmask(SIG_BLOCK, &set, 0);
  if (error || atomic_exchange(&installed, 1)) return error;
  pthread_t thread;
  error = pthread_create(&thread, 0, listen, 0);
  if (!error) error = pthread_detach(thread);
  return error;
}

unsigned lf_signals_take(void) {
  return atomic_exchange_explicit(&flags, 0, memory_order_relaxed);
}
