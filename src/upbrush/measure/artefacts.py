"""What enlarging and repainting leave behind: dot grids, lost or invented sharpness, grain, a cast; pure.

Pictures are (H, W, 3) or (H, W) float64 in 0…255.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BANDS = 24  # rings of the spectrum, from 0 to 1/2 cycle per pixel
SHARP_FROM = 0.25  # cycles per pixel: above the low picture's own limit for ×2, well above it for ×4
CELL_PX = 8  # side of the cells in which grain is looked for
SMOOTH = 6.0  # grey levels of texture in a cell, from which on grain does not show: skin has 1 to 4, hair 8 to 30


def grid_energy(y: Array) -> float:
    """Energy at the frequencies k/4 cycles per pixel on both axes over that of their neighbours; 1 is no grid.

    y: (H, W). Of the residual behind a 5×5 median, which takes edges and tones away, under a Hann window.
    """
    import cv2

    flat = cv2.medianBlur(np.clip(y, 0, 255).astype(np.uint8), 5)
    rest = y.astype(np.float32) - flat
    power = _power(rest * np.outer(np.hanning(rest.shape[0]), np.hanning(rest.shape[1])))
    height, width = power.shape
    peaks, near = [], []
    for row in (0, height // 4, height // 2):
        for column in (0, width // 4, width // 2):
            if row == column == 0:
                continue
            rows, columns = range(row - 6, row + 7), range(column - 6, column + 7)
            block = power.take(rows, axis=0, mode="wrap").take(columns, axis=1, mode="wrap")
            core = float(block[5:8, 5:8].sum())
            peaks.append(core / 9)
            near.append((float(block.sum()) - core) / 160)
    around = float(np.mean(near))
    return float(np.mean(peaks)) / around if around > 0 else 1.0  # a flat picture has no grid


def spectrum(y: Array) -> Array:
    """Mean power on rings of equal width from 0 to 1/2 cycle per pixel. (H, W) -> (BANDS,).

    Under a Hann window, so that the border's edges do not count as detail; the mean is taken away first.
    """
    window = np.outer(np.hanning(y.shape[0]), np.hanning(y.shape[1]))
    power = _power((y - y.mean()) * window)
    radius = np.hypot(np.fft.fftfreq(y.shape[0])[:, None], np.fft.fftfreq(y.shape[1])[None])
    ring = (radius * 2 * BANDS).astype(int)
    inside = ring < BANDS
    sums = np.bincount(ring[inside], power[inside], BANDS)
    rings: Array = sums / np.maximum(np.bincount(ring[inside], minlength=BANDS), 1)
    return rings


def sharpness(output: Array, truth: Array) -> float:
    """Power above SHARP_FROM, output over truth, in dB. output, truth: what `spectrum` gives.

    A floor of a ten-thousandth of a grey level keeps flat pictures finite.
    """
    first = round(SHARP_FROM * 2 * BANDS)
    ring_area = np.arange(BANDS)[first:] + 0.5  # a ring holds frequencies in proportion to its radius
    floor = 1e-4
    a, b = (float((rings[first:] * ring_area).sum()) + floor for rings in (output, truth))
    return float(10 * np.log10(a / b))


def grain(output: Array, truth: Array) -> float:
    """Texture where the truth is smooth, in grey levels: what remains of noise, cracks, echoes of outlines.

    What an output's cells have beyond the truth's, times how smooth the truth is: all on plain grounds, falling in a
    line to nothing at `SMOOTH`; mean over cells. output, truth: what `texture` gives; 0 where there is no cell.
    """
    excess = np.maximum(output - truth, 0) * np.maximum(1 - truth / SMOOTH, 0)
    return float(excess.mean()) if excess.size else 0.0


def texture(y: Array) -> Array:
    """Deviation of what a 5×5 mean takes away, in each whole cell: (H, W) -> (H // CELL_PX, W // CELL_PX)."""
    from scipy.ndimage import uniform_filter

    rest = y - uniform_filter(y, 5, mode="mirror")
    rows, columns = (side // CELL_PX for side in y.shape)
    cells = rest[: rows * CELL_PX, : columns * CELL_PX].reshape(rows, CELL_PX, columns, CELL_PX)
    deviation: Array = np.sqrt((cells**2).mean((1, 3)))
    return deviation


def colour_shift(output: Array, truth: Array) -> float:
    """CIE76 difference between the mean colours in CIELAB (sRGB, D65). (H, W, 3) each."""
    from skimage.color import rgb2lab

    a, b = (rgb2lab(picture / 255).mean((0, 1)) for picture in (output, truth))
    return float(np.linalg.norm(a - b))


def _power(y: NDArray[np.floating]) -> Array:
    power: Array = np.abs(np.fft.fft2(y)) ** 2
    return power
