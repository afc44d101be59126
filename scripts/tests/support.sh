# What the shell tests share: a table of rows, each a name, an expected status and an expected text.
# A test file sources this, calls `expect` for each row and `finish` at its end.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
passed=0 failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch" # a row may run as another user

# expect NAME STATUS TEXT COMMAND…: runs the command (output and errors together) and compares its
# status and, as a fixed string, a part of what it says.  `output` holds all of it afterwards.
expect() {
  local name=$1 status=$2 text=$3 found=0
  shift 3
  output=$("$@" 2>&1 </dev/null) || found=$?
  if [[ $found == "$status" && $output == *"$text"* ]]; then
    passed=$((passed + 1))
    printf 'ok    %s\n' "$name"
  else
    failed=$((failed + 1))
    printf 'FAIL  %s: status %s, expected %s with «%s»; it said:\n' "$name" "$found" "$status" "$text"
    sed 's/^/        /' <<<"$output"
  fi
}

# A row about a fact that stands already: check NAME COMMAND…
check() {
  local name=$1
  shift
  expect "$name" 0 "" "$@"
}

# stub NAME <<SCRIPT: puts an executable of this name in front of the PATH of `with_stubs`.
stub() {
  mkdir -p "$scratch/bin"
  { echo '#!/bin/bash'; cat; } >"$scratch/bin/$1"
  chmod 755 "$scratch/bin/$1"
}

with_stubs() { env PATH="$scratch/bin:$PATH" "$@"; }

finish() {
  if [[ -n ${TEST_COUNTS:-} ]]; then echo "$passed $failed" >"$TEST_COUNTS"; fi
  ((failed == 0))
}
