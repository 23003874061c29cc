"""A painting with gradients: the generator's weights beside its graphs, and a part of a picture rendered by them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from upbrush import weights
from upbrush.engine import Engine
from upbrush.errors import ConfigError, WeightsError
from upbrush.explain.determined import unit
from upbrush.nn.generator import SCALE, Generator
from upbrush.tiles import Box
from upbrush.views import thumbnail

MOST_REGION_PX = 256  # a side of what is asked about, output pixels: its gradients take 0.7 GB


@dataclass(frozen=True, eq=False)
class Scene:
    """One low picture and the knobs it is painted with.

    low: (H, W, 3) uint8 or uint16. code: (1, code_size), or None for restoring.
    """

    generator: Generator
    low: np.ndarray
    code: Tensor | None
    strength: float
    fidelity: float

    @property
    def size(self) -> tuple[int, int]:
        """Of the output: (height, width)."""
        return SCALE * self.low.shape[0], SCALE * self.low.shape[1]

    @property
    def reach_px(self) -> int:
        """How far the Renderer sees, low pixels."""
        return self.generator.renderer.overlap_px

    @cached_property
    def summary(self) -> Tensor:
        """The picture's thumbnail: (1, 6, 32, 32)."""
        return torch.from_numpy(thumbnail(self.low))[None]

    def mods(
        self, *, code: Tensor | None = None, strength: float | None = None, fidelity: float | None = None,
        summary: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """The mods of the whole picture, (B, K): as it is painted, but for what is given.

        code: (B, code_size). summary: a thumbnail to take in place of the picture's.
        """
        code = self.code if code is None else code
        if code is None:
            code = torch.zeros(1, self.generator.encoder.code_size)
        summary = self.summary if summary is None else summary
        column = torch.ones(len(code), 1)
        strengths = column * (self.strength if strength is None else strength)
        fidelities = column * (self.fidelity if fidelity is None else fidelity)
        mods: Tensor = self.generator.modulator(summary.expand(len(code), -1, -1, -1), code, strengths, fidelities)
        return mods

    def crop(self, box: Box) -> Tensor:
        """A part of the low picture: (1, 3, h, w)."""
        return torch.from_numpy(np.ascontiguousarray(unit(self.low[box.slices]).transpose(2, 0, 1)))[None]

    def around(self, region: Box, low_px: int) -> Box:
        """The low pixels under a region of the output and so many around it, within the picture."""
        height, width = self.low.shape[:2]
        return Box(
            max(0, region.top // SCALE - low_px),
            max(0, region.left // SCALE - low_px),
            min(height, -(-region.bottom // SCALE) + low_px),
            min(width, -(-region.right // SCALE) + low_px),
        )

    def window(self, region: Box, side_px: int) -> Box:
        """A square of low pixels around a region of the output, moved into the picture, or smaller where that is."""
        sides = []
        for first, last, length in (
            (region.top, region.bottom, self.low.shape[0]),
            (region.left, region.right, self.low.shape[1]),
        ):
            start = max(0, min((first + last) // (2 * SCALE) - side_px // 2, length - side_px))
            sides.append((start, min(length, start + side_px)))
        return Box(sides[0][0], sides[1][0], sides[0][1], sides[1][1])


def open_generator(path: Path, engine: Engine) -> Generator:
    """The generator of an engine's model, for gradients.

    Raises WeightsError where the weights are missing, damaged, or of another model.
    """
    generator, _, header = weights.load(path)
    if header.get("identity") != engine.identity:
        raise WeightsError(
            f"{path}: holds model {header.get('identity', 'unknown')}, the model that paints is {engine.identity}; "
            "give the weights that it was exported from, as in --weights runs-out/mine/weights.safetensors"
        )
    return generator.requires_grad_(False)


def check_region(region: Box, size: tuple[int, int]) -> None:
    """Raise ConfigError unless a region lies in an output of that (height, width) and is of a size to ask about."""
    height, width = size
    words = f"region {region.left},{region.top},{region.width},{region.height}"
    if region.top < 0 or region.left < 0 or region.bottom > height or region.right > width:
        raise ConfigError(
            f"{words} leaves the output, which is {width}x{height} pixels; give left,top,width,height inside it"
        )
    if min(region.height, region.width) < 2 or max(region.height, region.width) > MOST_REGION_PX:
        raise ConfigError(
            f"{words}: expected 2 to {MOST_REGION_PX} pixels a side; ask about a smaller or larger part of the output"
        )
