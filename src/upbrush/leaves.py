"""Dead leaves: pictures for training in which opaque shapes of all sizes lie over one another.

After "Occlusion models for natural images" (Lee, Mumford & Huang, IJCV 2001); that networks learn to restore from them:
"Synthetic images as a regularity prior for image restoration neural networks" (Achddou, Gousseau & Ladjal, SSVM 2021).
Outlines are as sharp as sixteen samples a pixel make them, while what a compressed photograph has of them is softened.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

FINE = 4  # samples a pixel along each side while shapes are drawn


def drawn(side: int, rng: np.random.Generator) -> np.ndarray:
    """One picture of leaves, lines and rows of bars, lit unevenly: (side, side, 3) uint8."""
    size, tint = FINE * side, rng.uniform(0, 50)
    picture = Image.new("RGB", (size, size), _colour(tint, rng))
    draw = ImageDraw.Draw(picture)
    for radius in _radii(size, rng):
        colour, kind = _colour(tint, rng), rng.random()
        if kind < 0.2:
            width = int(FINE * rng.uniform(0.6, 8))
            draw.line(_points(_path(size, rng)), colour, width, joint="curve")
        elif kind < 0.3:
            for bar in _bars(radius, size, rng):
                draw.polygon(_points(bar), colour)
        else:
            draw.polygon(_points(_outline(radius, size, rng)), colour)
    picture = picture.reduce(FINE)
    if rng.random() < 0.6:  # no lens is sharper than that; scans and drawings are
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.9)))
    light = _smooth(rng.uniform(0.55, 1.15, 2 * [int(rng.integers(2, 7))]), side)
    values = np.asarray(picture) * light[..., None]
    if rng.random() < 0.5:
        cells = max(1, side // int(rng.integers(1, 5)))
        values = values + _smooth(rng.uniform(1, 12) * rng.standard_normal((cells, cells)), side)[..., None]
    pixels: np.ndarray = values.clip(0, 255).round().astype(np.uint8)
    return pixels


def _radii(size: int, rng: np.random.Generator) -> np.ndarray:
    """Many small ones and few large, by the inverse cube that makes a picture look alike from near and far."""
    smallest, largest = FINE * rng.uniform(1.5, 8), size * rng.uniform(0.15, 0.5)
    share = rng.random(int(rng.integers(30, 300)))
    radii: np.ndarray = (smallest**-2 + share * (largest**-2 - smallest**-2)) ** -0.5
    ground = int(rng.integers(3, 12))  # large ones first, so that hardly a place stays bare
    radii[:ground] = rng.uniform(0.15, 0.6, ground) * size
    return radii


def _colour(tint: float, rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (rng.uniform(0, 255) + tint * rng.standard_normal(3)).clip(0, 255)
    return int(red), int(green), int(blue)


def _points(path: np.ndarray) -> list[tuple[float, float]]:
    return [(x, y) for x, y in path.tolist()]


def _path(size: int, rng: np.random.Generator) -> np.ndarray:
    """A straight line or a bow from anywhere to anywhere: a wire, a branch, a hair."""
    start, end, pull = rng.uniform(-0.2 * size, 1.2 * size, (3, 2))
    if rng.random() < 0.5:
        pull = (start + end) / 2
    t = np.linspace(0, 1, 24)[:, None]
    path: np.ndarray = (1 - t) ** 2 * start + 2 * t * (1 - t) * pull + t**2 * end
    return path


def _upright(rng: np.random.Generator) -> float:
    """The angle of what was built: nearly level or plumb."""
    return float(np.pi / 2 * rng.integers(2) + rng.normal(0, 0.05))


def _bars(radius: float, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """A row of bars: a shutter, a fence, windows."""
    angle = rng.uniform(0, np.pi) if rng.random() < 0.5 else _upright(rng)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    pitch, first = FINE * rng.uniform(4, 20), rng.uniform(-0.1 * size, 1.1 * size, 2)
    ends, thick = 2 * radius * along, 0.5 * pitch * across
    bar = np.stack([-ends, ends, ends + thick, thick - ends])
    return [first + number * pitch * across + bar for number in range(int(rng.integers(3, 10)))]


def _outline(radius: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """An ellipse, a rectangle, a polygon or a blob anywhere: (N, 2)."""
    turn, kind = rng.uniform(0, 2 * np.pi), rng.integers(4)
    if kind == 1:
        tall = rng.uniform(0.15, 1)
        shape = np.array([[-1, -tall], [1, -tall], [1, tall], [-1, tall]])
        turn = _upright(rng) if rng.random() < 0.5 else turn
    elif kind == 2:
        at = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 9))))
        shape = rng.uniform(0.4, 1, (len(at), 1)) * np.stack([np.cos(at), np.sin(at)], 1)
    else:
        at = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        shape = np.stack([np.cos(at), np.sin(at)], 1)
        if kind == 0:
            shape[:, 1] *= rng.uniform(0.3, 1)
        else:
            waves = [rng.normal(0, 0.25 / k) * np.cos(k * at + rng.uniform(0, 2 * np.pi)) for k in range(2, 6)]
            shape *= 1 + np.sum(waves, 0)[:, None]
    cos, sin = np.cos(turn), np.sin(turn)
    placed: np.ndarray = rng.uniform(-0.1 * size, 1.1 * size, 2) + radius * shape @ np.array([[cos, sin], [-sin, cos]])
    return placed


def _smooth(cells: np.ndarray, side: int) -> np.ndarray:
    """Few values as a slow change over all of a picture: (side, side) float32."""
    image = Image.fromarray(cells.astype(np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))
