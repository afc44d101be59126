#!/usr/bin/env bash
# Feeds the parsers of files from strangers with changed fixtures: no crash, no read outside of the
# input, no input that takes ten seconds, nothing but refusals that name file and place.
#
#   scripts/fuzz.sh [COUNT] [--seed S]
#
# COUNT is a million where not given. The program is built with the address sanitizer, which watches
# both sides of every input, into .build/fuzz; where the toolchain has none, each input ends at a
# page that may not be read. Input I of seed S is always the same: after a failure
# .build/fuzz/release/fuzz-parsers --only I --seed S repeats it.
#
# Exit codes: 0 all went well; 1 an input did not; 64 wrong use; the build's where it fails.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }

count=1000000 seed=1
while (($# > 0)); do
  case $1 in
    --seed)
      (($# >= 2)) || { echo "error: --seed needs a number." >&2; exit 64; }
      seed=$2
      shift
      ;;
    --help | -h) usage; exit 0 ;;
    *[!0-9]* | '') echo "error: unknown option $1; scripts/fuzz.sh --help tells the options." >&2; exit 64 ;;
    *) count=$1 ;;
  esac
  shift
done

if [[ -n $(compgen -G "$(dirname "$(readlink -f "$(command -v swift)")")/../lib/clang/*/lib/*/libclang_rt.asan*") ]]; then
  echo "fuzz: with the address sanitizer"
  swift build -c release --sanitize address --scratch-path .build/fuzz --product fuzz-parsers
  exec .build/fuzz/release/fuzz-parsers --malloc --count "$count" --seed "$seed"
fi
echo "fuzz: without the address sanitizer, inputs before a guard page"
swift build -c release --product fuzz-parsers
exec .build/release/fuzz-parsers --count "$count" --seed "$seed"
