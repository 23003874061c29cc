"""A steady hand: what stands still, or moves with the camera, is not painted anew in every frame.

A generator that sees one frame at a time puts its detail elsewhere in each, and the clip shimmers. So each frame takes
the detail of the one before along the motion of the clip, where that is known, and its own where it is not:

1. The dense flow between the two low frames, by DIS (Kroeger et al., ECCV 2016), there and back. It is trusted where
   both agree and where the low frames, moved by it, look alike.
2. Detail comes from an anchor: one finished frame, and for each pixel the place it had there. Each new frame is one
   resampling of the anchor, whatever its age; frame upon frame, resampled each time, would be a blur in a second. What
   the anchor does not show comes from the frame before, and what neither shows from the frame itself.
3. Coarse colours follow the present frame, so light may change; where those of a whole frame differ, its style or its
   light is changing, and the past counts for less.
4. What mixing took of the local contrast of detail is given back, within the values that are painted round about.
"""

import io
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Self
from zipfile import BadZipFile

import cv2
import numpy as np

from upbrush.errors import ConfigError
from upbrush.panorama import STEREO

KEEP = {True: 0.95, False: 0.88}  # the share of the past in what is trusted, by: is it repainted?
AGREE_PX = 0.1  # squared low pixels by which flows there and back may miss each other and still be trusted by a third
STILL, STILL_PX = 1.2, (17, 17)  # times the error with flow that no flow may have where all stands still; low pixels
ALIKE = 0.06  # difference of low frames, 1 is black to white, at which the flow is hardly trusted any more
ANCHOR_ALIKE = 0.08  # the same for the anchor, which is older
COLOURS = 0.5  # the share of the past in coarse colours
TURNED = 10.0  # grey levels: a whole frame that differs by as much from the past in colour is of another style or light
COARSE_PX = 4  # of the low frame: what is coarser is colour, what is finer is detail
ANCHOR_FRAMES = 16  # how long an anchor is held
ANCHOR_LEAST = 0.7  # share of what is trusted that it must still show
DETAIL_PX = (2, 6)  # painted pixels: the contrast of what is finer is held, for each of these
MOST_GAIN = 1.4  # by which contrast is given back
AROUND_PX = 9  # a side of the square of painted pixels within whose values one stays
NOISE = 0.3  # grey levels: detail of less contrast is not worth it
BESIDE_PX = 16  # low pixels seen beyond the edges of what goes round
LEAST_PX = 16  # frames smaller than that have no flow that can be found
LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)


class Steady:
    """Steadies the painted frames of one clip, one after the other.

    repaint: are they repainted in a style? Restored ones follow the present frame more. wrap, stereo: as in
    `Painter.paint`: round the edges motion goes on, and two eyes do not see each other.
    Raises ConfigError for a stereo that there is not.
    """

    def __init__(self, repaint: bool, *, wrap: bool = False, stereo: str | None = None) -> None:
        if stereo is not None and stereo not in STEREO:
            raise ConfigError(f"stereo {stereo!r} is unknown; expected {' or '.join(STEREO)}")
        cv2.setNumThreads(1)  # DIS finds other flows with other numbers of threads; painting needs the cores, too
        self._repaint, self._wrap, self._stereo = repaint, wrap, stereo
        self._eyes = [_Eye(KEEP[repaint], wrap) for _ in range(1 if stereo is None else 2)]

    def next(self, low: np.ndarray, painted: np.ndarray, cut: bool) -> np.ndarray:
        """Steady a frame.

        low: (H, W, 3) uint8, as it came in. painted: (H', W', 3) uint8 or uint16, of any other size. cut: a shot
        begins, what was is forgotten. Returns an array like painted, which is left as it is.
        """
        if self._stereo is None:
            return self._eyes[0].next(low, painted, cut)
        axis = STEREO[self._stereo]
        halves = (np.array_split(array, 2, axis) for array in (low, painted))
        done = [
            eye.next(np.ascontiguousarray(a), np.ascontiguousarray(b), cut)
            for eye, a, b in zip(self._eyes, *halves, strict=True)
        ]
        return np.concatenate(done, axis)

    def state(self) -> bytes:
        """All that the next frames hang on, as an .npz of plain arrays: another one goes on from there, to the bit."""
        arrays: dict[str, Any] = {"repaint": self._repaint, "wrap": self._wrap, "stereo": self._stereo or ""}
        for number, eye in enumerate(self._eyes):
            if eye.past is not None:
                arrays |= {f"{name.name}{number}": getattr(eye.past, name.name) for name in fields(_Past)}
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """The one whose `state` this is. Raises ConfigError for bytes that are none."""
        try:
            with np.load(io.BytesIO(state), allow_pickle=False) as stored:
                made = cls(bool(stored["repaint"]), wrap=bool(stored["wrap"]), stereo=str(stored["stereo"]) or None)
                for number, eye in enumerate(made._eyes):
                    if f"low{number}" in stored:
                        eye.past = _Past(**{name.name: stored[f"{name.name}{number}"] for name in fields(_Past)})
                return made
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise ConfigError(f"the state of a steadied clip is damaged ({error}); paint it from its start") from None


