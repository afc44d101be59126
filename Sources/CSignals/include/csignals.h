#ifndef LATENTFLOW_CSIGNALS_H
#define LATENTFLOW_CSIGNALS_H

// Flags that a listening thread sets and the training loop reads.

enum {
  LF_SIGNAL_USR1 = 1,
  LF_SIGNAL_USR2 = 2,
  LF_SIGNAL_TERM = 4,
  LF_SIGNAL_INT = 8
};

/// Blocks USR1, USR2, TERM and INT in the calling thread and those it makes later, starts the
/// thread that waits for them, and ignores SIGPIPE and SIGXFSZ (their calls fail instead).  Call it
/// before any other thread exists.  A second SIGINT ends the process as usual.
/// Returns 0, or errno.
int lf_signals_install(void);

/// The flags that are set, and clears them.
unsigned lf_signals_take(void);

#endif
