#!/usr/bin/env bash
# The conditional tasks on the shapes set, each from nothing: trains on 2 ranks, tries the result on
# held-out pictures, and prints its figures.
#
#   scripts/tasks.sh upscaling    32² to 64² to 128² pixels: PSNR and sharpness beside bicubic
#   scripts/tasks.sh inpainting   a quarter to a half of the shape hidden: the judge's verdict
#   scripts/tasks.sh semantic     pictures after label maps: pixels of the shape that agree
#   scripts/tasks.sh              all three
#
# Each takes 5 to 20 minutes on 2 quiet cores; what was interrupted goes on where it stopped.
# Results are in runs/shapes-*. Environment: LATENTFLOW_TASK_RANKS (default 2), a power of two.
set -euo pipefail
cd "$(dirname "$0")/.."

ranks=${LATENTFLOW_TASK_RANKS:-2}
run() {
  echo "+ latentflow $*" >&2
  scripts/run.sh "$ranks" latentflow "$@"
}

upscaling() {
  run train configs/shapes-upscaling-64.yaml --run runs/shapes-upscaling-64
  run train configs/shapes-upscaling-128.yaml --run runs/shapes-upscaling-128 \
    --weights-only runs/shapes-upscaling-64
  run validate runs/shapes-upscaling-64 --images 'shapes:256@64#1' --solver midpoint --steps 10 \
    --grid runs/shapes-upscaling-64/grid.png
  run validate runs/shapes-upscaling-128 --images 'shapes:256@128#1' --solver midpoint --steps 10 \
    --grid runs/shapes-upscaling-128/grid.png
  rm -rf runs/shapes-upscaling-128/cascade
  run upscale configs/shapes-upscaling.yaml 'shapes:16@32#1' \
    --out runs/shapes-upscaling-128/cascade --grid runs/shapes-upscaling-128/cascade.png
}

# Latents and label maps, which two tasks learn from.
encode() {
  [[ -f data/shapes-maps/index.json ]] || run encode 'shapes:65536@64' --masks \
    --autoencoder models/shapes-autoencoder --out data/shapes-maps
}

inpainting() {
  encode
  run train configs/shapes-inpainting.yaml --run runs/shapes-inpainting
  local out=runs/shapes-inpainting/completed
  rm -rf $out $out-masks
  run inpaint runs/shapes-inpainting --images 'shapes:256@64#1' --kind shape:hidden=0.25-0.5 \
    --seed 1 --solver midpoint --steps 10 --out $out --save-masks $out-masks --grid $out.png
  scripts/run.sh 1 latentflow dataset judge $out
  run evaluate-inpainting $out --originals 'shapes:256@64#1' --masks $out-masks \
    --features-of models/shapes-autoencoder --out $out.json
}

semantic() {
  encode
  run train configs/shapes-semantic.yaml --run runs/shapes-semantic
  rm -rf runs/shapes-semantic/drawn
  run synthesize runs/shapes-semantic --maps 'shapes:256@64#1' --judge --solver heun --steps 10 \
    --out runs/shapes-semantic/drawn --grid runs/shapes-semantic/drawn.png
}

case "${1:-all}" in
  upscaling | inpainting | semantic | all) ;;
  --help | -h) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit ;;
  *) echo "error: unknown task $1; scripts/tasks.sh --help tells the tasks." >&2; exit 64 ;;
esac
scripts/setup.sh
swift build -c release --product latentflow
mkdir -p runs data
for task in upscaling inpainting semantic; do
  [[ ${1:-all} == all || ${1:-all} == "$task" ]] || continue
  started=$SECONDS
  $task
  echo "$task: $((SECONDS - started)) s"
done
