#!/usr/bin/env bash
# Benchmarks/compare.py with stubs for its two sides: the table's arithmetic, and sides that fail.
source "$(dirname "$0")/support.sh"

# side NAME SECONDS GFLOPS: a program that answers every repetition alike and logs what it is asked.
side() {
  stub "$1" <<SCRIPT
while read -r command rest; do
  echo "$1 \$command" >>$scratch/asked
  case \$command in
    forward | step) echo '{"seconds": $2}' ;;
    gemm) echo '{"gflops": $3}' ;;
    memory) echo '{"peak_bytes": 1500000000}' ;;
  esac
done
SCRIPT
}
side ours 0.5 200
side torch 0.75 250
stub dies <<<'read -r; exit 9'
stub babbles <<<'while read -r; do echo hello; done'

compare() {
  : >"$scratch/asked"
  python3 "$repo/Benchmarks/compare.py" --models DiT-S/2 --threads 2 --repetitions 3 "$@"
}
both() { compare --latentflow "$scratch/bin/ours bench" --torch-python "$scratch/bin/torch"; }
# The fields of the row with these first four words, blanks squeezed.
row() { tr -s ' ' <<<"$table" | grep "^DiT-S/2 2 $1 "; }

expect "both sides are measured" 0 "alternated repetitions" both
table=$output
# DiT-S/2: 6.054 G multiply-adds an image; 8 images in 0.5 s are 193.7 GFLOP/s, of 250 are 77 %.
expect "forward, ours" 0 "0.500 16.00 193.7 200.0 77% 1500 1.50" row "forward latentflow"
expect "forward, PyTorch" 0 "0.750 10.67 129.2 250.0 52% 1500 1.00" row "forward PyTorch"
expect "a step is three forwards" 0 "0.500 16.00 581.2 200.0 232% 1500 1.50" row "step latentflow"

turns() { sed -n '/forward/p' "$scratch/asked" | tail -n 6 | tr '\n' ','; }
expect "repetitions take turns" 0 \
  "ours forward,torch forward,ours forward,torch forward,ours forward,torch forward," turns

expect "without PyTorch" 0 "–" compare --latentflow "$scratch/bin/ours"
check "… PyTorch is not asked" bash -c "! grep -q torch '$scratch/asked'"
expect "a side that dies" 1 "latentflow ended with status 9 at command 'forward DiT-S/2 2'" \
  compare --latentflow "$scratch/bin/dies"
expect "a side that babbles" 1 "answered 'forward DiT-S/2 2' with 'hello', expected a 'seconds'" \
  compare --latentflow "$scratch/bin/babbles"
expect "a side that is not there" 1 "No such file" compare --latentflow "$scratch/bin/absent"
expect "zero repetitions" 2 "expected 1 or more" compare --latentflow x --repetitions 0
finish
