"""The Painter with an engine of your own: sizes, tiles, alpha and 16 bits are its business, pixels are yours.

    python examples/own_engine.py photo.jpg large.png

An engine is anything with `encode`, `modulate` and `render`. This one enlarges by plain bicubic, to compare with.
"""

import sys

import numpy as np
from PIL import Image

from upbrush import Painter


class Bicubic:
    """Enlarges four times without any model."""

    scale = 4
    overlap_px = 4  # bicubic sees two pixels; a few more cost nothing
    code_size = 256
    identity = "bicubic"

    def encode(self, style: np.ndarray) -> np.ndarray:
        """No style makes a difference: (H, W, 3) -> (256,) zeros."""
        return np.zeros(self.code_size, np.float32)

    def modulate(self, thumbnail: np.ndarray, code: np.ndarray | None, strength: float, fidelity: float) -> np.ndarray:
        """Nothing to modulate: (1,) zeros."""
        return np.zeros(1, np.float32)

    def render(self, low: np.ndarray, mods: np.ndarray) -> np.ndarray:
        """Enlarge (1, 3, h, w) float32 to (1, 3, 4h, 4w)."""
        size = (low.shape[3] * self.scale, low.shape[2] * self.scale)
        planes = [Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC) for plane in low[0]]
        return np.stack([np.asarray(plane) for plane in planes])[None]


def main(photo: str, target: str) -> None:
    """Enlarge one photograph."""
    with Image.open(photo) as image:
        Painter(Bicubic(), memory="200MB").paint(image.convert("RGB")).save(target)


if __name__ == "__main__":
    main(*sys.argv[1:3])
