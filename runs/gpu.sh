#!/usr/bin/env bash
# Trains on a GPU for minutes (docs/log.md, 46 and 49), after runs/pack.py and runs/unpack.py: everything at once, then
# restoring at fidelity 1 alone, each for so many seconds.
#   runs/gpu.sh UNPACKED FACES FROM OUT SECONDS_JOINT SECONDS_RESTORING
set -euo pipefail
unpacked=$1 faces=$2 from=$3 out=$4
shift 4
python=${PYTHON:-python3}
workers=data.workers=$(($(nproc) - 2))

part() { # name, seconds, options of the recipe: trains from $from, which is then what came of it
    local name=$1 seconds=$2
    shift 2
    mkdir -p "$out/$name"
    cp "$(dirname "$0")/../src/upbrush/model/random.npz" "$out/$name" # what repaints are held by
    "$python" runs/by_clock.py "recipes/$name.toml" --seconds "$seconds" --pool 12288 --data "$unpacked/pictures" \
        --features "$unpacked/vgg19.safetensors" --faces "$faces" --from "$from" --set "$workers" \
        --set train.log_every_steps=100 --set train.sample_every_steps=1000000 "$@" -o "$out/$name"
    from=$out/$name/weights.safetensors
}

part joint "$1"
# as many crops of the same size as there: the Renderer is compiled once
part restoring "$2" --set data.restore=160 --set train.ema_halflife_steps=60 --set train.warmup_steps=40
