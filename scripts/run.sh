#!/usr/bin/env bash
# Launches a command on N ranks of this machine with the settings that mpirun needs.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/run.sh N COMMAND [ARGUMENT …]

Runs COMMAND as N ranks under mpirun; with N = 1 directly, without MPI.
`latentflow` is taken from .build/release if it is not in PATH.

  scripts/run.sh 2 latentflow train configs/shapes-dit-demo.yaml

Signals: TERM, INT, HUP and USR1 reach every rank as USR1 (checkpoint and leave), USR2 as USR2
(checkpoint and go on); the script waits for the ranks. A second INT ends them at once.
Exit code: the command's; 75 means that it left after a checkpoint and can be queued again.

Environment:
  OMP_NUM_THREADS   compute threads per rank (default: cores / N, at least 1)
  LATENTFLOW_MPIRUN_ARGS   further options for mpirun, such as --hostfile hosts
TEXT
}

fail() {
  echo "error: $1" >&2
  echo "  scripts/run.sh --help shows how to use it" >&2
  exit 64
}

case "${1:-}" in
  -h | --help) usage; exit 0 ;;
  '') usage >&2; exit 64 ;;
esac
ranks=$1
shift
[[ $ranks =~ ^[1-9][0-9]*$ ]] || fail "ranks: found '$ranks', expected a whole number from 1"
[[ $# -ge 1 ]] || fail "no COMMAND given"

# The program: PATH first, then this checkout's build.
program=$1
shift
if [[ $program == latentflow ]] && ! command -v latentflow >/dev/null; then
  program=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.build/release/latentflow
  if [[ ! -x $program ]]; then
    echo "error: $program: not built" >&2
    echo "  run: swift build -c release --product latentflow" >&2
    exit 66
  fi
elif ! command -v "$program" >/dev/null; then
  echo "error: $program: not found, or not executable" >&2
  exit 66
fi

# nproc answers OMP_NUM_THREADS where that is set.
cores=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
threads=$((cores / ranks > 0 ? cores / ranks : 1))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$threads}
export OMP_PROC_BIND=${OMP_PROC_BIND:-false}
# OMP_NUM_THREADS may be a list, one number per nesting level; the first is the one that counts.
if ((ranks * ${OMP_NUM_THREADS%%,*} > cores)); then
  # Threads that wait must not spin on cores that others need.
  export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
  echo "warning: $ranks ranks × ${OMP_NUM_THREADS%%,*} threads on $cores cores" >&2
fi

if ((ranks == 1)); then
  launch=("$program" "$@")
else
  if ! command -v mpirun >/dev/null; then
    echo "error: mpirun: not found" >&2
    echo "  scripts/setup.sh installs it (apt: openmpi-bin)" >&2
    exit 66
  fi
  if ((EUID == 0)); then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi
  # --bind-to none: mpirun pins each of two ranks to one core, with all its threads.
  # --oversubscribe: otherwise mpirun refuses more ranks than physical cores, and counts no
  # hyperthreads; it changes nothing for fewer.
  # single_copy none: containers forbid cross-memory attach, and Open MPI then fails or warns;
  # gradients go through a shared window, so that little is lost elsewhere.
  options=(-q -np "$ranks" --bind-to none --oversubscribe)
  options+=(--mca btl_vader_single_copy_mechanism none)
  read -ra more <<<"${LATENTFLOW_MPIRUN_ARGS:-}"
  launch=(mpirun "${options[@]}" ${more[@]+"${more[@]}"} "$program" "$@")
fi

# mpirun kills its ranks a second after TERM or INT; USR1 it hands on, and the ranks take the time
# that their checkpoint needs. Monitor mode gives the child a process group of its own: Ctrl-C then
# reaches it through here alone.
set -m
child=
interrupted=0
interrupts=0
forward() {
  interrupted=1
  if [[ -n $child ]]; then kill -s "$1" "$child" 2>/dev/null || true; fi
}
interrupt() {
  interrupts=$((interrupts + 1))
  if ((interrupts == 1)); then
    echo "asked all ranks to leave; interrupt again to end at once" >&2
    forward USR1
  else
    forward TERM
  fi
}
trap interrupt INT
trap 'forward USR1' TERM HUP USR1
trap 'forward USR2' USR2

# mpirun dies, or loses its ranks, when the reader of its output goes away (`… | head`): what
# nobody wants to read any more is then thrown away here. Not ended by signals, so that the ranks'
# last words get through; ended by the end of its input.
relay() {
  trap '' INT TERM HUP USR1 USR2 PIPE
  cat 2>/dev/null || cat >/dev/null
}
relays=()
if ((ranks == 1)); then
  "${launch[@]}" <&0 &
  child=$!
else
  exec 3> >(relay)
  relays+=($!)
  exec 4> >(relay >&2)
  relays+=($!)
  "${launch[@]}" <&0 >&3 2>&4 3>&- 4>&- &
  child=$!
  exec 3>&- 4>&-
fi

# `wait` returns early when a trap runs: wait again, for the child's own status. A trap just after
# the child's end makes the next wait say 127, no such child: the status before it stays.
status=
while true; do
  interrupted=0
  waited=0
  wait "$child" || waited=$?
  if ((waited != 127)) || [[ -z $status ]]; then status=$waited; fi
  ((interrupted)) || break
done
for pid in ${relays[@]+"${relays[@]}"}; do
  # A trap in between is no reason to lose output.
  while kill -0 "$pid" 2>/dev/null; do wait "$pid" || true; done
done
exit "$status"
