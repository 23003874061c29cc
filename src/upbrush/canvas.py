"""The picture while it is being painted: takes rendered tiles, gives the finished array; pure.

Tiles that need no resampling are written straight into the result. Otherwise only the rows that the resampling still
needs are kept, so that painting ×16 to come out at ×10 never holds the ×16 picture.
"""

import math

import numpy as np
from PIL import Image

from upbrush.tiles import Box

LANCZOS_PX = 3  # Lanczos reaches so many pixels to either side, of the coarser of the two grids
STRIPE_ROWS = 128  # rows resampled at a time
TOP = 65535  # rows that wait are kept at 16 bits: half of float32, and far finer than any result
BLOCK_SAMPLES = 1 << 18  # rounded at a time: what a processor's cache holds beside what they come from


class Canvas:
    """A picture being painted at `high` size that comes out at `target` size by one Lanczos resampling.

    high, target: (height, width); target is no larger than high. channels: 1 or 3. dtype: uint8 or uint16. wrap: the
    right edge meets the left one, in resampling too.
    """

    def __init__(
        self, high: tuple[int, int], target: tuple[int, int], channels: int, dtype: np.dtype, wrap: bool = False
    ) -> None:
        if target[0] > high[0] or target[1] > high[1]:
            raise ValueError(f"cannot bring {high} down to {target}, which is larger")
        self.high, self.target, self.dtype = high, target, np.dtype(dtype)
        self._done = np.empty((*target, channels), dtype)
        self._direct = high == target
        self._band = np.empty((0, high[1], channels), np.uint16)  # rows rendered and still needed
        self._band_top = 0  # the high row that the band starts at
        self._rows_done = 0
        self._round_px = math.ceil(LANCZOS_PX * high[1] / target[1]) + 1 if wrap else 0

    def put(self, box: Box, values: np.ndarray) -> None:
        """Take a tile: `values` (h, w, channels) float32, 1 is white, clipped here, for `box` of the high picture.

        Tiles come in reading order and cover the picture exactly once; those of a row have one height.
        """
        if self._direct:
            _round_into(self._done[box.slices], values)
            return
        if box.left == 0:
            fresh = np.empty((box.height, *self._band.shape[1:]), np.uint16)
            self._band = np.concatenate((self._band, fresh))
        _round_into(self._band[box.moved(-self._band_top, 0).slices], values)
        if box.right == self.high[1]:
            self._resample_rows(box.bottom)

    def finish(self) -> np.ndarray:
        """The finished picture, (H, W, channels) of the canvas's dtype."""
        return self._done

    def _resample_rows(self, rows_rendered: int) -> None:
        """Finish every row whose neighbourhood has been rendered, and let go of the rows that no other needs."""
        height, factor = self.target[0], self.high[0] / self.target[0]
        reach = LANCZOS_PX * factor + 1
        ready = height
        if rows_rendered < self.high[0]:
            ready = max(self._rows_done, math.floor((rows_rendered - reach) / factor - 0.5))
        for top in range(self._rows_done, ready, STRIPE_ROWS):
            bottom = min(top + STRIPE_ROWS, ready)
            for channel in range(self._done.shape[2]):
                plane = self._band[..., channel]
                if self._round_px:
                    plane = np.take(plane, range(-self._round_px, self.high[1] + self._round_px), axis=1, mode="wrap")
                rows = _resampled(plane, self._band_top, self.high[0], self.target, top, bottom, self._round_px)
                self._done[top:bottom, :, channel] = from_unit(rows / TOP, self.dtype)
        self._rows_done = ready
        needed = max(self._band_top, math.floor((ready + 0.5) * factor - reach))
        self._band = self._band[needed - self._band_top :].copy()  # a view would keep all of it
        self._band_top = needed


def from_unit(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Turn float32 with 1 as white into uint8 or uint16, rounded; what lies outside [0, 1] is clipped.

    values: (H, W) or (H, W, channels).
    """
    done = np.empty(values.shape, dtype)
    _round_into(done, values)
    return done


def _round_into(done: np.ndarray, values: np.ndarray) -> None:
    """`from_unit` into an array of the same shape.

    Plane by plane, as engines give them, and some rows at a time: four passes over a whole tile would go to the
    memory and back four times, and take as long as a fiftieth of the rendering.
    """
    if values.ndim == 3:
        for channel in range(values.shape[2]):
            _round_into(done[..., channel], values[..., channel])
        return
    height, width = values.shape
    top, rows = np.float32(np.iinfo(done.dtype).max), max(1, BLOCK_SAMPLES // width)
    block = np.empty((min(rows, height), width), np.float32)
    for start in range(0, height, rows):
        scaled = block[: height - start]
        np.clip(values[start : start + rows], 0, 1, out=scaled)
        scaled *= top
        scaled += np.float32(0.5)
        np.copyto(done[start : start + rows], scaled, casting="unsafe")


def resized(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bring one plane, (H, W) uint8 or uint16, to another size by Lanczos, antialiased on the way down.

    Returns (height, width) of the same dtype, clipped.
    """
    if plane.shape == (height, width):
        return plane
    done = np.empty((height, width), plane.dtype)
    for top in range(0, height, STRIPE_ROWS):
        bottom = min(top + STRIPE_ROWS, height)
        rows = _resampled(plane, 0, plane.shape[0], (height, width), top, bottom)
        done[top:bottom] = from_unit(rows / np.float32(np.iinfo(plane.dtype).max), plane.dtype)
    return done


def _resampled(
    plane: np.ndarray, plane_top: int, source_height: int, target: tuple[int, int], top: int, bottom: int,
    beside_px: int = 0,
) -> np.ndarray:  # fmt: skip
    """Rows top…bottom of a plane brought to `target` size, (bottom - top, target[1]) float32, as if it were done whole.

    plane: the rows of the source from plane_top on, as far as they are needed; source_height counts them all. It has
    beside_px columns more to either side, which are looked at and not kept.
    """
    factor = source_height / target[0]
    reach = LANCZOS_PX * max(factor, 1) + 1
    first = max(0, math.floor((top + 0.5) * factor - reach))
    last = min(source_height, math.ceil((bottom - 0.5) * factor + reach))
    stripe = Image.fromarray(plane[first - plane_top : last - plane_top].astype(np.float32))
    right = float(plane.shape[1] - beside_px)
    box = (float(beside_px), top * factor - first, right, min(bottom * factor, source_height) - first)
    return np.asarray(stripe.resize((target[1], bottom - top), Image.Resampling.LANCZOS, box=box))
