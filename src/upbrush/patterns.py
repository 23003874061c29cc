"""Pictures drawn by code for training: noise, checks, spots, stripes, slopes, shapes, letters.

Photographs and paintings hold few of them, and people's pictures do: a chessboard, a screenshot, a scan's raster, sand.
A generator that has never seen any answers with values far outside [0, 1], as the Renderer takes no statistics that
would bound them.
"""

import string

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LARGEST_CELL = 48  # pixels; the smallest is one
LOW_PX = 4  # pixels of a pattern to one low pixel


def drawn(side: int, rng: np.random.Generator) -> np.ndarray:
    """One pattern in random colours, sizes and directions: (side, side, 3) uint8."""
    kinds = (_noise, _checks, _lattice, _stripes, _slope, _shapes, _letters)
    pixels: np.ndarray = kinds[rng.integers(len(kinds))](side, rng)
    return pixels


def _colours(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3) in [0, 255]: black and white, greys, or any colours."""
    kind = rng.random()
    if kind < 0.4:
        return np.linspace(0, 255, count)[rng.permutation(count)][:, None].repeat(3, 1)
    if kind < 0.6:
        return rng.integers(0, 256, (count, 1)).repeat(3, 1).astype(float)
    return rng.integers(0, 256, (count, 3)).astype(float)


def _cell(rng: np.random.Generator) -> float:
    """A size in pixels; half the time whole low pixels, so that full contrasts are met between neighbours there."""
    cell = float(LARGEST_CELL ** rng.random())
    return cell if rng.random() < 0.5 else LOW_PX * max(1, round(cell / LOW_PX))


def _mixed(share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two colours by a share (H, W) in [0, 1] of the second."""
    first, second = _colours(rng, 2)
    pixels: np.ndarray = (first + share[..., None] * (second - first)).round().astype(np.uint8)
    return pixels


def _noise(side: int, rng: np.random.Generator) -> np.ndarray:
    cells = max(1, round(side / min(_cell(rng), 16)))
    channels = 1 if rng.random() < 0.5 else 3
    if rng.random() < 0.5:
        values = rng.uniform(0, 256, (cells, cells, channels))
    else:
        values = rng.uniform(0, 256, channels) + rng.uniform(2, 60) * rng.standard_normal((cells, cells, channels))
    picture = Image.fromarray(values.clip(0, 255).astype(np.uint8).repeat(3 // channels, 2))
    smooth = rng.random() < 0.3
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST))


def _checks(side: int, rng: np.random.Generator) -> np.ndarray:
    cell = _cell(rng)
    places = (np.arange(side) + LOW_PX * int(rng.integers(LARGEST_CELL))) // cell
    return _mixed((places[:, None] + places[None]) % 2, rng)


def _lattice(side: int, rng: np.random.Generator) -> np.ndarray:
    """Spots, or the lines between them."""
    pitch, places = 2 * _cell(rng), np.arange(side) + LOW_PX * int(rng.integers(LARGEST_CELL))
    inside = places % pitch < pitch * rng.uniform(0.2, 0.8)
    return _mixed((inside[:, None] & inside[None]).astype(float), rng)


def _stripes(side: int, rng: np.random.Generator) -> np.ndarray:
    phase = _along(side, rng) * side / (2 * _cell(rng)) + rng.random()
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * phase)
    return _mixed((wave > rng.uniform(0.2, 0.8)).astype(float) if rng.random() < 0.6 else wave, rng)


def _slope(side: int, rng: np.random.Generator) -> np.ndarray:
    """From one colour to another; of no length at all in one of four: a plain picture."""
    share = _along(side, rng)
    return _mixed((share - share.min()) / np.ptp(share) * (rng.random() < 0.75), rng)


def _along(side: int, rng: np.random.Generator) -> np.ndarray:
    """How far each pixel lies along a direction, in sides: upright, level and diagonal ones more often than others."""
    angle = rng.integers(4) * np.pi / 4 if rng.random() < 0.6 else rng.uniform(0, np.pi)
    rows, columns = np.mgrid[:side, :side] / side
    far: np.ndarray = np.cos(angle) * columns + np.sin(angle) * rows
    return far


def _shapes(side: int, rng: np.random.Generator) -> np.ndarray:
    colours = [tuple(int(value) for value in colour) for colour in _colours(rng, 5)]
    picture = Image.new("RGB", (side, side), colours[0])
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(4, 16))):
        points = [tuple(point) for point in rng.uniform(-0.2 * side, 1.2 * side, (3, 2)).tolist()]
        colour, width = colours[rng.integers(1, 5)], int(rng.integers(1, 7))
        kind = rng.integers(4)
        if kind == 0:
            draw.polygon(points, fill=colour)
        elif kind == 1:
            draw.line(points, fill=colour, width=width)
        else:
            (x, y), radius = points[0], float(rng.uniform(2, side / 3))
            draw.circle((x, y), radius, fill=colour if kind == 2 else None, outline=colour, width=width)
    return np.asarray(picture)


def _letters(side: int, rng: np.random.Generator) -> np.ndarray:
    paper, ink = (tuple(int(value) for value in colour) for colour in _colours(rng, 2))
    picture = Image.new("RGB", (side, side), paper)
    draw = ImageDraw.Draw(picture)
    size = int(rng.integers(7, 48))
    font = ImageFont.load_default(size)
    letters = list(string.ascii_letters + string.digits + string.punctuation + 12 * " ")
    for top in range(int(rng.integers(-size, 1)), side, round(size * 1.25)):
        draw.text((int(rng.integers(-size, 1)), top), "".join(rng.choice(letters, 2 * side // size + 2)), ink, font)
    return np.asarray(picture)
