"""Weights of a Generator as those of one with wider layers: the same pictures.

    python runs/larger.py SMALL.safetensors --channels 128 -o LARGE.safetensors

After "Net2Net" (Chen et al., ICLR 2016), with what is added silent at first: whatever was there reads a new channel by
weights of zero, so training goes on where the small one was.
"""

import argparse
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from upbrush import config, weights
from upbrush.nn.generator import COLOUR_MODS, Generator

MODS = ("modulator.restore.4", "modulator.repaint.4")  # layers whose outputs are the mods


def main() -> None:
    """Read, fill in, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small", type=Path)
    parser.add_argument("--channels", type=int, required=True, help="of the Renderer's body")
    parser.add_argument("--out", "-o", type=Path, required=True)
    told = parser.parse_args()
    small, settings, header = weights.load(told.small)
    if told.channels <= settings.model.channels:
        parser.error(f"--channels {told.channels}: expected more than the {settings.model.channels} there are")
    tree = settings.model_dump()
    tree["model"]["channels"] = told.channels
    wanted = config.check(tree, str(told.small))
    origin = f"{header['identity']}, with {told.channels} channels for {settings.model.channels}"
    weights.save(told.out, larger(small, Generator(wanted.model)), wanted, weights.handed_down(header, origin))


def larger(small: Generator, large: Generator) -> Generator:
    """Give `large`, as it was initialised, the weights of `small`, and return it: it paints the same pictures."""
    state = large.state_dict()
    for key, old in small.state_dict().items():
        if key.startswith(MODS):
            state[key] = _spread(old, small.renderer.widths, large.renderer.widths)
        else:
            state[key] = _corner(old, state[key])
    large.load_state_dict(state)
    return large


def _corner(old: Tensor, new: Tensor) -> Tensor:
    """The old weights within the new ones: what was there hears nothing of what is new, which is as it began."""
    filled = new.clone()
    filled[: len(old)] = 0
    filled[tuple(slice(side) for side in old.shape)] = old
    return filled


def _spread(old: Tensor, before: list[int], after: list[int]) -> Tensor:
    """Each layer's scales and shifts at their places among those of wider layers; of new channels they are zero."""
    sides = [[width for width in widths for _ in ("scale", "shift")] for widths in (before, after)]
    parts = torch.tensor_split(old[:-COLOUR_MODS], list(accumulate(sides[0]))[:-1])
    padded = [
        torch.cat([part, part.new_zeros(side - len(part), *part.shape[1:])])
        for part, side in zip(parts, sides[1], strict=True)
    ]
    return torch.cat([*padded, old[-COLOUR_MODS:]])


if __name__ == "__main__":
    main()
