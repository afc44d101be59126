#ifndef LATENTFLOW_CSIGNALS_H
#define LATENTFLOW_CSIGNALS_H

// Flags that signal handlers set and the training loop reads.  A handler written in Swift could
// allocate or lock; these only store to a lock-free atomic.

enum {
  LF_SIGNAL_USR1 = 1,
  LF_SIGNAL_USR2 = 2,
  LF_SIGNAL_TERM = 4,
  LF_SIGNAL_INT = 8
};

/// Installs the handlers, which run on a stack of their own on the calling thread, and ignores
/// SIGPIPE and SIGXFSZ: write then fails with EPIPE and EFBIG.  A second SIGINT ends the
/// process as usual.
/// Returns 0, or errno.
int lf_signals_install(void);

/// The flags that are set, and leaves them.
unsigned lf_signals_pending(void);

/// The flags that are set, and clears them.
unsigned lf_signals_take(void);

#endif
