#!/usr/bin/env bash
# Installs what is missing, builds in release mode and runs every test: the Swift ones (those that
# start mpirun too) and the shell ones of the scripts.
#
#   scripts/test.sh                  everything
#   scripts/test.sh --filter REGEX   only the Swift tests whose identifier matches, no shell tests
#   scripts/test.sh --shell          only the shell tests, no build
#
# The end repeats what failed; the last line is «N passed, N failed». Exit codes: 0 all passed, 1 a
# test failed or the build did, and setup.sh's where it could not prepare the machine.
set -euo pipefail
cd "$(dirname "$0")/.."

started=$SECONDS
phase() { printf '\n[%s, +%d s] %s\n' "$(date +%H:%M:%S)" $((SECONDS - started)) "$1"; }

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }

filter='' swift_tests=yes shell_tests=yes
while (($# > 0)); do
  case $1 in
    --filter)
      (($# >= 2)) || { echo "error: --filter needs a regular expression." >&2; exit 64; }
      filter=$2 shell_tests=no
      shift
      ;;
    --shell) swift_tests=no ;;
    --help | -h) usage; exit 0 ;;
    *) echo "error: unknown option $1; scripts/test.sh --help tells the options." >&2; exit 64 ;;
  esac
  shift
done

passed=0 failed=0
failures=$(mktemp)
trap 'rm -f "$failures"' EXIT

# Adds up the run's own accounts in the log $1 of a `swift test` that ended with status $2.  A test
# counts once, whatever its number of arguments.
count_swift_tests() {
  local log=$1 status=$2 total bad
  total=$(sed -n 's/.*Test run with \([0-9]*\) test.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
  bad=$(grep -E '^.{1,4} Test [^ ].* failed after [0-9.]+ seconds' "$log" \
    | grep -vcE '^.{1,4} Test run with [0-9]' || true)
  # A process that died wrote no account, and its status is the only witness.
  if ((status != 0 && bad == 0)); then
    bad=1
    total=$((total > 0 ? total : 1))
  fi
  if ((total == 0)); then
    echo "error: no test ran${filter:+: nothing matches the filter $filter}." >&2
    bad=1 total=1
  fi
  passed=$((passed + total - bad))
  failed=$((failed + bad))
}

run_swift_tests() {
  phase "build (release)"
  if ! swift build -c release --build-tests; then
    echo "error: the build failed; the compiler's words stand above." >&2
    failed=$((failed + 1))
    return
  fi
  phase "Swift tests"
  local log status=0
  log=$(mktemp)
  # One test at a time: every thread that calls the engine gets an OpenMP team of its own, and
  # several teams fight for the cores.
  swift test -c release --skip-build --disable-xctest --no-parallel \
    ${filter:+--filter "$filter"} 2>&1 | tee "$log" || status=$?
  count_swift_tests "$log" "$status"
  # An issue with the remarks below it, each line cut where a dump would bury the others.
  awk '/^✘ Test .* recorded an issue/ { on = 1; print; next } on && /^↳/ { print; next } { on = 0 }' "$log" \
    | cut -c1-600 >>"$failures"
  rm -f "$log"
}

run_shell_tests() {
  phase "shell tests"
  local script name
  for script in scripts/tests/*.sh; do
    name=$(basename "$script")
    [[ $name != support.sh ]] || continue
    local counts log status=0
    counts=$(mktemp) log=$(mktemp)
    TEST_COUNTS=$counts bash "$script" 2>&1 | tee "$log" || status=$?
    read -r ok bad <"$counts" || { ok=0 bad=0; }
    grep '^FAIL ' "$log" | sed "s/^/$name: /" | cut -c1-600 >>"$failures" || true
    rm -f "$counts" "$log"
    # Died before its account: one failure more.
    if ((status != 0 && bad == 0)); then bad=1; fi
    passed=$((passed + ok)) failed=$((failed + bad))
  done
}

phase "set-up"
if [[ $swift_tests == yes ]]; then scripts/setup.sh; fi
if [[ $swift_tests == yes ]]; then run_swift_tests; fi
if [[ $shell_tests == yes ]]; then run_shell_tests; fi
phase "end"
cat "$failures"
printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
