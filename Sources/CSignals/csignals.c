#include "csignals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

static atomic_uint flags;
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a handler may touch lock-free atomics only");

static void raise_flag(int number) {
  unsigned flag = number == SIGUSR1   ? LF_SIGNAL_USR1
                  : number == SIGUSR2 ? LF_SIGNAL_USR2
                  : number == SIGTERM ? LF_SIGNAL_TERM
                                      : LF_SIGNAL_INT;
  atomic_fetch_or_explicit(&flags, flag, memory_order_relaxed);
}

static int install(int number, void (*handler)(int), int options) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = options;
  sigemptyset(&action.sa_mask);
  return sigaction(number, &action, 0) == 0 ? 0 : errno;
}

int lf_signals_install(void) {
  int error = install(SIGUSR1, raise_flag, SA_RESTART);
  if (!error) error = install(SIGUSR2, raise_flag, SA_RESTART);
  if (!error) error = install(SIGTERM, raise_flag, SA_RESTART);
  if (!error) error = install(SIGINT, raise_flag, SA_RESTART | SA_RESETHAND);
  if (!error) error = install(SIGPIPE, SIG_IGN, 0);
  if (!error) error = install(SIGXFSZ, SIG_IGN, 0);
  return error;
}

unsigned lf_signals_pending(void) {
  return atomic_load_explicit(&flags, memory_order_relaxed);
}

unsigned lf_signals_take(void) {
  return atomic_exchange_explicit(&flags, 0, memory_order_relaxed);
}
