#!/usr/bin/env bash
# Encodes and decodes one large image with Stable Diffusion's autoencoder (full width, weights that
# are a function of their names) and prints seconds, the peak of each rank's resident memory and the
# relative error against the image computed whole.
#
#   scripts/bench-large.sh [--size SIDE] [--directions "encode decode"] [--ranks "1 2"]
#                          [--no-whole [--memory LIMIT]]
#
# Each is measured without a limit and with --memory of half of what the whole image took.  With
# --no-whole the image is not computed whole: no errors, and the limit is LIMIT.  An image computed
# whole takes some 7 GB at 1024² and four times as much at 2048².
#
# Exit codes: 0 measured; 2 wrong use; setup.sh's and latentflow's.
set -euo pipefail
cd "$(dirname "$0")/.."

size=1024 directions='encode decode' rank_counts='1 2' whole=1 limit=''
while (($#)); do
  case $1 in
    --help | -h) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    --size) size=$2; shift 2 ;;
    --directions) directions=$2; shift 2 ;;
    --ranks) rank_counts=$2; shift 2 ;;
    --memory) limit=$2; shift 2 ;;
    --no-whole) whole=''; shift ;;
    *) echo "error: $1: see $0 --help" >&2; exit 2 ;;
  esac
done

if [[ -z ${LATENTFLOW_BINARY:-} ]]; then
  scripts/setup.sh
  swift build -c release --product latentflow
  LATENTFLOW_BINARY=$(swift build -c release --show-bin-path)/latentflow
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
as_root=()
if ((EUID == 0)); then as_root=(--allow-run-as-root); fi

for direction in $directions; do
  against=() half=$limit
  if [[ $whole ]]; then
    "$LATENTFLOW_BINARY" bench large --direction "$direction" --size "$size" --untiled \
      --out "$scratch/$direction.npz" --json >"$scratch/whole.json"
    against=(--against "$scratch/$direction.npz")
    need=$(sed -n '/"peakBytes"/,/]/{s/[^0-9]//g;/./p}' "$scratch/whole.json")
    seconds=$(sed -n 's/.*"seconds" : \([0-9.]*\).*/\1/p' "$scratch/whole.json")
    echo "$direction $size²: whole, 1 rank: ${seconds} s, peak $((need / 1000000)) MB"
    half=$((need / 2000000))M
  fi
  for ranks in $rank_counts; do
    for memory in '' ${half:+"--memory=$half"}; do
      echo -n "${memory:+$memory: }"
      mpirun "${as_root[@]}" --bind-to none -np "$ranks" "$LATENTFLOW_BINARY" bench large \
        --direction "$direction" --size "$size" $memory "${against[@]}"
    done
  done
done
