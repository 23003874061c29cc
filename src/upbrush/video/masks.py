"""Where a style is to be strong: a picture, a clip, or the faces of each frame. White is painted, black restored."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from upbrush import picture
from upbrush.errors import ClipError, ConfigError, PictureError
from upbrush.measure.faces import DETECT_PX, FILES, LEAST_SCORE
from upbrush.saving import eight_bits
from upbrush.video import reading
from upbrush.video.clip import Frame

logger = logging.getLogger(__name__)

DETECTOR = FILES["detector"]
GROWN = 1.35  # a face is this much larger than its box, with hair and chin
STEP = 0.2  # the most that a face's mask changes from one frame to the next, so that nothing pops up
FEATHER = 0.12  # of a face's size


class Mask(Protocol):
    """What a mask does."""

    def at(self, seconds: Fraction, low: np.ndarray, cut: bool) -> np.ndarray:
        """The mask of a frame: (h, w) float32 in [0, 1], of any size. Frames must be asked for in order."""
        ...


class Still:
    """One picture for all frames."""

    def __init__(self, path: Path) -> None:
        self._mask = _grey(eight_bits(picture.read(path).pixels))

    def at(self, seconds: Fraction, low: np.ndarray, cut: bool) -> np.ndarray:
        """The picture."""
        return self._mask


class Film:
    """A clip beside the clip: at each time its frame of that time, and its last one to the end."""

    def __init__(self, path: Path) -> None:
        self._clip = reading.probe(path)
        self._frames: Iterator[Frame] = reading.frames(self._clip)
        self._next: Frame | None = next(self._frames, None)
        self._mask: np.ndarray | None = None

    def at(self, seconds: Fraction, low: np.ndarray, cut: bool) -> np.ndarray:
        """The frame that is shown then."""
        while self._next is not None and (self._mask is None or self._next.pts * self._clip.time_base <= seconds):
            self._mask = _grey(eight_bits(self._next.pixels))
            self._next = next(self._frames, None)
        assert self._mask is not None  # a clip has a frame, or it was refused
        return self._mask


def detector(path: Path) -> Path:
    """The file of the face detector. path: it, or its folder."""
    return path / DETECTOR if path.is_dir() else path


class FaceMask:
    """Faces, found in each frame by YuNet; what comes and goes does so in a few frames.

    path: yunet_n_640_640.onnx, or a folder that has it. Raises ConfigError where it is missing or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        file = detector(path)
        if not file.is_file():
            raise ConfigError(f"{file}: not found; --faces takes {DETECTOR} of OpenCV's model zoo, or its folder")
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        try:
            self._detector = cv2.FaceDetectorYN.create(str(file), "", (DETECT_PX, DETECT_PX), LEAST_SCORE)
        except cv2.error as error:
            raise ConfigError(f"{file}: cannot be opened ({error.err}); expected {DETECTOR}") from None
        self.last: np.ndarray | None = None

    def at(self, seconds: Fraction, low: np.ndarray, cut: bool) -> np.ndarray:
        """Soft ellipses over the faces of this frame."""
        found = self._found(low)
        if self.last is not None and not cut:
            found = np.clip(found, self.last - STEP, self.last + STEP)
        self.last = found
        return found

    def _found(self, low: np.ndarray) -> np.ndarray:
        height, width = low.shape[:2]
        scale = DETECT_PX / max(height, width)
        seen = cv2.resize(np.ascontiguousarray(low[..., ::-1]), None, fx=scale, fy=scale)  # it wants BGR
        self._detector.setInputSize((seen.shape[1], seen.shape[0]))
        rows: Any = self._detector.detect(seen)[1]
        mask = np.zeros((height, width), np.float32)
        for row in () if rows is None else rows:
            left, top, across, down = (float(value) / scale for value in row[:4])
            centre = (round(left + across / 2), round(top + down / 2))
            axes = (max(1, round(across / 2 * GROWN)), max(1, round(down / 2 * GROWN)))
            one = np.zeros_like(mask)
            cv2.ellipse(one, centre, axes, 0, 0, 360, (1.0,), -1)
            mask = np.maximum(mask, cv2.GaussianBlur(one, (0, 0), max(1.0, FEATHER * max(across, down))))
        return mask


class Inverse:
    """The rest: white where a mask is black."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask

    def at(self, seconds: Fraction, low: np.ndarray, cut: bool) -> np.ndarray:
        """What the mask leaves."""
        rest: np.ndarray = 1 - self.mask.at(seconds, low, cut)
        return rest


def open_mask(path: Path | None, only: str | None, faces: Path | None) -> Mask | None:
    """The mask that is asked for. path: a picture or a clip. only: "faces" or "background", what is to be painted.

    Raises ConfigError where faces are asked for and there is no detector, ClipError for a mask that cannot be read.
    """
    if only not in (None, "faces", "background"):
        raise ConfigError(f"--only {only}: is neither faces nor background")
    if path is None and only is None:
        return None
    if path is not None:
        mask = _from_file(path)
    elif faces is None:
        raise ConfigError(
            f"--only {only} needs a face detector; give {DETECTOR} of OpenCV's model zoo by --faces or "
            "UPBRUSH_FACES, or a --mask that is white on the faces"
        )
    else:
        mask = FaceMask(faces)
    return Inverse(mask) if only == "background" else mask


def _from_file(path: Path) -> Mask:
    try:
        return Still(path)
    except PictureError:
        pass
    try:
        return Film(path)
    except ClipError as error:
        raise ClipError(f"{error} (--mask takes a picture or a clip)") from None


def mixed(painted: np.ndarray, restored: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Lay the painted frame over the restored one. (H, W, 3) each, of one dtype; mask: (h, w) of any size."""
    height, width = painted.shape[:2]
    share = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    blend = restored + (painted.astype(np.float32) - restored) * share
    rounded: np.ndarray = np.rint(blend).astype(painted.dtype)
    return rounded


def _grey(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) float32 in [0, 1]."""
    grey: np.ndarray = pixels.mean(axis=2, dtype=np.float32) / 255
    return grey
