"""Photographs to try things on: those that scikit-image bundles under free licences, or a drawing made here."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from upbrush.errors import ConfigError

# (scikit-image's file, left, top, side) of a square cut around the subject, in its pixels
CUTS = {
    "astronaut": ("astronaut.png", 128, 10, 192),
    "cat": ("chelsea.png", 90, 10, 280),
    "coffee": ("coffee.png", 170, 40, 320),
    "rocket": ("rocket.jpg", 170, 60, 300),
}


def are_here() -> bool:
    """Whether scikit-image is installed."""
    return find_spec("skimage") is not None


def photograph(name: str, side_px: int) -> np.ndarray:
    """A square photograph of one of `CUTS`, reduced by bicubic: (side_px, side_px, 3) uint8 RGB.

    Raises ConfigError where scikit-image is not installed.
    """
    if not are_here():
        raise ConfigError('scikit-image, whose photographs this needs, is not installed; pip install "upbrush[demo]"')
    file, left, top, side = CUTS[name]
    with Image.open(_path(file)) as image:
        square = image.resize((side_px, side_px), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    return np.asarray(square)


def files() -> list[Path]:
    """The same photographs, whole, as the files that scikit-image keeps them in.

    Raises ConfigError where scikit-image is not installed.
    """
    if not are_here():
        raise ConfigError('scikit-image, whose photographs this needs, is not installed; pip install "upbrush[train]"')
    return [_path(file) for file, *_ in CUTS.values()]


def _path(file: str) -> Path:
    import skimage.data

    return Path(skimage.data.__file__).parent / file


def drawing(side_px: int) -> np.ndarray:
    """A plain landscape with a house, for where there is no photograph: (side_px, side_px, 3) uint8 RGB."""
    large = 8 * side_px  # drawn large and reduced, so that edges are smooth
    sky = np.linspace((96, 150, 214), (236, 224, 200), large)
    image = Image.fromarray(np.broadcast_to(sky[:, None], (large, large, 3)).astype(np.uint8).copy())
    draw = ImageDraw.Draw(image)

    def shape(points: list[tuple[float, float]], colour: str) -> None:
        draw.polygon([(x * large, y * large) for x, y in points], fill=colour)

    draw.ellipse((0.68 * large, 0.1 * large, 0.88 * large, 0.3 * large), fill="#ffe9a0")
    shape([(0, 0.62), (0.22, 0.36), (0.4, 0.56), (0.62, 0.3), (1, 0.64), (1, 1), (0, 1)], "#7d8ea6")
    shape([(0, 0.72), (0.3, 0.6), (0.7, 0.66), (1, 0.58), (1, 1), (0, 1)], "#6f9a4e")
    shape([(0.3, 0.55), (0.62, 0.55), (0.62, 0.82), (0.3, 0.82)], "#d9c7a4")
    shape([(0.26, 0.57), (0.46, 0.4), (0.66, 0.57)], "#a2442f")
    shape([(0.42, 0.66), (0.5, 0.66), (0.5, 0.82), (0.42, 0.82)], "#4b3628")
    shape([(0.44, 0.82), (0.48, 0.82), (0.62, 1), (0.3, 1)], "#c9b58a")
    return np.asarray(image.resize((side_px, side_px), Image.Resampling.BOX))
