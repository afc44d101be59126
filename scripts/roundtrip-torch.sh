#!/usr/bin/env bash
# Shows that weights go from here to PyTorch and back unchanged: what PyTorch and safetensors write
# is read here, what is written here is read there (by torch.load(weights_only=True)), bit for bit.
#
#   scripts/roundtrip-torch.sh [--keep FOLDER]
#
# The PyTorch is that of LATENTFLOW_TORCH_PYTHON (a Python executable), else that of python3.
#
# Exit codes: 0 all equal; 1 something is not; 64 wrong use; 69 there is no such PyTorch.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  '') folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT ;;
  --keep) folder=${2:?--keep needs a folder}; mkdir -p "$folder" ;;
  --help | -h) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
  *) echo "error: unknown option $1; scripts/roundtrip-torch.sh --help tells the options." >&2; exit 64 ;;
esac

torch=${LATENTFLOW_TORCH_PYTHON:-python3}
if ! "$torch" -c 'import torch, safetensors' 2>/dev/null; then
  echo "error: $torch cannot import torch and safetensors; LATENTFLOW_TORCH_PYTHON names another." >&2
  exit 69
fi
swift build -c release --product latentflow
"$torch" scripts/roundtrip-torch.py "$(swift build -c release --show-bin-path)/latentflow" "$folder"
