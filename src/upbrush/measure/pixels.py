"""Picture files as measuring sees them: (H, W, 3) float64 RGB in 0…255, and their sizes without decoding.

Values are taken as stored: orientation is applied, transparency laid on white, 16 bits scaled down without rounding.
Floating-point TIFF is read with 1 as white; one with pixels that are not finite numbers is refused.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from upbrush import metadata, picture
from upbrush.errors import PictureError
from upbrush.opening import opened

Array = NDArray[np.float64]

FLOAT_SUFFIXES = {".tif", ".tiff"}
BEYOND = 0.02  # how far floats may leave [0, 1]: interpolation overshoots, another range is another range


def read(path: Path) -> Array:
    """Read a picture: (H, W, 3) float64 RGB in 0…255.

    Raises PictureError for what `picture.read` refuses, and for floats that are not finite or not in [0, 1].
    """
    try:
        taken = picture.read(path)
    except PictureError:
        floats = _floats(path)
        if floats is None:
            raise
        return floats
    top = np.iinfo(taken.pixels.dtype).max
    values: Array = taken.pixels.astype(np.float64) * (255 / top)
    if taken.alpha is None or taken.alpha.min() == top:
        return values
    alpha = taken.alpha[..., None].astype(np.float64) / top
    laid: Array = values * alpha + 255 * (1 - alpha)
    return laid


def size(path: Path) -> tuple[int, int]:
    """(width, height) of an upright picture, from the file's header. Raises PictureError as `read` does."""
    try:
        with opened(path, picture.MAX_PIXELS) as (_, image):
            if image.mode != "F":
                width, height = image.size
                return (height, width) if metadata.orientation(image) > 4 else (width, height)
    except PictureError:
        if path.suffix.lower() not in FLOAT_SUFFIXES:
            raise
    values = read(path)  # floats have to be looked at in any case
    return values.shape[1], values.shape[0]


def eight_bits(values: Array) -> NDArray[np.uint8]:
    """(H, W, 3) float64 in 0…255 as uint8, for detectors and for Pillow's resampling."""
    rounded: NDArray[np.uint8] = np.rint(values.clip(0, 255)).astype(np.uint8)
    return rounded


def _floats(path: Path) -> Array | None:
    """A TIFF of floats, or None where the file is something else."""
    if path.suffix.lower() not in FLOAT_SUFFIXES or not path.is_file():
        return None
    import cv2

    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(before)
    if found is None or found.dtype.kind != "f":
        return None
    lost = int((~np.isfinite(found)).sum())
    if lost:
        raise PictureError(f"{path}: {lost} of its numbers are NaN or infinite; find out why, and write it anew")
    if found.min() < -BEYOND or found.max() > 1 + BEYOND:
        raise PictureError(
            f"{path}: floats from {found.min():.3g} to {found.max():.3g}; expected 0 to 1, with 1 as white"
        )
    planes = found[..., None] if found.ndim == 2 else found[..., 2::-1]  # OpenCV's order is blue, green, red
    return np.ascontiguousarray(np.broadcast_to(planes, (*planes.shape[:2], 3))).astype(np.float64).clip(0, 1) * 255
