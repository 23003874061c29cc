"""Transparency: its own enlargement, and the colours beneath it; pure."""

import numpy as np

from upbrush.canvas import resized

STRIPE_ROWS = 256  # enlarged alpha is held in bounds so many rows at a time


def spread(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Give wholly transparent pixels the colours around them, whatever colour they hid.

    Painting looks at a pixel's neighbours, so a hidden black or pink would bleed into the visible edge. pixels:
    (H, W, 3) uint8 or uint16; alpha: (H, W), 0 is transparent. Returns pixels like those given, which stay as they are
    (and are returned themselves where nothing is to be done).
    """
    known = alpha > 0
    if known.all() or not known.any():
        return pixels
    filled = pixels.copy()
    for channel in range(3):  # one at a time: a large picture is never copied whole as float
        plane = np.where(known, pixels[..., channel], 0).astype(np.float32)
        filled[..., channel] = np.rint(_spread(plane, known))
    return filled


def enlarged(alpha: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bring alpha, (H, W) uint8 or uint16, to another size by Lanczos, without its ringing.

    Lanczos swings past edges. In colours that looks sharp; in alpha what is solid would get holes beside its outline
    and what is empty a veil. So each pixel keeps within the values of the 3x3 pixels that it comes from.
    """
    done = resized(alpha, height, width)
    if height < alpha.shape[0] or width < alpha.shape[1] or done is alpha:
        return done  # on the way down, a pixel comes from more than those
    done = done.copy()
    least, most = _extreme(alpha, np.minimum), _extreme(alpha, np.maximum)
    rows = ((np.arange(height) + 0.5) * alpha.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * alpha.shape[1] / width).astype(int)
    for top in range(0, height, STRIPE_ROWS):
        stripe = done[top : top + STRIPE_ROWS]
        here = np.ix_(rows[top : top + STRIPE_ROWS], columns)
        np.clip(stripe, least[here], most[here], out=stripe)
    return done


def _extreme(plane: np.ndarray, of_two: np.ufunc) -> np.ndarray:
    """The least or the most of each pixel and its eight neighbours."""
    padded = np.pad(plane, 1, mode="edge")
    rows = of_two(of_two(padded[:-2], padded[1:-1]), padded[2:])
    extreme: np.ndarray = of_two(of_two(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return extreme


def _spread(plane: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fill the unknown from means of ever larger blocks: near an edge from near it, far away from far around."""
    if known.all():
        return plane
    height, width = known.shape
    odd = ((0, height % 2), (0, width % 2))
    blocks = (-(-height // 2), 2, -(-width // 2), 2)
    sums = np.pad(plane, odd).reshape(blocks).sum((1, 3))
    counts = np.pad(known, odd).reshape(blocks).sum((1, 3), dtype=np.float32)
    coarse = _spread(sums / np.maximum(counts, 1), counts > 0)
    return np.where(known, plane, coarse.repeat(2, 0).repeat(2, 1)[:height, :width])
