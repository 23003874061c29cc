#!/usr/bin/env bash
# The small model, version 0: the commands that make one like it, anew.
#
#   UPBRUSH_DATA=folder-with-the-tars UPBRUSH_FEATURES=vgg19.safetensors runs/small.sh OUT
#
# The runs resume where they were when the script is started again. The shipped weights were made in one sitting of two
# hours on two CPU cores that did other work as well, while the recipe was found: small-pixels for 1,240 steps, then
# small.toml in eight parts, each begun from the moving average of the one before:
#   a    480 steps  restore 8, pixel 40, perceptual 4, content 1, style 16; PAD_PX 4
#   b     80 steps  grid 200 added; PAD_PX 2
#   c    290 steps  the palette in the code (docs/log.md, 6)
#   d    370 steps  pixel 60, content 1.5, structure 20 added
#   e    250 steps  border 20 added
#   f    490 steps  restore 12, pixel 100, perceptual 6, style 28
#   g  1,150 steps  sharp 1, pixel 250, perceptual 12, content 2, structure 25, style 36: small.toml as it stands, with
#                   --set train.steps=1150 --set train.decay_share=0.9 --set train.warmup_steps=40
#   h    660 steps  recipes/small-last.toml
set -euo pipefail
out=${1:?"give a folder for the runs: runs/small.sh OUT"}
: "${UPBRUSH_DATA:?set it to the folder with train-faces.tar, train-photos.tar and train-art.tar}"
data=(--data "$UPBRUSH_DATA/train-faces.tar" --data "$UPBRUSH_DATA/train-photos.tar" --data "$UPBRUSH_DATA/train-art.tar")
here=$(dirname "$0")/..

upbrush train "$here/recipes/small-pixels.toml" "${data[@]}" --out "$out/pixels"
upbrush train "$here/recipes/small.toml" "${data[@]}" --from "$out/pixels/weights.safetensors" --out "$out/small"
upbrush train "$here/recipes/small-last.toml" "${data[@]}" --from "$out/small/weights.safetensors" --out "$out/last"
upbrush export "$out/last/weights.safetensors" --out "$here/src/upbrush/model"
python "$here/runs/library.py"
