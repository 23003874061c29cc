"""Sizes as people write them: of the picture to make, and of the memory it may take; pure."""

import math
import re
from numbers import Real

from upbrush.errors import ConfigError

LARGEST_SCALE = 16

_SIDES = re.compile(r"(fit:)?\s*(\d+)\s*[x×X]\s*(\d+)")
_SIDE = re.compile(r"(long|short):\s*(\d+)")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def target_size(
    width: int, height: int, scale: float | None = None, size: str | None = None, default_scale: float = 4
) -> tuple[int, int]:
    """The exact size a picture is to come out at.

    width, height: the picture's, in pixels. scale: a factor from 1 to 16. size: "3000x2000" (exactly that, even when
    the proportions change), "long:3000", "short:2000" (that side exactly, the other in proportion) or "fit:3000x2000"
    (the largest that fits, in proportion). Neither: default_scale. A size may be smaller than the picture: it is then
    painted and brought down. Returns (width, height), each at least 1.
    Raises ConfigError for both at once, for one that cannot be read, and for more than 16 times the picture.
    """
    if scale is not None and size is not None:
        raise ConfigError(f"scale {scale:g} and size {size} are both given; give one of them")
    if size is None:
        return _scaled(width, height, default_scale if scale is None else scale)
    target = _sized(width, height, size)
    factor = max(target[0] / width, target[1] / height)
    if factor > LARGEST_SCALE:
        raise ConfigError(
            f"size {size} is {factor:.1f} times the picture's {width}x{height}; expected at most {LARGEST_SCALE} times"
        )
    return target


def _scaled(width: int, height: int, scale: float) -> tuple[int, int]:
    if not is_number(scale) or not 1 <= scale <= LARGEST_SCALE:
        raise ConfigError(f"scale {scale!r} is not in 1…{LARGEST_SCALE}: 1 enhances at the same size, 4 is usual")
    factor = float(scale)
    return max(1, math.floor(width * factor + 0.5)), max(1, math.floor(height * factor + 0.5))


def is_number(value: object) -> bool:
    """Is it one number, Python's or numpy's? True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _sized(width: int, height: int, size: str) -> tuple[int, int]:
    text = str(size).strip()
    if match := _SIDES.fullmatch(text):
        across, down = int(match[2]), int(match[3])
        if across and down:
            return _fitted(width, height, across, down) if match[1] else (across, down)
    elif match := _SIDE.fullmatch(text):
        side = int(match[2])
        if side:
            of_width = (width >= height) == (match[1] == "long")
            return (side, _share(height, side, width)) if of_width else (_share(width, side, height), side)
    raise ConfigError(f"size {size!r} is not a size; expected 3000x2000, long:3000, short:2000 or fit:3000x2000")


def _fitted(width: int, height: int, across: int, down: int) -> tuple[int, int]:
    if across * height <= down * width:  # the width is the tighter side
        return across, _share(height, across, width)
    return _share(width, down, height), down


def _share(side: int, part: int, whole: int) -> int:
    """Round side * part / whole to the nearest pixel, exactly: floats would be a pixel off at some sizes."""
    return max(1, (2 * side * part + whole) // (2 * whole))


def memory_bytes(memory: str | int) -> int:
    """Read a memory size: "1GB", "800 MB", "2GiB", or bytes as a number.

    Raises ConfigError for anything else, and for nothing.
    """
    if isinstance(memory, int) and not isinstance(memory, bool) and memory > 0:
        return memory
    match = _MEMORY.fullmatch(memory.strip()) if isinstance(memory, str) else None
    amount = float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].upper()] if match else 0.0
    if amount < 1:
        raise ConfigError(f"memory {memory!r} is not a memory size; expected one such as 1GB, 500MB or 2GiB")
    return int(amount)
