"""The two small views of a picture that the networks sum it up from: the thumbnail and the style view.

Both are made here for training and for painting alike, so that a model sees the same numbers in both.
"""

import numpy as np
from PIL import Image

THUMBNAIL_PX = 32
STYLE_PX = 256


def area_matrix(source_px: int, target_px: int) -> np.ndarray:
    """Weights that average `source_px` samples into `target_px` cells by exact overlap.

    Returns (target_px, source_px) float32; every row sums to 1. Works for enlarging too (cells smaller than samples).
    """
    edges = np.linspace(0, source_px, target_px + 1)
    left, right = edges[:-1, None], edges[1:, None]
    sample = np.arange(source_px)[None]
    overlap = np.clip(np.minimum(right, sample + 1) - np.maximum(left, sample), 0, None)
    weights: np.ndarray = (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)
    return weights


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Sum up a whole low picture for the Modulator.

    pixels: (H, W, 3) uint8, uint16, or float32 in [0, 1]. Returns (6, 32, 32) float32: the mean colour of each cell,
    then the mean absolute difference to the right and lower neighbours, which tells noise and blur from clean detail
    whatever the picture's size.
    """
    top = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    planes = []
    for channel in range(3):  # one plane at a time: a large picture is never copied whole as float
        plane = pixels[..., channel].astype(np.float32) / top
        detail = np.zeros_like(plane)
        detail[:, :-1] += np.abs(np.diff(plane, axis=1))
        detail[:-1] += np.abs(np.diff(plane, axis=0))
        planes.append((_averaged(plane), _averaged(detail)))
    return np.stack([p[0] for p in planes] + [p[1] for p in planes]).astype(np.float32)


def _averaged(plane: np.ndarray) -> np.ndarray:
    """(H, W) float32 -> (32, 32), as `area_matrix` on both sides does it.

    Sums instead of matrices: a library of linear algebra has threads, which go on spinning for a tenth of a second
    when they are done, and rendering beside them took a quarter longer.
    """
    for _ in range(2):
        plane = np.ascontiguousarray(_along_rows(plane).T)
    return plane


def _along_rows(plane: np.ndarray) -> np.ndarray:
    """Average each row into cells, (H, W) -> (H, 32): the samples that begin in a cell, but for what overhangs."""
    width = plane.shape[1]
    edges = np.arange(THUMBNAIL_PX + 1) * (width / THUMBNAIL_PX)
    starts = edges.astype(np.intp)
    sums: np.ndarray = np.add.reduceat(plane, starts[:-1], axis=1)
    sums[:, starts[:-1] == starts[1:]] = 0  # where no sample begins
    before = plane[:, starts[:-1]] * (edges - starts)[:-1].astype(np.float32)  # of a sample, what lies before an edge
    sums -= before
    sums[:, :-1] += before[:, 1:]
    sums *= np.float32(THUMBNAIL_PX / width)
    return sums


def style_view(pixels: np.ndarray) -> np.ndarray:
    """Bring a style picture to the StyleEncoder's working size.

    pixels: (H, W, 3) uint8. Returns (256, W', 3) or (H', 256, 3) uint8: the long side cut around the middle to at most
    twice the short one, then short side 256 by Lanczos with antialiasing.
    """
    image = Image.fromarray(pixels)
    short = min(image.size)
    width, height = (min(side, 2 * short) for side in image.size)
    left, upper = (image.width - width) // 2, (image.height - height) // 2
    size = (round(width * STYLE_PX / short), round(height * STYLE_PX / short))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, (left, upper, left + width, upper + height)))
