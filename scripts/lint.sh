#!/usr/bin/env bash
# Checks the Swift sources' layout against .swift-format; with --fix it formats them in place.
#
# Exit codes: 0 all in order; 1 something is not; 64 wrong use.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  '') exec swift format lint --strict --parallel --recursive Package.swift Sources Tests ;;
  --fix) exec swift format --in-place --parallel --recursive Package.swift Sources Tests ;;
  *) echo "error: unknown option $1; expected nothing or --fix." >&2; exit 64 ;;
esac
