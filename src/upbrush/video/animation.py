"""Moving pictures: animated GIF, WebP and PNG, read by Pillow, which knows their times and their transparency."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from upbrush.errors import ClipError
from upbrush.opening import pillow_limited
from upbrush.picture import MAX_PIXELS
from upbrush.video.clip import BT709, FULL, Clip, Colour, Frame, Pixels

SUFFIXES = (".gif", ".webp", ".png", ".apng")
FORMATS = ("GIF", "WEBP", "PNG")
# GIF counts hundredths, WebP thousandths of a second. PNG has a fraction for each frame: these ticks hold those of the
# usual rates exactly.
TICKS = {"GIF": 1000, "WEBP": 1000, "PNG": 90000}
USUAL_MS = 100  # what browsers give a frame that says zero


def is_moving_picture(path: Path) -> bool:
    """Is it called like one? Whether it moves is seen when it is opened."""
    return path.suffix.lower() in SUFFIXES


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with pillow_limited(MAX_PIXELS), Image.open(path, formats=FORMATS) as image:
            yield image
    except (UnidentifiedImageError, SyntaxError, OSError, EOFError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise ClipError(f"{path}: cannot be read ({reason}); it is cut short, damaged or of another format") from None


def probe(path: Path) -> Clip:
    """Look at every frame of a moving picture: how many there are, how long they last, whether any can be seen through.

    Raises ClipError for a damaged one, and for a picture that does not move.
    """
    with _opened(path) as image:
        kind, count = str(image.format), int(getattr(image, "n_frames", 1))
        if count < 2:
            raise ClipError(f"{path}: is a picture that does not move; upbrush paint paints it")
        ticks, alpha = 0, False
        for index in range(count):
            image.seek(index)
            alpha = alpha or (
                image.has_transparency_data and int(np.asarray(image.convert("RGBA"))[..., 3].min()) < 255
            )
            ticks += _duration(image, kind)
        plays = int(image.info.get("loop", -1 if kind == "GIF" else 0))
        if kind == "GIF":  # which counts repetitions, and is shown once where it says nothing
            plays = {-1: 1, 0: 0}.get(plays, plays + 1)
        time_base = Fraction(1, TICKS[kind])
        return Clip(
            path, image.width, image.height, time_base, Fraction(count) / (ticks * time_base),
            Pixels("rgba" if alpha else "rgb24", 8, (1, 1), True, alpha), Colour(matrix=BT709, range=FULL),
            kind.lower(), frames=count, seconds=float(ticks * time_base), plays=plays, moving_picture=True,
        )  # fmt: skip


def frames(clip: Clip, begin: Fraction, end: Fraction | None, skip: int) -> Iterator[Frame]:
    """The frames, each as it is seen, with those before it beneath: see `reading.frames`."""
    with _opened(clip.path) as image:
        pts = 0
        for index in range(clip.frames or 0):
            image.seek(index)
            duration = _duration(image, str(image.format))
            if end is not None and pts * clip.time_base >= end:
                return
            if pts * clip.time_base >= begin:
                if skip:
                    skip -= 1
                else:
                    shown = np.asarray(image.convert("RGBA"))
                    alpha = np.ascontiguousarray(shown[..., 3]) if clip.pixels.alpha else None
                    yield Frame(pts, duration, np.ascontiguousarray(shown[..., :3]), alpha)
            pts += duration


def _duration(image: Image.Image, kind: str) -> int:
    """Ticks that the present frame lasts."""
    image.load()  # WebP tells it only then
    duration_ms = image.info.get("duration") or USUAL_MS
    return max(1, round(duration_ms * TICKS[kind] / 1000))
