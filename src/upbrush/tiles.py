"""Cut a picture into overlapping tiles: which part of it each tile sees, and which part it owns; pure.

Everything is in low pixels. A Renderer that sees no further than `overlap_px` gives every owned pixel the value that it
has in the whole picture, so tiles are put side by side and nothing is blended.
"""

import math
from dataclasses import dataclass

from upbrush.errors import OutOfMemoryError

LEAST_INNER_PX = 8  # below this a tile is nearly all overlap, and a picture would take days


@dataclass(frozen=True)
class Box:
    """A rectangle: rows top…bottom and columns left…right, the last of each not included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows in it."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns in it."""
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index an (H, W, …) array with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def moved(self, rows: int, columns: int) -> "Box":
        """The same rectangle, so much further down and to the right."""
        return Box(self.top + rows, self.left + columns, self.bottom + rows, self.right + columns)

    def times(self, scale: int) -> "Box":
        """The rectangle that this one becomes when the picture is enlarged."""
        return Box(self.top * scale, self.left * scale, self.bottom * scale, self.right * scale)


@dataclass(frozen=True)
class Tile:
    """One tile: `outer` is what is rendered, `inner` the part of the result that is kept."""

    outer: Box
    inner: Box


def cut(height: int, width: int, tile_px: int, overlap_px: int) -> list[Tile]:
    """Cut a picture into tiles of at most tile_px a side.

    Returns them in reading order. The inner boxes cover the picture exactly once; each outer box lies in the picture
    and reaches overlap_px beyond its inner box, or to the picture's border. All outer boxes have one shape, because
    runtimes keep their memory and their plans from one call to the next when shapes repeat.
    Raises ValueError for an empty picture and for tiles that are nothing but overlap.
    """
    if height < 1 or width < 1 or overlap_px < 0 or tile_px <= 2 * overlap_px:
        raise ValueError(f"cannot cut {height}x{width} into tiles of {tile_px} with an overlap of {overlap_px}")
    rows, columns = _spans(height, tile_px, overlap_px), _spans(width, tile_px, overlap_px)
    return [
        Tile(Box(top, left, bottom, right), Box(inner_top, inner_left, inner_bottom, inner_right))
        for top, bottom, inner_top, inner_bottom in rows
        for left, right, inner_left, inner_right in columns
    ]


def _spans(length: int, tile_px: int, overlap_px: int) -> list[tuple[int, int, int, int]]:
    """Cut one axis: (outer start, outer end, inner start, inner end) of each piece."""
    if length <= tile_px:
        return [(0, length, 0, length)]
    count = math.ceil((length - 2 * overlap_px) / (tile_px - 2 * overlap_px))
    step = math.ceil((length - 2 * overlap_px) / count)  # as even as can be: no sliver at the end
    outer_px = step + 2 * overlap_px
    starts = [min(index * step, length - outer_px) for index in range(count)]
    seams = [0, *(start + overlap_px for start in starts[1:]), length]
    return [(start, start + outer_px, seams[i], seams[i + 1]) for i, start in enumerate(starts)]


def tile_px_for(memory_bytes: int, bytes_per_px: int, overlap_px: int) -> int:
    """The largest square tile whose rendering fits the memory.

    bytes_per_px: what rendering one low pixel takes at its peak. Returns the side in low pixels, overlap included.
    Raises OutOfMemoryError when not even the smallest sensible tile fits.
    """
    side = math.isqrt(max(0, memory_bytes) // bytes_per_px)
    least = 2 * overlap_px + LEAST_INNER_PX
    if side < least:
        needed = math.ceil(least * least * bytes_per_px / 1e6)
        raise OutOfMemoryError(
            f"{memory_bytes / 1e6:.0f} MB of memory hold no tile, the smallest takes {needed} MB beside the result: "
            "allow more, as with --memory 1GB"
        )
    return side
