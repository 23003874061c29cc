"""Between FFmpeg's frames and RGB arrays, with the matrix and the range that the tags say; exact at white and black.

swscale holds deeper RGB in 16 bits with white at 65280, or at the top of the source's bits for full range, and not at
65535. Left alone, white would come out three codes of 10 bits beside white; tables take care of that.
"""

from functools import cache

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from upbrush.video.clip import FULL, RGB, Colour, Frame, Pixels

_METHOD = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
_DEEP_WHITE = 65280  # what swscale calls white in RGB of 16 bits


def pixels_of(format: av.VideoFormat) -> Pixels:
    """How a format of FFmpeg's stores its pixels."""
    parts = format.components
    alpha = format.has_palette or any(part.is_alpha for part in parts)
    chroma = (2 if format.chroma_width(4) == 2 else 1, 2 if format.chroma_height(4) == 2 else 1)
    if len(parts) < 3 and not format.has_palette:
        chroma = (2, 2)  # grey: there is no colour that could be lost
    rgb = format.is_rgb or format.has_palette
    return Pixels(format.name, max(part.bits for part in parts), chroma, rgb, alpha)


class Reader:
    """Turns decoded frames into arrays. Keeps swscale's tables from one frame to the next.

    colour: settled, see `Colour.settled`.
    """

    def __init__(self, pixels: Pixels, colour: Colour) -> None:
        self._pixels, self._colour, self._scaler = pixels, colour, VideoReformatter()
        layouts = ("rgb48le", "rgba64le") if pixels.bits > 8 else ("rgb24", "rgba")
        self._format = layouts[pixels.alpha]

    def arrays(self, frame: av.VideoFrame) -> tuple[np.ndarray, np.ndarray | None]:
        """(H, W, 3) RGB and (H, W) alpha or None, uint8 or uint16, as stored (not upright)."""
        if not self._pixels.rgb:
            frame.colorspace, frame.color_range = self._colour.matrix, self._colour.range
        rgb = self._scaler.reformat(
            frame, format=self._format, interpolation=_METHOD, dst_color_range=FULL, threads=1
        ).to_ndarray()
        if rgb.dtype == np.uint16:
            white = _DEEP_WHITE
            if self._pixels.rgb or self._colour.range == FULL:
                white = ((1 << self._pixels.bits) - 1) << (16 - self._pixels.bits)
            rgb[..., :3] = _stretched(white, 65535)[rgb[..., :3]]
            if self._pixels.alpha:
                rgb[..., 3] = _stretched(((1 << self._pixels.bits) - 1) << (16 - self._pixels.bits), 65535)[rgb[..., 3]]
        return rgb[..., :3], rgb[..., 3] if self._pixels.alpha else None


class Writer:
    """Turns arrays into frames for an encoder: `pixels` and `colour` are the output's."""

    def __init__(self, pixels: Pixels, colour: Colour) -> None:
        self._pixels, self._colour, self._scaler = pixels, colour, VideoReformatter()

    def frame(self, shown: Frame) -> av.VideoFrame:
        """(H, W, 3) uint8 or uint16, and alpha where the output has it, as the encoder wants it."""
        array, alpha = self._samples(shown)
        layout = ("rgb24" if alpha is None else "rgba") if array.dtype == np.uint8 else (
            "rgb48le" if alpha is None else "rgba64le"
        )  # fmt: skip
        if alpha is not None:
            array = np.dstack((array, alpha))
        given = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format=layout)
        given.color_range = FULL
        made = self._scaler.reformat(
            given, format=self._pixels.name, interpolation=_METHOD, threads=1,
            dst_colorspace=None if self._pixels.rgb else self._colour.matrix,
            dst_color_range=FULL if self._pixels.rgb else self._colour.range,
        )  # fmt: skip
        made.colorspace = RGB if self._pixels.rgb else self._colour.matrix
        made.color_range = FULL if self._pixels.rgb else self._colour.range
        return made

    def _samples(self, shown: Frame) -> tuple[np.ndarray, np.ndarray | None]:
        pixels, alpha = shown.pixels, shown.alpha if self._pixels.alpha else None
        if alpha is None and self._pixels.alpha:
            alpha = np.full(pixels.shape[:2], np.iinfo(pixels.dtype).max, pixels.dtype)
        if pixels.dtype == np.uint16:
            pixels = _stretched(65535, _DEEP_WHITE)[pixels]
            alpha = None if alpha is None else _stretched(65535, _DEEP_WHITE)[alpha]
        return pixels, alpha


@cache
def _stretched(white: int, wanted: int) -> np.ndarray:
    """A table that brings what was `white` to what is wanted, for every number of 16 bits."""
    table: np.ndarray = np.minimum((np.arange(65536) * wanted + white // 2) // white, 65535).astype(np.uint16)
    return table
