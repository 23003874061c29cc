"""How far an output is from the truth, pixel by pixel and window by window; float64, pure.

Pictures are (H, W, 3) or (H, W) float64 in 0…255.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from upbrush.measure.pixels import eight_bits

Array = NDArray[np.float64]

WINDOW, DEVIATION = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # weights of MS-SSIM's five sizes, finest first
LEAST_MS_PX = WINDOW * 2 ** (len(SCALES) - 1)
LEAST_MSE = 1e-10  # equal pictures have a PSNR of 148 dB, not an infinite one that no mean survives


def luma(rgb: Array) -> Array:
    """Y of ITU-R BT.601 in studio range, 16…235, as MATLAB's rgb2ycbcr gives it. (H, W, 3) -> (H, W)."""
    weighted: Array = 16 + rgb @ np.array([65.481, 128.553, 24.966]) / 255
    return weighted


def cropped(picture: Array, crop: int) -> Array:
    """Without a border of so many pixels."""
    return picture[crop:-crop, crop:-crop] if crop else picture


def psnr(output: Array, truth: Array, crop: int) -> float:
    """Peak signal-to-noise ratio in dB, peak 255. Two pictures of one shape."""
    error = float(np.mean((cropped(output, crop) - cropped(truth, crop)) ** 2))
    return float(10 * np.log10(255**2 / max(error, LEAST_MSE)))


def ssim(output: Array, truth: Array, crop: int) -> float:
    """Structural similarity (Wang et al., IEEE TIP 2004), mean over whole windows and channels. In [-1, 1]."""
    luminance, structure = _terms(cropped(output, crop), cropped(truth, crop))
    return float((luminance * structure).mean())


def ms_ssim(output: Array, truth: Array, crop: int) -> float | None:
    """Multi-scale SSIM (Wang et al., Asilomar 2003); None where a side is shorter than LEAST_MS_PX after the crop.

    Contrast and structure at five sizes, luminance at the last; a negative mean counts as 0, or no power of it exists.
    """
    a, b = cropped(output, crop), cropped(truth, crop)
    if min(a.shape[:2]) < LEAST_MS_PX:
        return None
    product = 1.0
    for scale, weight in enumerate(SCALES):
        luminance, structure = _terms(a, b)
        last = scale == len(SCALES) - 1
        product *= max(0.0, float((luminance * structure if last else structure).mean())) ** weight
        a, b = _halved(a), _halved(b)
    return product


def down_psnr(output: Array, low: Array) -> float:
    """PSNR-RGB of the output, brought to the low picture's size by Pillow's bicubic, against it; 1 pixel cropped.

    output: rounded to 8 bits first, as Pillow has no bicubic for RGB floats.
    """
    height, width = low.shape[:2]
    small = Image.fromarray(eight_bits(output)).resize((width, height), Image.Resampling.BICUBIC)
    return psnr(np.asarray(small, np.float64), low, 1)


def _terms(a: Array, b: Array) -> tuple[Array, Array]:
    """Luminance and contrast × structure of every whole window."""
    mean_a, mean_b = _windowed(a), _windowed(b)
    variances = _windowed(a * a + b * b) - mean_a**2 - mean_b**2
    covariance = _windowed(a * b) - mean_a * mean_b
    luminance: Array = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure: Array = (2 * covariance + C2) / (variances + C2)
    return luminance, structure


def _windowed(picture: Array) -> Array:
    """Gaussian means of whole windows: (H, W, …) -> (H - 10, W - 10, …)."""
    import cv2

    reach = WINDOW // 2
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * DEVIATION**2))
    weights /= weights.sum()
    means = cv2.sepFilter2D(np.ascontiguousarray(picture), cv2.CV_64F, weights, weights)
    whole: Array = np.asarray(means, np.float64)[reach:-reach, reach:-reach]
    return whole


def _halved(picture: Array) -> Array:
    """Means of 2×2 pixels; an odd row or column is left out."""
    even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
    means: Array = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    return means
