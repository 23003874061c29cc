"""How much a clip shimmers: the warping error along its motion; pure.

The warping error is E_warp of Lai et al., "Learning Blind Video Temporal Consistency" (ECCV 2018): the mean squared
difference, in units of white squared, between a frame and the one before brought along the motion, over the pixels
that are seen in both. Which those are, is told as there, after Ruder et al., "Artistic Style Transfer for Videos"
(GCPR 2016). Two things differ: flow is found by DIS (Kroeger et al., ECCV 2016) in place of FlowNet 2, and a frame is
moved by Lanczos in place of linear interpolation, whose blur would count as shimmer of whatever is sharp.

Motion is taken from one clip, the input's or the truth's, and used for every method's: a method is not judged by the
motion that it made. A sharper clip has a larger error under a motion that is not exact: look at sharpness beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from upbrush.measure.artefacts import sharpness, spectrum

BORDER_PX = 4  # Lanczos would look beyond the frame


@dataclass(frozen=True, eq=False)
class Motion:
    """From a frame back to the one before.

    back: (H, W, 2) float32, across and down, how far from its place each pixel was. seen: (H, W) bool, in both frames.
    """

    back: NDArray[np.float32]
    seen: NDArray[np.bool_]


def motions(frames: Sequence[NDArray[np.uint8]]) -> list[Motion]:
    """The motion from each frame, (H, W, 3) uint8, but the first to the one before it."""
    found = []
    for before, now in zip(frames[:-1], frames[1:], strict=True):
        back = _flow(now, before)
        found.append(Motion(back, _seen(back, _flow(before, now))))
    return found


def known_motion(back: NDArray[np.float32]) -> Motion:
    """A motion that is known, as of a pan made by code: all is seen that was inside the frame."""
    return Motion(back, _inside(back))


def warping_error(frames: Sequence[NDArray[np.uint8]], along: Sequence[Motion]) -> float:
    """E_warp of a clip. frames: (H, W, 3) uint8; along: a motion for each but the first. 0 holds perfectly still.

    Raises ValueError where there is not one motion for each step, or nothing is seen in two frames.
    """
    errors = []
    for before, now, motion in zip(frames[:-1], frames[1:], along, strict=True):
        if motion.seen.any():
            apart = now.astype(np.float32) - moved(before.astype(np.float32), motion.back)
            errors.append(float(np.square(apart[motion.seen] / 255).mean()))
    if not errors:
        raise ValueError("no pixel is seen in two frames: there is no warping error")
    return float(np.mean(errors))


def sharpness_ratio(frames: Sequence[NDArray[np.uint8]], reference: Sequence[NDArray[np.uint8]]) -> float:
    """Amplitude above 1/4 cycle per pixel, over that of a reference clip: 1 is as sharp. Frames: (H, W, 3) uint8."""
    means = [
        np.mean([spectrum(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float64)) for frame in clip], axis=0)
        for clip in (frames, reference)
    ]
    return float(10 ** (sharpness(means[0], means[1]) / 20))


def edge_ratio(frames: Sequence[NDArray[np.uint8]], reference: Sequence[NDArray[np.uint8]]) -> float:
    """Mean length of the luminance's gradient (Sobel), over that of a reference clip. Frames: (H, W, 3) uint8."""

    def mean_gradient(clip: Sequence[NDArray[np.uint8]]) -> float:
        greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip]
        slopes = [np.hypot(cv2.Sobel(g, cv2.CV_32F, 1, 0), cv2.Sobel(g, cv2.CV_32F, 0, 1)).mean() for g in greys]
        return float(np.mean(slopes))

    return mean_gradient(frames) / mean_gradient(reference)


def moved(frame: NDArray[np.float32], back: NDArray[np.float32]) -> NDArray[np.float32]:
    """A frame brought along a motion: each pixel from where `back` says it was, by Lanczos over 8x8 pixels."""
    return _sampled(frame, back, cv2.INTER_LANCZOS4)


def _sampled(frame: NDArray[np.float32], back: NDArray[np.float32], how: int) -> NDArray[np.float32]:
    rows, columns = np.indices(back.shape[:2], np.float32)
    taken = cv2.remap(frame, columns + back[..., 0], rows + back[..., 1], how, borderMode=cv2.BORDER_REPLICATE)
    return taken.astype(np.float32, copy=False)


def _flow(of: NDArray[np.uint8], to: NDArray[np.uint8]) -> NDArray[np.float32]:
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (of, to)]
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = finder.calc(greys[0], greys[1], None)  # type: ignore[call-overload]
    return np.asarray(flow, np.float32)


def _seen(back: NDArray[np.float32], forth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Neither hidden in one of the frames nor at the border of what moves: equations 5 and 6 of Ruder et al."""
    there = _sampled(forth, back, cv2.INTER_LINEAR)
    length = np.square(back).sum(2)
    agree = np.square(back + there).sum(2) <= 0.01 * (length + np.square(there).sum(2)) + 0.5
    slopes = sum(np.square(np.gradient(back, axis=axis)).sum(2) for axis in (0, 1))
    return np.asarray(agree & (slopes <= 0.01 * length + 0.002) & _inside(back))


def _inside(back: NDArray[np.float32]) -> NDArray[np.bool_]:
    height, width = back.shape[:2]
    rows, columns = np.indices((height, width), np.float32)
    rows, columns = rows + back[..., 1], columns + back[..., 0]
    inside = (rows >= BORDER_PX) & (rows < height - 1 - BORDER_PX)
    return np.asarray(inside & (columns >= BORDER_PX) & (columns < width - 1 - BORDER_PX))