@dataclass(eq=False)
class _Past:
    """What is known of the frames before.

    low, painted: the last one. anchor, anchor_low: the anchor. places: (h, w, 2), how far from each low pixel the
    anchor shows it. shown: (h, w) 0…1, whether it does. age: frames since it was taken.
    """

    low: np.ndarray
    painted: np.ndarray
    anchor: np.ndarray
    anchor_low: np.ndarray
    places: np.ndarray
    shown: np.ndarray
    age: np.ndarray


class _Eye:
    """Steadies the frames of one eye."""

    def __init__(self, keep: float, wrap: bool) -> None:
        self._keep, self._wrap = keep, wrap
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        # The preset stops at half the size, which is not enough (benchmarks/steadiness.py --tried).
        self._flow.setFinestScale(0)
        self.past: _Past | None = None

    def next(self, low: np.ndarray, painted: np.ndarray, cut: bool) -> np.ndarray:
        past = self.past
        if min(low.shape[:2]) < LEAST_PX:
            return painted
        if cut or past is None or past.low.shape != low.shape or past.painted.shape != painted.shape:
            self.past = _begun(low, painted)
            return painted
        if not self._wrap:
            done, self.past = self._steadied(low, painted, past)
            return done
        beside = BESIDE_PX * painted.shape[1] // low.shape[1]
        wide = _Past(**{f.name: _round(getattr(past, f.name), beside, painted.shape[1]) for f in fields(_Past)})
        done, now = self._steadied(
            _round(low, beside, painted.shape[1]), _round(painted, beside, painted.shape[1]), wide
        )
        self.past = _Past(**{f.name: _middle(getattr(now, f.name), beside, painted.shape[1]) for f in fields(_Past)})
        return self.past.painted

    def _steadied(self, low: np.ndarray, painted: np.ndarray, past: _Past) -> tuple[np.ndarray, _Past]:
        size = painted.shape[1::-1]
        back, trust = self._motion(past.low, low)
        places = back + _moved(past.places, back, cv2.INTER_LINEAR)
        shown = np.minimum(trust, _moved(past.shown, back, cv2.INTER_LINEAR)) * _inside(places)
        shown = shown * _alike(past.anchor_low, low, places, ANCHOR_ALIKE)
        of_anchor = _enlarged(shown, size)
        kept = _moved(past.painted, _enlarged_flow(back, size), cv2.INTER_CUBIC)
        held = _moved(past.anchor, _enlarged_flow(places, size), cv2.INTER_CUBIC)
        kept = cv2.blendLinear(held.astype(np.float32), kept.astype(np.float32), of_anchor, 1 - of_anchor)
        top = np.iinfo(painted.dtype).max
        done = self._mixed(painted.astype(np.float32), kept, trust, top / 255)
        depth = cv2.CV_8U if top == 255 else cv2.CV_16U
        finished: np.ndarray = cv2.add(done, 0.0, dtype=depth)  # type: ignore[call-overload]  # rounds and saturates
        # Contrast given back again and again would grow specks: nothing goes beyond what is painted round about.
        around = np.ones((AROUND_PX, AROUND_PX), np.uint8)
        finished = cv2.min(cv2.max(finished, cv2.erode(painted, around)), cv2.dilate(painted, around))
        age = past.age + 1
        if age >= ANCHOR_FRAMES or shown.mean() < ANCHOR_LEAST * trust.mean():
            return finished, _begun(low, finished)
        return finished, _Past(low, finished, past.anchor, past.anchor_low, places, shown, age)

    def _mixed(self, painted: np.ndarray, kept: np.ndarray, trust: np.ndarray, level: float) -> np.ndarray:
        """The present frame and the past one, (H, W, 3) float32 each. trust: (h, w)."""
        size = painted.shape[1::-1]
        coarse = max(1, trust.shape[1] // COARSE_PX), max(1, trust.shape[0] // COARSE_PX)
        gap = cv2.subtract(kept, painted)
        colours = cv2.resize(gap, coarse, interpolation=cv2.INTER_AREA)
        turned = np.square(colours.mean((0, 1))).sum() / (TURNED * level) ** 2
        share = _enlarged(trust * np.float32(self._keep * np.exp(-turned)), size)
        followed = cv2.resize((COLOURS - 1) * colours, size, interpolation=cv2.INTER_LINEAR)
        done: np.ndarray = cv2.multiply(cv2.add(gap, followed, dst=gap), cv2.merge([share] * 3), dst=gap)
        cv2.add(done, painted, dst=done)
        grey = cv2.transform(painted, LUMA)
        for detail_px in DETAIL_PX:
            _contrast(done, grey, (trust.shape[1], trust.shape[0]), detail_px, level)
        return done

    def _motion(self, before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each low pixel was, (h, w, 2) in pixels from its place, and how far that is to be trusted, (h, w)."""
        one, other = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, now))
        back: np.ndarray = self._flow.calc(other, one, None)  # type: ignore[call-overload]
        forth: np.ndarray = self._flow.calc(one, other, None)  # type: ignore[call-overload]
        moving = _moving(before, now, back)[..., None]
        back, forth = back * moving, forth * moving
        there = _moved(forth, back, cv2.INTER_LINEAR)
        missed = np.square(back + there).sum(2)
        length = np.square(back).sum(2) + np.square(there).sum(2)
        trust = np.exp(-np.maximum(0, missed - 0.01 * length) / AGREE_PX)
        return back, trust * _inside(back) * _alike(before, now, back, ALIKE)


def _begun(low: np.ndarray, painted: np.ndarray) -> _Past:
    size = low.shape[:2]
    places, shown = np.zeros((*size, 2), np.float32), np.ones(size, np.float32)
    return _Past(low, painted, painted, low, places, shown, np.zeros((), np.int64))


@lru_cache(maxsize=2)  # of low and of painted frames
def _grid(height: int, width: int) -> np.ndarray:
    """Each pixel's place: (height, width, 2) float32, across and down."""
    return np.ascontiguousarray(np.indices((height, width), np.float32)[::-1].transpose(1, 2, 0))


def _moved(frame: np.ndarray, flow: np.ndarray, how: int) -> np.ndarray:
    """A frame, each pixel taken from where the flow says it was."""
    places = cv2.add(_grid(*flow.shape[:2]), flow)
    moved: np.ndarray = cv2.remap(frame, places, None, how, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return moved


def _inside(flow: np.ndarray) -> np.ndarray:
    """1 where the flow stays in the frame, else 0: (h, w) float32."""
    height, width = flow.shape[:2]
    places = _grid(height, width) + flow
    inside: np.ndarray = (places >= 0).all(2) & (places <= (width - 1, height - 1)).all(2)
    return inside.astype(np.float32)


def _alike(before: np.ndarray, now: np.ndarray, flow: np.ndarray, within: float) -> np.ndarray:
    """1 where low frames look alike, moved by the flow, falling to 0 where they do not: (h, w) float32."""
    gaps = cv2.absdiff(_moved(before, flow, cv2.INTER_CUBIC), now)
    gap = cv2.GaussianBlur(gaps.astype(np.float32) @ np.full(3, 1 / 3, np.float32), (0, 0), 1.0)
    alike: np.ndarray = np.exp(-np.square(gap / (255 * within)))
    return alike


def _moving(before: np.ndarray, now: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """0 where a camera stands still, else 1: (h, w) float32.

    Of a frame that stands still, a flow explains the grain, and strokes would tremble with it. Where it explains hardly
    more than no flow at all, in most of the frame, there is none. (In a part only, that may be a sky above a pan.)
    """
    without, with_flow = (
        cv2.blur(np.square(cv2.absdiff(frame, now).astype(np.float32)) @ np.full(3, 1 / 3, np.float32), STILL_PX)
        for frame in (before, _moved(before, flow, cv2.INTER_CUBIC))
    )
    still = (without < STILL * (with_flow + 1)).astype(np.float32)
    if still.mean() < 0.5:
        return np.ones_like(still)
    return 1 - cv2.blur(cv2.erode(still, np.ones((3, 3), np.uint8)), (3, 3))


def _enlarged(share: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return cv2.resize(share, size, interpolation=cv2.INTER_LINEAR)


def _enlarged_flow(flow: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    times = np.array([size[0] / flow.shape[1], size[1] / flow.shape[0]], np.float32)
    return cv2.resize(flow * times, size, interpolation=cv2.INTER_LINEAR)


def _contrast(done: np.ndarray, grey: np.ndarray, grid: tuple[int, int], detail_px: int, level: float) -> None:
    """Give detail of a frame, in place, the local contrast that the painted frame has.

    grey: of the painted frame. grid: (w, h), how finely contrast is looked at. level: the numbers in a grey level.
    """
    detail = _detail(cv2.transform(done, LUMA), detail_px)
    energies = [
        cv2.blur(cv2.resize(cv2.multiply(rest, rest), grid, interpolation=cv2.INTER_AREA), (5, 5))
        + (NOISE * level) ** 2
        for rest in (detail, _detail(grey, detail_px))
    ]
    gain = np.sqrt(energies[1] / energies[0]).clip(1 / MOST_GAIN, MOST_GAIN)
    added = cv2.multiply(detail, _enlarged(gain - 1, done.shape[1::-1]))
    cv2.add(done, cv2.merge([added] * 3), dst=done)  # of lightness: that of colours is a fraction of it


def _detail(frame: np.ndarray, detail_px: int) -> np.ndarray:
    """What stands out from the means of squares of so many pixels a side."""
    height, width = frame.shape[:2]
    coarse = max(1, width // detail_px), max(1, height // detail_px)
    means = cv2.resize(frame, coarse, interpolation=cv2.INTER_AREA)
    detail: np.ndarray = cv2.subtract(frame, cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR))
    return detail


def _round(array: np.ndarray, beside: int, width: int) -> np.ndarray:
    """An array of a frame, with what lies beyond its left and right edge."""
    if array.ndim < 2:
        return array
    reach = beside if array.shape[1] == width else BESIDE_PX
    return np.take(array, range(-reach, array.shape[1] + reach), axis=1, mode="wrap")


def _middle(array: np.ndarray, beside: int, width: int) -> np.ndarray:
    """The array of the frame that `_round` made wider."""
    if array.ndim < 2:
        return array
    reach = beside if array.shape[1] == width + 2 * beside else BESIDE_PX
    return np.ascontiguousarray(array[:, reach : array.shape[1] - reach])
