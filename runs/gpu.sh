#!/usr/bin/env bash
# Trains on a GPU for minutes (docs/log.md, 46), after runs/pack.py and runs/unpack.py: everything at once, then restoring
# at fidelity 1 alone, then what repaints, each for so many seconds (0: left out).
#   runs/gpu.sh UNPACKED FACES FROM OUT SECONDS_JOINT SECONDS_RESTORING SECONDS_REPAINTS
set -euo pipefail
unpacked=$1 faces=$2 from=$3 out=$4
shift 4
python=${PYTHON:-python3}
workers=data.workers=$(($(nproc) - 1))

part() { # name, seconds, recipe, options of the recipe: trains from $from, which is then what came of it
    local name=$1 seconds=$2 recipe=$3
    shift 3
    ((seconds)) || return 0
    mkdir -p "$out/$name"
    cp "$(dirname "$0")/../src/upbrush/model/random.npz" "$out/$name" # what repaints are held by
    "$python" runs/by_clock.py "$recipe" --seconds "$seconds" --data "$unpacked/pictures" --features "$unpacked/vgg19.safetensors" \
        --faces "$faces" --from "$from" --set "$workers" --set train.log_every_steps=50 "$@" -o "$out/$name"
    from=$out/$name/weights.safetensors
}

part joint "$1" recipes/joint.toml
part restoring "$2" recipes/restoring.toml --set data.restore=64 --set data.crop_px=192 --set train.compile=false \
    --set train.lr=1.2e-3 --set train.ema_halflife_steps=60
part repaints "$3" recipes/repaints.toml
