#!/usr/bin/env bash
# The main job from nothing: installs what is missing, builds, draws an image set, encodes it to
# latents, trains a class-conditional DiT by flow matching on 2 ranks, samples with it on the same
# ranks, names the pictures and the figures, and ends with a table of solvers.
#
#   scripts/demo.sh              everything; a run that was interrupted goes on where it stopped
#   scripts/demo.sh --again      from the start: removes runs/demo and the demo's data
#   scripts/demo.sh --judge      only judges the pictures that are there, and writes the summary
#
# After the build about 10 minutes on 2 cores. Environment: LATENTFLOW_DEMO_STEPS trains fewer or
# more steps, LATENTFLOW_DEMO_RANKS (default 2) uses another number of ranks, a power of two.
set -euo pipefail
cd "$(dirname "$0")/.."

ranks=${LATENTFLOW_DEMO_RANKS:-2}
config=configs/shapes-dit-demo.yaml
run=runs/demo
commands=$run/commands.txt
started=$SECONDS

phase() { printf '\n[%s, +%d s] %s\n' "$(date +%H:%M:%S)" $((SECONDS - started)) "$1"; }

# Runs a command of the demo and writes it down for the summary.
step() {
  echo "$*" >>"$commands"
  echo "+ $*" >&2
  "$@"
}

judge() {
  local sweep=()
  [[ -f $run/sweep/sweep.json ]] && sweep=(--sweep $run/sweep/sweep.json)
  scripts/run.sh 1 latentflow dataset judge $run/guided --unguided $run/unguided \
    --reference data/shapes-heldout --autoencoder models/shapes-autoencoder \
    --run $run --grid $run/grid.png --commands $commands --out $run/summary.json \
    "${sweep[@]}"
}

case "${1:-}" in
  '') ;;
  --again) rm -rf $run data/shapes data/shapes-heldout data/shapes-latents ;;
  --judge) judge; exit ;;
  --help | -h) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit ;;
  *) echo "error: unknown option $1; scripts/demo.sh --help tells the options." >&2; exit 64 ;;
esac

phase "system packages"
scripts/setup.sh
phase "build (release)"
swift build -c release --product latentflow
started=$SECONDS

mkdir -p $run data
: >"$commands"

# A set that was cut short has no labels and is drawn again.
shapes() {
  local folder=$1
  shift
  [[ -f $folder/labels.csv ]] && return
  rm -rf "$folder"
  step scripts/run.sh 1 latentflow dataset shapes --out "$folder" --size 64 "$@"
}

phase "images: 8,192 to train on, 1,024 held out"
shapes data/shapes --count 8192 --seed 0
shapes data/shapes-heldout --count 1024 --seed 1

phase "latents: 64×64×3 pixels to 8×8×4"
step scripts/run.sh "$ranks" latentflow encode data/shapes --out data/shapes-latents \
  --autoencoder models/shapes-autoencoder

phase "training on $ranks ranks"
step scripts/run.sh "$ranks" latentflow train $config --run $run \
  ${LATENTFLOW_DEMO_STEPS:+--steps "$LATENTFLOW_DEMO_STEPS"}

phase "samples on $ranks ranks"
rm -rf $run/guided $run/unguided
step scripts/run.sh "$ranks" latentflow sample $run --count 256 --labels all --cfg 2 \
  --solver heun --steps 20 --out $run/guided --grid $run/grid.png
step scripts/run.sh "$ranks" latentflow sample $run --count 512 --labels uniform --cfg 1 \
  --solver heun --steps 20 --out $run/unguided

phase "solvers at equal steps on $ranks ranks"
rm -rf $run/sweep
step scripts/run.sh "$ranks" latentflow sweep $run --count 512 --steps 10 --guidance 1 \
  --solvers euler,heun,rk4,ab2,dpmpp_2m \
  --reference data/shapes-heldout --features-of models/shapes-autoencoder \
  --out $run/sweep >/dev/null

phase "figures, $((SECONDS - started)) s after the build"
judge
echo "again from the pictures: scripts/demo.sh --judge"
