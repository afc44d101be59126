#!/usr/bin/env bash
# Times DiT-S/2 and DiT-B/2 (batch 8, latents 4×32×32, float32), forward and full training step, on
# 1 and 2 threads, and beside it a PyTorch peer in alternation where there is a PyTorch.
#
#   scripts/bench.sh [--compile] [--models NAME…] [--threads N…] [--repetitions N] [--json FILE]
#   scripts/bench.sh data [--count N] [--repetitions N] [--json FILE]
#
# The second form times the decoding, scaling and cropping of JPEG files beside Pillow.
#
# The PyTorch is that of LATENTFLOW_TORCH_PYTHON (a Python executable), else that of python3; with
# LATENTFLOW_TORCH_PYTHON=none ours runs alone.  Takes about 10 minutes on 2 quiet cores.
#
# Exit codes: 0 measured; 1 a side failed or there is no such PyTorch; 2 wrong use; setup.sh's.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
  exit 0
fi

scripts/setup.sh

torch=${LATENTFLOW_TORCH_PYTHON:-python3}
if [[ ${1:-} == data ]]; then
  shift
  if ! "$torch" -c 'import PIL' 2>/dev/null; then
    echo "error: $torch has no Pillow; LATENTFLOW_TORCH_PYTHON names a Python that has." >&2
    exit 1
  fi
  swift build -c release --product latentflow
  binary=$(swift build -c release --show-bin-path)/latentflow
  exec "$torch" Benchmarks/compare_data.py --latentflow "$binary bench data" "$@"
fi
if [[ $torch == none ]]; then
  torch=''
elif ! version=$("$torch" -c 'import torch; print(torch.__version__)' 2>/dev/null); then
  if [[ -n ${LATENTFLOW_TORCH_PYTHON:-} ]]; then
    echo "error: LATENTFLOW_TORCH_PYTHON=$torch cannot import torch." >&2
    exit 1
  fi
  echo "bench: python3 has no torch, so ours runs alone; LATENTFLOW_TORCH_PYTHON names another"
  torch=''
else
  echo "bench: PyTorch $version"
fi

swift build -c release --product latentflow
binary=$(swift build -c release --show-bin-path)/latentflow
exec python3 Benchmarks/compare.py --latentflow "$binary bench dit --server" \
  ${torch:+--torch-python "$torch"} "$@"
