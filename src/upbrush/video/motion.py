"""How a clip moves from one frame to the next, and how far that is to be trusted; pure."""

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np

AGREE_PX = 0.3  # squared low pixels by which flows there and back may miss each other and still be trusted by a third
ALIKE = 0.08  # difference of low frames, 1 is black to white, at which the flow is hardly trusted any more
STILL, STILL_PX = 1.2, (17, 17)  # times the error with flow that no flow may have where all stands still; low pixels
SMOOTH_PX = (3, 3)  # low pixels over which it is looked at whether both ways agree
BLOCK_PX = 32  # low pixels: a side of the squares that large frames are looked at in
THIRDS = np.full((1, 3), 1 / 3, np.float32)

Block = tuple[slice, slice]
WHOLE: Block = (slice(None), slice(None))


class Motion:
    """Dense flow by DIS (Kroeger et al., ECCV 2016), there and back, to the last pixel.

    The presets stop at half or a quarter of the size, which is not enough (benchmarks/steadiness.py --tried); the way
    back, which strokes are carried along, is looked for more finely than the way there, which only bears it out.
    """

    def __init__(self) -> None:
        self.back = _finder(stride_px=3, steps=12, refined=3)
        self.forth = _finder(stride_px=4, steps=8, refined=1)

    def between(self, before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel was, (h, w, 2) from its place, and how far that is to be trusted, (h, w) 0…1.

        before, now: (h, w, 3) uint8. Trusted is where both ways agree and the frames, moved, look alike.
        """
        one, other = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, now))
        back: np.ndarray = self.back.calc(other, one, None)  # type: ignore[call-overload]
        seen = moved(before, back)
        moving = _moving(before, now, seen)
        forth: np.ndarray = self.forth.calc(one, other, None)  # type: ignore[call-overload]
        if moving is not None:
            back, forth = back * moving, forth * moving
            seen = moved(before, back)
        there = moved(forth, back, cv2.INTER_LINEAR)
        missed = _squared(back + there) - 0.01 * (_squared(back) + _squared(there))
        agreed = cv2.blur(np.exp(-np.maximum(0, missed) / AGREE_PX), SMOOTH_PX)
        return back, agreed * inside(back) * alike(seen, now, ALIKE)


def _finder(stride_px: int, steps: int, refined: int) -> cv2.DISOpticalFlow:
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    finder.setFinestScale(0)
    finder.setPatchStride(stride_px)
    finder.setGradientDescentIterations(steps)
    finder.setVariationalRefinementIterations(refined)
    return finder


def moved(frame: np.ndarray, flow: np.ndarray, how: int = cv2.INTER_CUBIC) -> np.ndarray:
    """A frame, each pixel taken from where the flow, (h, w, 2), says it was."""
    return _taken(frame, cv2.add(_grid(*flow.shape[:2]), flow), how)


def moved_large(frame: np.ndarray, flow: np.ndarray, block: Block = WHOLE) -> np.ndarray:
    """A block of a large frame, moved by what `enlarged_flow` gave."""
    return _taken(frame, cv2.add(_grid(*frame.shape[:2])[block], flow[block]), cv2.INTER_CUBIC)


def _taken(frame: np.ndarray, places: np.ndarray, how: int) -> np.ndarray:
    taken: np.ndarray = cv2.remap(frame, places, None, how, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return taken


def blocks(low: tuple[int, ...], high: tuple[int, ...]) -> Iterator[tuple[Block, Block]]:
    """Squares of a low frame of that shape, and the same of a high one, that cover both."""
    for top in range(0, low[0], BLOCK_PX):
        for left in range(0, low[1], BLOCK_PX):
            ends = min(top + BLOCK_PX, low[0]), min(left + BLOCK_PX, low[1])
            small = slice(top, ends[0]), slice(left, ends[1])
            high_rows, high_columns = (
                slice(part.start * large // few, part.stop * large // few)
                for part, large, few in zip(small, high, low, strict=False)
            )
            yield small, (high_rows, high_columns)


@lru_cache(maxsize=2)  # of low and of painted frames
def _grid(height: int, width: int) -> np.ndarray:
    """Each pixel's place: (height, width, 2) float32, across and down."""
    return np.ascontiguousarray(np.indices((height, width), np.float32)[::-1].transpose(1, 2, 0))


def enlarged(share: np.ndarray, like: np.ndarray) -> np.ndarray:
    """An array brought to the size of another, linearly."""
    return cv2.resize(share, like.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def enlarged_flow(flow: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The flow of low frames, in pixels of a larger frame, at its size."""
    times = np.array([like.shape[1] / flow.shape[1], like.shape[0] / flow.shape[0]], np.float32)
    return enlarged(flow * times, like)


def _squared(flow: np.ndarray) -> np.ndarray:
    """Squared lengths: (h, w)."""
    across, down = cv2.split(flow)
    squared: np.ndarray = across * across + down * down
    return squared


def inside(flow: np.ndarray) -> np.ndarray:
    """1 where the flow stays in the frame, else 0: (h, w) float32."""
    height, width = flow.shape[:2]
    across, down = cv2.split(cv2.add(_grid(height, width), flow))
    within: np.ndarray = (across >= 0) & (across <= width - 1) & (down >= 0) & (down <= height - 1)
    return within.astype(np.float32)


def alike(seen: np.ndarray, now: np.ndarray, within: float) -> np.ndarray:
    """1 where two low frames, (h, w, 3) uint8, look alike, falling to 0 where they do not: (h, w) float32."""
    gap = cv2.GaussianBlur(cv2.transform(cv2.absdiff(seen, now).astype(np.float32), THIRDS), (0, 0), 1.0)
    share: np.ndarray = np.exp(-np.square(gap / (255 * within)))
    return share


def _moving(before: np.ndarray, now: np.ndarray, seen: np.ndarray) -> np.ndarray | None:
    """0 where a camera stands still, else 1: (h, w, 1) float32; None if it moves. seen: the frame before, moved.

    Of a frame that stands still, a flow explains the grain, and strokes would tremble with it. Where it explains hardly
    more than no flow at all, in most of the frame, there is none. (In a part only, that may be a sky above a pan.)
    """
    gaps = (cv2.absdiff(frame, now).astype(np.float32) for frame in (before, seen))
    without, with_flow = (cv2.blur(cv2.transform(cv2.multiply(gap, gap), THIRDS), STILL_PX) for gap in gaps)
    still = (without < STILL * (with_flow + 1)).astype(np.float32)
    if still.mean() < 0.5:
        return None
    return (1 - cv2.blur(cv2.erode(still, np.ones((3, 3), np.uint8)), (3, 3)))[..., None]
