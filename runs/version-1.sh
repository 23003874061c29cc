#!/usr/bin/env bash
# The small model, version 1: the commands that make one like it, anew.
#
#   UPBRUSH_DATA=folder-with-the-tars UPBRUSH_FEATURES=vgg19.safetensors UPBRUSH_FACES=folder-with-face-networks \
#       runs/version-1.sh OUT
#
# It begins from version 0 (runs/small.sh). The runs resume where they were when the script is started again.
#
# The shipped weights were made on two CPU cores that did other work as well, while the recipe was found. pixels.toml
# was stopped after 5,000 of its 7,000 steps; game.toml came about in parts, each going on from the weights, the
# optimisers and the discriminator of the one before (a to c began from the moving average, with new optimisers):
#   a     440 steps  pixel 300, perceptual 40, content 2, structure 25, style 36, game 3; lr 1e-3; no patterns, no texture
#   b   1,200 steps  pixel 900, perceptual 100, content 1.2, structure 20, style 60, game 8
#   c     600 steps  content 2.4, structure 35, style 50; lr 5e-4, falling to zero over the last 30 %
#   d     900 steps  content 3.5, structure 60; lr 7e-4, of 6,200 steps in all, falling over the last 64 %
#   e     745 steps  drawn 0.07 (docs/log.md, 18)
#   f      55 steps  texture 6 (docs/log.md, 19)
#   g     200 steps  border 60
#   h     750 steps  texture 15
#   i     230 steps  ghost 200
#   j   the rest     ghost 500; lr 8e-4, of 5,800 steps in all
#   k     245 steps  the perceptual loss sees relu5_1; restore 8, sharp 7, bicubic_share 0.4, drawn 0.06, pixel_share 0.3,
#                    content 5, style 55; lr 8e-4 (docs/log.md, 24)
#   l     104 steps  pixel_share 0.2, perceptual 200; lr 7e-4
#   m     281 steps  weave 80 (docs/log.md, 25); what it learnt afterwards was thrown away
#   n     440 steps  from the moving average; drawn 0.14, range 60; lr 5e-4, falling to zero
# Version 1.1 was the mean of the weights of j and n, 0.45 of n (docs/log.md, 26; runs/mean.py). From it, with n's optimisers
# and discriminator, counting from 0:
#   q     895 steps  plain_batches 4, detail_tries 2, bicubic_share 0.5, drawn 0.1, weave 70, style 60; lr 1e-3; patterns broke loose
#                    at the end, so r goes on from the moving average (docs/log.md, 29)
#   r   2,622 steps  rectifiers that saturate; palettes of nine numbers; plain_batches 3, content 6 (docs/log.md, 29, 30)
#   s   the rest     half the correlations of colours; of 7,400 steps in all, falling to zero over the last 69 % (docs/log.md, 31)
# Then from the mean of s and of version 1.1, whose palettes were widened to nine numbers by leaving out the three of the
# other 250 that weighed least, with the optimisers and discriminator of s:
#   t     764 steps  no plain batches; content 5; lr 5e-4, falling
#   u     552 steps  identity 12, pixel 1300, perceptual 250, texture 7, style 80, weave 45; lr 7e-4 (docs/log.md, 33)
#   v     920 steps  identity 25, style 130, content 4.5
#   w   1,889 steps  identity 22, style 260, content 4; lr 8e-4, falling to zero over 2,340 steps, stopped 175 before
# Version 1.2 was three parts of w and one of version 1.1 with the wider palettes (runs/mean.py --share 0.75). game.toml has
# the settings of w, for one run of all these steps. Its Modulator was split in two (runs/widen.py), and by styles.toml, in
# float32, with a new discriminator each:
#   x      62 steps  style 260, identity 25; batches of 4; lr 1.5e-4 (docs/log.md, 35)
#   y     199 steps  style 400, identity 16; batches of 6; lr 3e-4, of 850 steps in all until step 94, then of 600
#   z   the rest     of 430 steps in all until step 289, then of 380, falling to zero
# Version 1.3 was z. Then, with layers that mirror their input beyond the borders (before: repeat the outermost pixel):
#   r   2,000 steps  restoring.toml, float32, with pixel 1300 instead of psnr and bicubic_share 0.6; 53 minutes beside other
#                    work. Until step 664 of 3,800 steps in all; crops still had their outermost pixel repeated (docs/log.md, 41)
# Version 1.4 was r; its styles were fitted by runs/library.py. From its weights, two that learn different parts:
#   s     260 steps  smooth.toml, 14 minutes
#   t   3,800 steps  restoring.toml as in r, of 5,000 steps in all until step 1,614, with a pause; 99 minutes without it
# Version 1.5 was t with modulator.repaint of s (runs/mean.py T S --share 1 --only modulator.repaint). From its weights, in half
# precision as they were shipped, two again:
#   u      50 steps  common.toml, 4 minutes
#   v   2,000 steps  restoring.toml (docs/log.md, 45)
# Version 1.6 is v with modulator.repaint of u; below, s and u come first, and r, t and v are one.
# From its weights, in turn (docs/log.md, 46 and 47):
#   w   2,119 steps  joint.toml, 370 seconds of one H100 (runs/pack.py, runs/unpack.py, runs/by_clock.py; two packs of 49 megabytes), with
#                    restore 32, sharp 24, repaint 24, content 12, structure 60, identity 14; lr 1e-3, warm-up 40, half-life 100; not compiled
#   x   1,422 steps  restoring.toml with 64 crops of 192 pixels, 155 seconds of it
#   y     700 steps  repaints.toml, 98 seconds of it
#   .                the mean: 0.6 of y and 0.4 of version 1.6
#   z   1,690 steps  restoring.toml, of 1,900 steps in all
#   aa     50 steps  common.toml with content 20, structure 100, identity 12
#   ab    230 steps  smooth.toml with content 20, structure 100, style 480, texture 8, identity 14
#   ac     50 steps  common.toml with content 32, structure 100, identity 12, from ab
#   ad     50 steps  the same, from the mean of 0.6 of ab and 0.4 of version 1.6
#   .                the mean: 0.75 of ac and 0.25 of ad
#   ae  2,138 steps  restoring.toml for 2,820 seconds (runs/by_clock.py), random.npz of version 1.6 beside its weights
# Version 1.7 is ae. Its library has the means of two fits each (as upbrush style blend gives them): by fit.toml with
# content 16, structure 60, weave 45 and ghost 2000, and with 45, 120, 120 and 4000; fit.toml has what stands between.
# From version 1.7 as it was shipped, in half precision (docs/log.md, 49 and 50):
#   af  3,649 steps  joint.toml, 545 seconds of one H200 (runs/pack.py --megabytes 47 55, runs/unpack.py, runs/gpu.sh ... 545 85)
#   ag    966 steps  restoring.toml, 85 seconds of it
#   ah  4,275 steps  restoring.toml for 2,700 seconds of two cores (runs/by_clock.py), from ag
#   ai  5,214 steps  restoring.toml for 3,300 seconds, from ag, too; patterns still without spots and with fewer diagonals. Until ak,
#                    batches of patterns had one size: 4 of 320 pixels
#   aj  1,085 steps  restoring.toml for 540 seconds, with patterns_every 2; lr 5e-4, warm-up 20, half-life 60
#   .                the mean: 0.7 of aj and 0.3 of ah; then 0.88 of that and 0.12 of version 1.7
#   ak    835 steps  restoring.toml for 440 seconds; lr 3e-4, warm-up 20, half-life 60, keep 40
# Until ah, no recipe had patterns_every. From ah on, random.npz of version 1.7 lay beside the weights. Version 1.8 is ak, and
# its library what runs/library.py makes of it. Weights of earlier versions, and those of ag (runs/weights until then), are in git's history.
# From version 1.8 as it was shipped, in half precision (docs/log.md, 51). Until am, no recipe and no fit had `halo`:
#   al    123 steps  common.toml for 230 seconds of two cores (runs/by_clock.py), with content 20, structure 100, style 560, identity 12
#   am    355 steps  smooth.toml for 660 seconds, with content 26, structure 100, style 500, texture 8, identity 16; lr 4e-4
#   an  1,553 steps  restoring.toml for 1,500 seconds, 600 of them beside other work; lr 8e-4, warm-up 30, random.npz of version
#                    1.8 beside the weights
# Version 1.9 is an, and its library what runs/library.py makes of it. From it, as it was shipped (docs/log.md, 52):
#   ao  2,042 steps  sharp.toml for 2,400 seconds of two cores (runs/by_clock.py), with crop_px 128, restore 8, sharp 8, identity 18,
#                    and without what is newer: sharp_bicubic_share, fidelity_power and native
#   .                the mean: half of ao and half of version 1.9
#   ap    943 steps  restoring.toml for 600 seconds; lr 5e-4, warm-up 20, half-life 60, keep 40
# random.npz of version 1.9 lay beside the weights. Version 1.10 is the mean of ap and an, 0.6 of ap, with the library of 1.9, which
# upbrush export brings along.
# From it, in full precision (docs/log.md, 53), with random.npz of version 1.10, which is 1.9's, beside the weights:
#   .                the mean: 0.6 of version 1.10 and 0.4 of ao
#   aq  1,260 steps  restoring.toml for 780 seconds, with identity 30 (--faces) and weight_decay 0.3; lr 5e-4, warm-up 20, half-life 60,
#                    keep 40. Until here, no recipe had weight_decay, and identity was asked below fidelity 1 and in repaints alone
#   .                the mean: 0.55 of version 1.10 and 0.45 of aq; then runs/knob.py --lowest 0.35
# Version 1.11 is that, with the library of 1.9. From it, in full precision (docs/log.md, 54):
#   ar  2,023 steps  sharp.toml for 2,700 seconds of two cores (runs/by_clock.py); warm-up 20, half-life 80
#   .                the mean: 0.7 of ar and 0.3 of version 1.11
#   as    810 steps  restoring.toml for 640 seconds, with identity 12 (--faces) and weight_decay 0.3; lr 5e-4, warm-up 20, half-life 60,
#                    keep 40
# random.npz of version 1.9 lay beside the weights. Version 1.12 is as, and its library what runs/library.py makes of it,
# but monet, whose file was taken away and fitted with --set loss.halo=8000.
# From it, in full precision (docs/log.md, 55), with random.npz of version 1.9 beside the weights:
#   at  2,148 steps  sharp.toml for 2,900 seconds of two cores (runs/by_clock.py), with identity 44 and 0.46 faces, 0.34 photographs,
#                    0.2 art; warm-up 20, half-life 80
#   .                the mean: 0.7 of at and 0.3 of version 1.12
#   au    808 steps  restoring.toml for 680 seconds, with what as was given. Until here, restoring.toml had no leaves, native 0.5 and
#                    zoom 0.6
#   .                the mean: 0.8 of au and 0.2 of version 1.12
#   av    273 steps  smooth.toml for 500 seconds, with content 18, style 620, texture 8, identity 10; lr 5e-4
#   .                the mean: 0.75 of that mean and 0.25 of av; then runs/knob.py --lowest 0.15
# Version 1.13 is that, with the library of 1.12.
# From it, in full precision (docs/log.md, 56), with random.npz of version 1.13, which is 1.9's, beside the weights:
#   aw    459 steps  smooth.toml for 900 seconds, with content 18, style 600, texture 8, identity 10, weave 160 (its bins not yet
#                    pooled by sectors); lr 5e-4
#   ax    401 steps  smooth.toml for 780 seconds, with content 20, style 600, texture 8, identity 12, weave 300; lr 5e-4
# Version 1.14 is ax, and its library what runs/library.py makes of it, but el-greco, filonov, klimt, monet and renoir, whose files
# were taken away and fitted with --set loss.ghost=9000 --set loss.halo=8000. fit.toml was louder in content and structure and lower
# in halo, style and weave until here.
# From it, as it was shipped, in half precision (docs/log.md, 57):
#   ay    807 steps  smooth.toml for 900 seconds of two cores (runs/by_clock.py), with content 16, style 800, ghost 4000, halo 5000
#   az    850 steps  smooth.toml for 1,100 seconds
#   .                the mean of both; then 0.8 of it and 0.2 of version 1.14
# Version 1.15 is that, and its library what runs/library.py makes of it with --set loss.grid=200, but leonardo, munch and seurat
# with 1000, as fit.toml has it now, and el-greco, monet and renoir with that, loss.ghost=6500 and loss.halo=36000. Until here,
# loss.ghost saw plain places alone, smooth.toml had content 16, texture 12, ghost 2000, halo 5000, style 400, identity 16, weave 45
# and lr 3e-4, and fit.toml content 26, texture 8, ghost 3000, halo 6000, style 480, weave 120 and grid 200.
# From version 1.15 as it was shipped, in half precision, all of sharp.toml on two cores (runs/by_clock.py) with restore 6, sharp 6,
# fidelity_power 1.5, psnr 6, pixel_share 0.2, identity 44, weave 80, game.weight 40, game.until 0.5, game.patches 6,
# game.penalty_every 16, game.warmup_steps 60, warm-up 20; lr 5e-4, half-life 80 (docs/log.md, 58 and 59):
#   bb    954 steps  for 1,380 seconds, with restore 4, fidelity_power 2, psnr 4, pixel_share 0.05, no game.until, game.warmup_steps 100;
#                    lr 7e-4
#   .                the mean: half of bb and half of version 1.15
#   bc    439 steps  for 640 seconds, half-life 60
#   bd  1,131 steps  for 1,300 seconds
#   be  1,223 steps  for 1,500 seconds
#   bf  1,189 steps  for 1,450 seconds; lr 4e-4, half-life 120
#   .                the mean: 0.6 of bf and 0.4 of version 1.15
#   bg    826 steps  for 1,300 seconds, with restore 12, pixel 340, pixel_share 0.1; lr 4e-4, half-life 100
#   .                the mean of bf and bg; then 0.42 of it and 0.58 of version 1.15
#   bi  1,092 steps  restoring.toml for 840 seconds, with what as was given
#   .                the mean: half of bi, 0.2 of bf and 0.3 of version 1.15 (two calls of runs/mean.py)
# Version 1.16 (f3e5307089ab) is that, with the library of 1.15 brought along (`upbrush export`). Weights of bd
# (runs/weights/bd.safetensors until then) are in git's history.
# From version 1.16 in full precision, by the same, but fidelity_power 1.2, game.weight 20, ghost 8000; not shipped (docs/log.md, 60):
#   bk  3,006 steps  for 3,600 seconds; lr 6e-4, half-life 150
#   .                the mean: 0.7 of bk and 0.3 of version 1.16
#   bn    995 steps  for 1,380 seconds, with fidelity_power 1.5, game.weight 40, game.until 0.3; lr 4e-4, half-life 100
# Until here, sharp.toml had no ghost, and nothing restored was charged with it. From here on low pictures are as blurred and as noisy
# as val's (docs/log.md, 61); faces, photographs, art .36, .40, .24:
#   .                the mean: half of bn and half of version 1.16
#   bo  1,000 steps  for 1,420 of 4,000 seconds (stopped), with fidelity_power 1.4, game.weight 25, game.until 0.4; lr 6e-4, half-life 150
#   bp  2,985 steps  for 3,000 seconds, the same, but perceptual 350, pixel 220, identity 56, ghost 5000; .34, .39, .27
#   bq    850 steps  restoring.toml for 480 seconds, with what bm was given: identity 12, weight_decay 0.3, lr 5e-4, warm-up 20, half-life 60,
#                    keep 40
#   .                the mean: 0.75 of bq and 0.25 of version 1.16
#   br    893 steps  smooth.toml for 840 seconds, with crop_px 192, repaint 4, content 18, style 1200, compile, half-life 50
#   .                the mean: 0.35 of what it began from and 0.65 of br
# Version 1.17 (60a40e06045c) is that, with the library of 1.16 brought along (`upbrush export`). Weights of bn and bp
# (runs/weights until then) are in git's history. From here on 95 % of low pictures are compressed last (docs/log.md, 62):
#   .                the mean: 0.4 of version 1.17 and 0.6 of bp
#   bs  2,548 steps  sharp.toml for 2,750 seconds, as bp, but perceptual 420, identity 70, lr 5e-4
#   bt    733 steps  restoring.toml for 440 seconds, as bq
#   .                the mean: 0.75 of bt and 0.25 of version 1.17
#   bu    736 steps  smooth.toml for 500 seconds, as br, but half-life 40
#   .                the mean: 0.4 of what it began from and 0.6 of bu
# Version 1.18 (0c251b38febd) is that, with the library of 1.17 brought along (`upbrush export`).
# From bs, not from version 1.18 (docs/log.md, 62 and 63):
#   bv    845 steps  sharp.toml for 1,000 seconds, as bs, but perceptual 600, identity 90, game.until 0.5, half-life 80
#   bw  2,591 steps  for 2,800 seconds, as bv, but perceptual 560, half-life 150
#   bx    840 steps  restoring.toml for 480 seconds, as bq
#   .                the mean: 0.75 of bx and 0.25 of version 1.18
#   by    911 steps  smooth.toml for 560 seconds, as bu
#   .                the mean: 0.4 of what it began from and 0.6 of by
# Version 1.19 (1c02ab73af42) is that. Its library has the means of two, half each (as upbrush style blend gives them): the library
# of 1.18, brought along (`upbrush export`), and what runs/library.py makes of it with --set loss.grid=200, but leonardo, munch and
# seurat by fit.toml as it is, and el-greco, monet and renoir with that, loss.ghost=6500 and loss.halo=36000.
# From bw, not from version 1.19, on low pictures that are spread as the validation set's (docs/log.md, 65):
#   cb  2,600 steps  sharp.toml for 2,900 seconds, as bw, lr 5e-4
#   cc    778 steps  restoring.toml for 450 seconds, as bq
#   .                the mean: 0.75 of cc and 0.25 of version 1.19
#   cd    834 steps  smooth.toml for 560 seconds, as bu, but bicubic_share 0.65
#   .                the mean: 0.42 of what it began from and 0.58 of cd
# Version 1.20 (de7538496703) is that, with the library of 1.19 brought along (`upbrush export`).
# What [degradation] was then stands in its header; a resize by area moved places then (docs/log.md, 65), as in all before.
# Until here sharp.toml had perceptual 250, pixel 260, psnr 4, ghost 8000, weave 45, identity 36, no game, fidelity_power 2, patterns_every
# 4, other shares of kinds, lr 7e-4, and loss.identity was a mean over faces of any size (docs/log.md, 66): as given above, it was
# half as large in the other recipes.
# cb is runs/weights/cb.safetensors, in half precision, to go on from; bw's is in git's history.
# The commands below end with version 1.6, by the recipes as they are now.
# runs/widen.py wants weights of version 1.2; what is trained by these commands has two networks from the beginning.
set -euo pipefail
out=${1:?"give a folder for the runs: runs/version-1.sh OUT"}
: "${UPBRUSH_DATA:?set it to the folder with train-faces.tar, train-photos.tar and train-art.tar}"
data=(--data "$UPBRUSH_DATA/train-faces.tar" --data "$UPBRUSH_DATA/train-photos.tar" --data "$UPBRUSH_DATA/train-art.tar")
here=$(dirname "$0")/..

[ -e "$out/last/weights.safetensors" ] || { echo "no version 0 in $out: run runs/small.sh $out first" >&2; exit 2; }
upbrush train "$here/recipes/pixels.toml" "${data[@]}" --from "$out/last/weights.safetensors" --out "$out/pixels-1"
upbrush train "$here/recipes/game.toml" "${data[@]}" --from "$out/pixels-1/weights.safetensors" --out "$out/game"
upbrush train "$here/recipes/styles.toml" "${data[@]}" --from "$out/game/weights.safetensors" --out "$out/styles"
upbrush train "$here/recipes/smooth.toml" "${data[@]}" --from "$out/styles/weights.safetensors" --out "$out/smooth"
upbrush train "$here/recipes/common.toml" "${data[@]}" --from "$out/smooth/weights.safetensors" --out "$out/common"
upbrush export "$out/common/weights.safetensors" --out "$out/common/model"
python "$here/runs/library.py" --model "$out/common/model" --statistics
upbrush train "$here/recipes/restoring.toml" "${data[@]}" --from "$out/common/model/weights.safetensors" \
    --out "$out/restoring" --set train.steps=7800
upbrush export "$out/restoring/weights.safetensors" --out "$here/src/upbrush/model"
python "$here/runs/library.py"
