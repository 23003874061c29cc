"""Pictures that go all the way round, and pictures of two eyes: what lies beyond the edge, where to part; pure.

An equirectangular picture shows the whole sphere: columns are longitudes, so the right edge meets the left one, and
rows are latitudes, so whoever walks over a pole comes down on the other side of it, half the width away.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from upbrush.errors import ConfigError, PictureError
from upbrush.picture import Picture
from upbrush.tiles import Box, Tile, cut

STEREO = {"side": 1, "over": 0}  # the axis along which the two eyes lie: side by side, one over the other
POLES_WITHIN = 0.02  # how far from 2:1 a picture may be and still show both poles; else it is a band without them


def has_poles(height: int, width: int) -> bool:
    """Does a picture of this size show the whole sphere, twice as wide as high, and not only a band around it?"""
    return abs(width - 2 * height) <= POLES_WITHIN * 2 * height


def surrounded(pixels: np.ndarray, reach_px: int) -> np.ndarray:
    """A picture with what lies beyond its edges: (H, W, …) -> (H + 2 reach_px, W + 2 reach_px, …).

    Columns go round. Rows go over the pole where `has_poles`; the others repeat the edge, as a flat picture's do.
    """
    height, width = pixels.shape[:2]
    columns = np.arange(-reach_px, width + reach_px) % width
    rows = np.arange(-reach_px, height + reach_px)
    if not has_poles(height, width):
        band: np.ndarray = pixels[np.clip(rows, 0, height - 1)[:, None], columns]
        return band
    walked = rows % (2 * height)  # the way round through both poles is twice the height
    beyond = walked >= height
    rows = np.where(beyond, 2 * height - 1 - walked, walked)
    sphere: np.ndarray = pixels[rows[:, None], (columns + beyond[:, None] * (width // 2)) % width]
    return sphere


def cut_round(height: int, width: int, tile_px: int, overlap_px: int) -> list[Tile]:
    """As `tiles.cut`, for a picture that goes round.

    Outer boxes are of the picture that `surrounded` gives for overlap_px, inner ones of the picture itself; the latter
    cover it exactly once. Every pixel is seen with all that the Renderer can see of it.
    """
    tiles = []
    for tile in cut(height + 2 * overlap_px, width + 2 * overlap_px, tile_px, overlap_px):
        inner = tile.inner.moved(-overlap_px, -overlap_px)
        top, left = max(0, inner.top), max(0, inner.left)
        tiles.append(Tile(tile.outer, Box(top, left, min(height, inner.bottom), min(width, inner.right))))
    return tiles


def eyes(source: Picture, stereo: str | None) -> list[Picture]:
    """The two pictures of a stereo picture, left (upper) first; the picture alone where stereo is None.

    stereo: "side" (side by side) or "over" (one over the other). Raises ConfigError for another word, PictureError for
    a picture that cannot be halved.
    """
    if stereo is None:
        return [source]
    axis = _axis(stereo)
    side = source.pixels.shape[axis]
    if side % 2 or side < 2:
        words = "wide" if axis else "high"
        raise PictureError(
            f"is {side} pixels {words}, two eyes ({stereo}) need an even number; cut a pixel off, or leave out stereo"
        )
    pixels = np.split(source.pixels, 2, axis)
    alphas = [None, None] if source.alpha is None else np.split(source.alpha, 2, axis)
    return [replace(source, pixels=eye, alpha=alpha) for eye, alpha in zip(pixels, alphas, strict=True)]


def eye_target(target: tuple[int, int], stereo: str | None) -> tuple[int, int]:
    """The (height, width) of one eye's painting, of the whole's. Raises ConfigError for one that cannot be halved."""
    if stereo is None:
        return target
    axis = _axis(stereo)
    if target[axis] % 2:
        words = "width" if axis else "height"
        raise ConfigError(f"the {words} asked for is {target[axis]}, two eyes ({stereo}) need an even one; add a pixel")
    return (target[0], target[1] // 2) if axis else (target[0] // 2, target[1])


def joined(painted: Sequence[Picture], stereo: str | None) -> Picture:
    """The paintings of `eyes`, together again."""
    if stereo is None:
        return painted[0]
    axis = _axis(stereo)
    alphas = [eye.alpha for eye in painted if eye.alpha is not None]
    alpha = np.concatenate(alphas, axis) if alphas else None
    return replace(painted[0], pixels=np.concatenate([eye.pixels for eye in painted], axis), alpha=alpha)


def _axis(stereo: str) -> int:
    if stereo not in STEREO:
        raise ConfigError(f"stereo {stereo!r} is unknown; expected side (side by side) or over (one over the other)")
    return STEREO[stereo]
