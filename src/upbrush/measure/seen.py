"""One picture with all that is derived from it, each derived once: a truth serves every method that it judges."""

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from upbrush.measure import artefacts, distortion, perceptual
from upbrush.measure.faces import Face
from upbrush.measure.instruments import Instruments
from upbrush.measure.pixels import eight_bits, read

Array = NDArray[np.float64]


class Seen:
    """A picture file. pixels: (H, W, 3) float64 in 0…255."""

    def __init__(self, path: Path, tools: Instruments):
        self.path, self._tools = path, tools
        self.pixels: Array = read(path)

    @property
    def is_large(self) -> bool:
        """Too large for all its features at once?"""
        return self.pixels.size > 3 * perceptual.WHOLE_PX

    @cached_property
    def luma(self) -> Array:
        """(H, W)."""
        return distortion.luma(self.pixels)

    @cached_property
    def eight(self) -> NDArray[np.uint8]:
        """Rounded to 8 bits, for detectors."""
        return eight_bits(self.pixels)

    @cached_property
    def spectrum(self) -> Array:
        """Mean power of Y on rings."""
        return artefacts.spectrum(self.luma)

    @cached_property
    def texture(self) -> Array:
        """Deviation of Y's texture in cells."""
        return artefacts.texture(self.luma)

    @cached_property
    def features(self) -> list[Tensor]:
        """VGG19's, at the picture's own size."""
        assert self._tools.eye is not None
        return self._tools.eye.look(self.pixels)

    def look_with(self, other: "Seen") -> None:
        """Have VGG19 look at two pictures at once, where it has seen neither: cheaper than one after the other."""
        if "features" not in self.__dict__ and "features" not in other.__dict__:
            assert self._tools.eye is not None
            self.features, other.features = self._tools.eye.look_together([self.pixels, other.pixels])

    @cached_property
    def moments(self) -> perceptual.Moments:
        """Of the features at the picture's own size."""
        return perceptual.moments(self.features)

    @cached_property
    def small_features(self) -> list[Tensor]:
        """VGG19's, at 256×256."""
        assert self._tools.eye is not None
        small = perceptual.small(self.pixels)
        return self.features if small is self.pixels else self._tools.eye.look(small)

    @cached_property
    def small_moments(self) -> perceptual.Moments:
        """Of the features at 256×256."""
        if self.pixels.shape[:2] == (perceptual.STYLE_PX, perceptual.STYLE_PX):
            return self.moments
        return perceptual.moments(self.small_features)

    @cached_property
    def faces(self) -> list[Face]:
        """Every face, the largest first."""
        assert self._tools.faces is not None
        return self._tools.faces.find(self.eight)

    @cached_property
    def embedding(self) -> NDArray[np.float32] | None:
        """Of the largest face; None where there is none."""
        return self.embedded(self.faces[0]) if self.faces else None

    def embedded(self, face: Face) -> NDArray[np.float32]:
        """Of what is where `face` is."""
        assert self._tools.faces is not None
        return self._tools.faces.embed(self.eight, face)
