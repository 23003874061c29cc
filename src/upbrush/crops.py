"""How training pictures are cut: squares at random places and sizes.

Squares are taken straight out of the picture where that is less work than resizing all of it; only roundings differ.
"""

import numpy as np
from PIL import Image

from upbrush.config import DataConfig
from upbrush.views import STYLE_PX


def content(image: Image.Image, data: DataConfig, rng: np.random.Generator) -> np.ndarray:
    """A crop at a random place and size, mirrored half the time: (crop_px, crop_px, 3) uint8. image: RGB."""
    short, crop = min(image.size), data.crop_px
    smallest = max(crop, data.zoom * short)
    wanted = short if rng.random() < data.native else rng.uniform(smallest, max(short, smallest))
    wanted = max(wanted, crop)
    width, height = (max(crop, round(side * wanted / short)) for side in image.size)
    return max(_squares(image, (width, height), crop, data.detail_tries, rng), key=_detail)


def style(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """A square of a picture at the StyleEncoder's working size, mirrored half the time. image: RGB."""
    factor = STYLE_PX / min(image.size)
    width, height = (max(STYLE_PX, round(side * factor)) for side in image.size)
    return _squares(image, (width, height), STYLE_PX, 1, rng)[0]


def _squares(
    image: Image.Image, size: tuple[int, int], side: int, count: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Squares of (side, side, 3) at random places of the picture as it would be at `size` (width, height)."""
    places = [
        (int(rng.integers(size[0] - side + 1)), int(rng.integers(size[1] - side + 1)), rng.random() < 0.5)
        for _ in range(count)
    ]
    if image.size != size and count * side**2 >= size[0] * size[1]:
        image = image.resize(size, Image.Resampling.LANCZOS)
    squares = []
    for left, upper, mirrored in places:
        if image.size == size:
            square = image.crop((left, upper, left + side, upper + side))
        else:
            across, down = image.width / size[0], image.height / size[1]
            right, lower = min((left + side) * across, image.width), min((upper + side) * down, image.height)
            within = (left * across, upper * down, right, lower)
            square = image.resize((side, side), Image.Resampling.LANCZOS, within)
        pixels = np.asarray(square)
        squares.append(pixels[:, ::-1] if mirrored else pixels)
    return squares


def _detail(pixels: np.ndarray) -> float:
    """Mean absolute difference of neighbouring pixels' green, on every second row: what there is to learn in a crop."""
    green = pixels[::2, :, 1].astype(np.int16)
    return float(np.abs(green[:, 1:] - green[:, :-1]).mean())
