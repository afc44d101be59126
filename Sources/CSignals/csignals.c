#include "csignals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

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

// oneDNN's generated kernels use the stack pointer as a general register, pointing into their data:
// a signal frame pushed there overwrites the heap. The kernel hands signals to a process to its
// first thread, which runs the kernels too, so that thread takes them on a stack of their own.
static int use_own_stack(void) {
  stack_t stack;
  if (sigaltstack(0, &stack) != 0) return errno;
  if (!(stack.ss_flags & SS_DISABLE)) return 0;
  // Room for the frame of every register file, AMX tiles (8 KiB) included.
  size_t size = 128 << 10;
  void *base = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return errno;
  stack = (stack_t){.ss_sp = base, .ss_size = size};
  return sigaltstack(&stack, 0) == 0 ? 0 : errno;
}

int lf_signals_install(void) {
  int options = SA_RESTART | SA_ONSTACK;
  int error = use_own_stack();
  if (!error) error = install(SIGUSR1, raise_flag, options);
  if (!error) error = install(SIGUSR2, raise_flag, options);
  if (!error) error = install(SIGTERM, raise_flag, options);
  if (!error) error = install(SIGINT, raise_flag, options | SA_RESETHAND);
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
