"""What a clip is, as plain data: size, time, colour, and frames."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

UNSPECIFIED = 2  # FFmpeg's number for a colour tag that nobody set
RGB, BT709, BT601, BT2020 = 0, 1, 6, 9  # FFmpeg's numbers of colour matrices
LIMITED, FULL = 1, 2  # and of ranges
HD_LINES = 576  # a clip of more lines and without a tag is taken for BT.709, as players do


@dataclass(frozen=True)
class Colour:
    """FFmpeg's numbers for how a clip's numbers are to be shown: ITU-T H.273 without its names."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    range: int = 0  # 0 is unspecified here

    def settled(self, height: int, rgb: bool) -> "Colour":
        """The same with matrix and range as they are used where no tag says so.

        They are then written as tags: a clip of 180 lines is taken for BT.601, and 720 lines without a tag would be
        taken for BT.709.
        """
        matrix = self.matrix
        if matrix == UNSPECIFIED or (matrix == RGB and not rgb):
            matrix = BT709 if height > HD_LINES or rgb else BT601
        return Colour(self.primaries, self.transfer, matrix, self.range or (FULL if rgb else LIMITED))


@dataclass(frozen=True)
class Pixels:
    """How a clip stores its pixels. chroma: (columns, rows) that share a colour; bits: of the deepest channel."""

    name: str
    bits: int = 8
    chroma: tuple[int, int] = (2, 2)
    rgb: bool = False
    alpha: bool = False

    @property
    def dtype(self) -> np.dtype:
        """What a frame is held in."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)


@dataclass(frozen=True)
class Turn:
    """How a stored frame is brought upright: first swapped across its diagonal, then mirrored."""

    swapped: bool = False
    mirrored: bool = False
    flipped: bool = False

    def upright(self, array: np.ndarray) -> np.ndarray:
        """(H, W, …) as stored -> as it is to be seen."""
        if self.swapped:
            array = array.swapaxes(0, 1)
        rows = slice(None, None, -1 if self.flipped else 1)
        columns = slice(None, None, -1 if self.mirrored else 1)
        return np.ascontiguousarray(array[rows, columns])


@dataclass(frozen=True)
class Clip:
    """What is known of a clip before it is painted.

    width, height: upright. time_base: seconds of a tick. rate: usual frames a second. start: the tick that its own time
    counts from. frames: how many it says it has, None where it does not. seconds: how long it says it is. aspect: of a
    pixel, None for square. plays: how often an animation is shown, 0 for ever. moving_picture: GIF, WebP or PNG.
    """

    path: Path
    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    pixels: Pixels
    colour: Colour
    codec: str
    start: int = 0
    frames: int | None = None
    seconds: float | None = None
    turn: Turn = Turn()
    aspect: Fraction | None = None
    plays: int = 0
    moving_picture: bool = False
    interlaced: bool = False


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame, upright.

    pts, duration: in the clip's ticks, since its start. pixels: (H, W, 3) RGB; alpha: (H, W) or None.
    """

    pts: int
    duration: int
    pixels: np.ndarray
    alpha: np.ndarray | None = None
