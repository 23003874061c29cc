"""Fitting a style: what its code leaves out of a look, learnt in a minute or two as mods of its own.

The Modulator makes mods for every style there is, and gives each the mean of its kind. The Renderer can do more than it
is told: with mods of their own, found by gradient descent, pictures come nearer to their style and keep more of their
content (docs/log.md, 35 and 42). After "A Neural Algorithm of Artistic Style" (Gatys et al., 2015), with some thousand
numbers instead of pixels: they hold for other pictures than those that they were found on, and painting stays one pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from upbrush import weights
from upbrush.config import Config
from upbrush.dataset import Batches, Entry, Indexed
from upbrush.errors import StyleError
from upbrush.losses import objective
from upbrush.nn.features import Features
from upbrush.nn.generator import thumbnails
from upbrush.styles import CODE_SIZE, Style
from upbrush.train import learning_rate

POOL = 3  # batches that come again and again, so that VGG19 sees their contents and styles once


def fit(
    style: Style,
    pictures: Sequence[np.ndarray],
    config: Config,
    model: Path,
    judge: Features,
    contents: Sequence[Entry] = (),
    told: Callable[[dict[str, float]], None] = lambda terms: None,
) -> Style:
    """The same style with mods of its own behind its code.

    style: of `styles.make`, by the model in `model`, a folder with weights.safetensors. pictures: (H, W, 3) uint8 RGB
    each, what it was made of. config: `fit.toml`. contents: what is repainted, where `data.photographs` is not 1.
    told: hears the losses of each step. Raises StyleError where the weights are another model's, or a loss is not
    finite; ConfigError where there is nothing to repaint.
    """
    generator, _, header = weights.load(model / "weights.safetensors")
    if header["identity"] != style.model:
        raise StyleError(f"style {style.name!r} is of model {style.model}, the weights are {header['identity']}'s")
    generator.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with TemporaryDirectory() as folder:
        drawn = Batches([*_stored(pictures, Path(folder)), *contents], config)
        pool = [drawn[number] for number in range(POOL)]
    features = _remembering(judge, [x for batch in pool for x in (batch.high, batch.style)])
    code = torch.from_numpy(style.code[:CODE_SIZE].copy())
    fitted = torch.zeros(generator.renderer.mods, requires_grad=True)
    optimiser = torch.optim.Adam([fitted], betas=config.train.betas)
    for step in range(config.train.steps):
        batch = pool[step % POOL]
        optimiser.param_groups[0]["lr"] = learning_rate(config, step)
        long = torch.cat([code, fitted]).expand(len(batch.low), -1)
        mods = generator.modulator(thumbnails(batch.low), long, batch.strength[:, None], batch.fidelity[:, None])
        loss, terms = objective(generator.renderer(batch.low, mods), batch, features, config.loss)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if not fitted.isfinite().all():
            raise StyleError(f"style {style.name!r}: step {step} of its fit is not finite; make it without fitting")
        told({name: float(value.detach()) for name, value in terms.items()})
    half = fitted.detach().numpy().astype(np.float16)  # as a file keeps it
    return replace(style, code=np.concatenate([style.code[:CODE_SIZE], half.astype(np.float32)]))


def _stored(pictures: Sequence[np.ndarray], folder: Path) -> list[Indexed]:
    """Pictures as files of kind "style", which is how batches come by theirs."""
    entries = [Indexed(folder / f"{number}.png", f"{number}.png", "style") for number in range(len(pictures))]
    for entry, pixels in zip(entries, pictures, strict=True):
        Image.fromarray(pixels).save(entry.path)
    return entries


def _remembering(judge: Features, known: Sequence[Tensor]) -> Callable[..., list[Tensor]]:
    """The same features, made only once of the tensors that come again."""
    made: dict[int, list[Tensor]] = {}
    places = {x.data_ptr() for x in known}

    def look(x: Tensor, deepest: int = 4) -> list[Tensor]:
        place = x.data_ptr()
        if place not in places:
            return judge(x, deepest)  # type: ignore[no-any-return]
        if place not in made:
            made[place] = judge(x, deepest)
        return made[place]

    return look
