#!/usr/bin/env bash
# scripts/test.sh's last line and exit code, with a stub for `swift` that plays the test run.
source "$(dirname "$0")/support.sh"

mkdir -p "$scratch/checkout/scripts/tests"
cp "$repo/scripts/test.sh" "$scratch/checkout/scripts/"
stub swift <<SCRIPT
echo "\$*" >>$scratch/calls
case \$1 in
  build) exit "\$(cat $scratch/build-status)" ;;
  test) cat $scratch/log; exit "\$(cat $scratch/test-status)" ;;
esac
SCRIPT
printf '#!/bin/bash\n' >"$scratch/checkout/scripts/setup.sh"
chmod +x "$scratch/checkout/scripts/setup.sh"
shell_test() { printf 'echo "%s" >"$TEST_COUNTS"; exit %s\n' "$1" "$2" >"$scratch/checkout/scripts/tests/a.sh"; }

# run BUILD-STATUS TEST-STATUS LOG [OPTIONS]: the last line of the account, with its exit code.
run() {
  : >"$scratch/calls"
  echo "$1" >"$scratch/build-status"
  echo "$2" >"$scratch/test-status"
  printf '%s\n' "$3" >"$scratch/log"
  shift 3
  local status=0
  with_stubs "$scratch/checkout/scripts/test.sh" "$@" >"$scratch/said" 2>&1 || status=$?
  echo "last line: $(tail -n 1 "$scratch/said")."
  return "$status"
}

last_lines() {
  run "$@" || true
  grep -A 10 ' end$' "$scratch/said"
}

good='✔ Test run with 30 tests in 5 suites passed after 0.123 seconds.'
bad='✘ Test order(_:) failed after 0.002 seconds with 2 issues.
✘ Test "a name with failed in it" failed after 0.002 seconds with 1 issue.
✘ Suite Solvers failed after 0.004 seconds with 3 issues.
✘ Test run with 30 tests in 5 suites failed after 0.123 seconds with 3 issues.'

shell_test '4 0' 0
expect "all pass" 0 "last line: 34 passed, 0 failed." run 0 0 "$good"
expect "one test" 0 "last line: 5 passed, 0 failed." \
  run 0 0 '✔ Test run with 1 test in 1 suite passed after 0.1 seconds.'
expect "two fail; suite and run do not count" 1 "last line: 32 passed, 2 failed." run 0 1 "$bad"
remarked='✘ Test "sums" recorded an issue at SumTests.swift:9:5: Expectation failed: a == b
↳ on 2 ranks
◇ Test "products" started.
✘ Test "products" recorded an issue with 1 argument n → 3 at SumTests.swift:19:5: Caught error: no
✘ Test "products" recorded an issue with 1 argument n → 4 at SumTests.swift:19:5: Caught error: no
↳ as ever
✔ Test "roots" passed after 0.001 seconds.
'$bad
expect "the end repeats what failed" 0 '✘ Test "sums" recorded an issue at SumTests.swift:9:5: Expectation failed: a == b
↳ on 2 ranks
✘ Test "products" recorded an issue with 1 argument n → 3 at SumTests.swift:19:5: Caught error: no
✘ Test "products" recorded an issue with 1 argument n → 4 at SumTests.swift:19:5: Caught error: no
↳ as ever
32 passed, 2 failed' last_lines 0 1 "$remarked"
expect "the run dies without an account" 1 "last line: 4 passed, 1 failed." run 0 139 "◇ Test run started."
expect "no test ran" 1 "last line: 4 passed, 1 failed." \
  run 0 0 '✔ Test run with 0 tests in 0 suites passed after 0.001 seconds.'
expect "the build fails" 1 "last line: 4 passed, 1 failed." run 1 0 "$good"
check "… and no test is run" bash -c "! grep -q '^test' '$scratch/calls'"
expect "--filter leaves the shell tests out" 0 "last line: 30 passed, 0 failed." \
  run 0 0 "$good" --filter Solver
check "… and is handed on" grep -q -e '--filter Solver' "$scratch/calls"
expect "--shell leaves Swift out" 0 "last line: 4 passed, 0 failed." run 1 1 "$good" --shell
expect "--filter without its value" 64 "needs a regular expression" run 0 0 "$good" --filter
shell_test '4 2' 1
expect "a shell test fails" 1 "last line: 34 passed, 2 failed." run 0 0 "$good"
sed -i '1i echo "FAIL  it: status 1, expected 0"' "$scratch/checkout/scripts/tests/a.sh"
expect "… and is named at the end" 0 "a.sh: FAIL  it: status 1, expected 0
34 passed, 2 failed" last_lines 0 0 "$good"
echo 'exit 3' >"$scratch/checkout/scripts/tests/a.sh"
expect "a shell test dies" 1 "last line: 30 passed, 1 failed." run 0 0 "$good"
echo 'exit 77' >>"$scratch/checkout/scripts/setup.sh"
expect "setup.sh's exit code comes through" 77 "" run 0 0 "$good"
finish
