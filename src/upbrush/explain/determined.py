"""What a low picture determines of a high one, and what it leaves open; pure.

A high picture H, brought down by bicubic reduction D, gives some low picture. Infinitely many high pictures give the
same one. Of these, exactly one is also a bicubic enlargement U of something: S = U (D U)^-1 D H, the smooth one. What
H has beyond S is detail that no low picture can hold: D (H - S) = 0. So a bicubic enlargement has none of it, and no
measurement of the low picture can say whether it is right. It is the range and null space view of
"Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model" (Wang et al., ICLR 2023), with a smooth
enlargement in place of the pseudo-inverse.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CUBIC_A = -0.5  # Pillow's bicubic, and MATLAB's
STRIPE_ROWS = 64  # low rows at a time
TURNS, CLOSE = 60, 1e-5  # of the iteration: it gains a third to a half a turn, and stops when no pixel moves by more


@dataclass(frozen=True, eq=False)
class Band:
    """A matrix whose rows have few numbers, side by side.

    starts: (N,) the column at which each row begins. weights: (N, K) float32, its numbers from there on.
    """

    starts: np.ndarray
    weights: np.ndarray

    def needs(self, first: int, last: int) -> tuple[int, int]:
        """The columns that rows first…last (the last not included) have numbers in, as (first, last)."""
        return int(self.starts[first]), int(self.starts[last - 1]) + self.weights.shape[1]

    def rows(self, values: np.ndarray, first: int = 0, last: int | None = None) -> np.ndarray:
        """Rows first…last of the product with `values`, of which the rows from `needs` are given: (M, …) float32."""
        last = len(self.starts) if last is None else last
        here = self.starts[first:last] - self.needs(first, last)[0]
        weights = self.weights[first:last].reshape(last - first, -1, *[1] * (values.ndim - 1))
        total: np.ndarray = weights[:, 0] * values[here]
        for k in range(1, weights.shape[1]):
            total += weights[:, k] * values[here + k]
        return total

    def across(self, values: np.ndarray) -> np.ndarray:
        """The same along the second axis, whole."""
        return np.ascontiguousarray(self.rows(values.swapaxes(0, 1)).swapaxes(0, 1))

    def after(self, first: "Band") -> "Band":
        """The product of the two, this one applied second."""
        reach = self.weights.shape[1]
        columns = first.starts[self.starts[:, None] + np.arange(reach)]  # (N, K) where each part of a sum begins
        width = int((columns[:, -1] - columns[:, 0]).max()) + first.weights.shape[1]
        starts = np.minimum(columns[:, 0], first.starts[-1] + first.weights.shape[1] - width)
        product = np.zeros((len(starts), width), np.float32)
        every = np.arange(len(starts))
        for k in range(reach):
            for j in range(first.weights.shape[1]):
                part = self.weights[:, k] * first.weights[self.starts + k, j]
                product[every, columns[:, k] - starts + j] += part  # each row once: no place is named twice
        return Band(starts, product)


def bicubic(source_px: int, target_px: int) -> Band:
    """Bicubic resampling of one axis, antialiased on the way down: what Pillow does, as a matrix."""
    factor = source_px / target_px
    stretch = max(factor, 1.0)
    width = min(source_px, int(np.ceil(4 * stretch)) + 1)
    centre = (np.arange(target_px) + 0.5) * factor
    least = np.maximum(0, (centre - 2 * stretch + 0.5).astype(int))
    most = np.minimum(source_px, (centre + 2 * stretch + 0.5).astype(int))
    starts = np.minimum(least, source_px - width)
    places = starts[:, None] + np.arange(width)
    weights = _cubic((places - centre[:, None] + 0.5) / stretch)
    weights[(places < least[:, None]) | (places >= most[:, None])] = 0
    return Band(starts, (weights / weights.sum(1, keepdims=True)).astype(np.float32))


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys's cubic, which is 0 beyond 2."""
    x = np.abs(x)
    near = ((CUBIC_A + 2) * x - (CUBIC_A + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * CUBIC_A
    kernel: np.ndarray = np.where(x < 1, near, np.where(x < 2, far, 0))
    return kernel


def reduced(high: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bring a high picture, (H, W, C), down by bicubic: (height, width, C) float32, 1 is white."""
    down, across = bicubic(high.shape[0], height), bicubic(high.shape[1], width)
    low = np.empty((height, width, high.shape[2]), np.float32)
    for top in range(0, height, STRIPE_ROWS):
        bottom = min(top + STRIPE_ROWS, height)
        first, last = down.needs(top, bottom)
        low[top:bottom] = across.across(down.rows(unit(high[first:last]), top, bottom))
    return low


def smooth_cause(low: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture whose bicubic enlargement to height x width comes down to `low` again: (h, w, C) float32."""
    cause = low
    for axis, size in enumerate((height, width)):
        round_trip = bicubic(size, low.shape[axis]).after(bicubic(low.shape[axis], size))
        wanted = cause if axis == 0 else cause.swapaxes(0, 1)
        found = wanted.copy()
        for _ in range(TURNS):  # back-projection (Irani & Peleg, 1991), along one axis
            error = wanted - round_trip.rows(found)
            found += error
            if np.abs(error).max() < CLOSE:
                break
        cause = found if axis == 0 else np.ascontiguousarray(found.swapaxes(0, 1))
    return cause


def stripes(high: np.ndarray, cause: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """High rows less the bicubic enlargement of `cause`: (first row, (rows, W, C) float32) from top to bottom."""
    down, across = bicubic(cause.shape[0], high.shape[0]), bicubic(cause.shape[1], high.shape[1])
    step = max(1, STRIPE_ROWS * high.shape[0] // cause.shape[0])
    for top in range(0, high.shape[0], step):
        bottom = min(top + step, high.shape[0])
        first, last = down.needs(top, bottom)
        yield top, unit(high[top:bottom]) - across.across(down.rows(cause[first:last], top, bottom))


def unit(pixels: np.ndarray) -> np.ndarray:
    """Pixels as float32 with 1 as white."""
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32)
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
