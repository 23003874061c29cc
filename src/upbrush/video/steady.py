"""A steady hand: what stands still, or moves with the camera, is not painted anew in every frame.

A generator that sees one frame at a time puts its detail elsewhere in each, and the clip shimmers. So each frame takes
the detail of the one before along the motion of the clip, where that is known, and its own where it is not:

1. The dense flow between the two low frames (`video.motion`), and how far it is to be trusted.
2. Detail comes from an anchor: one finished frame, and for each pixel the place it had there. Each new frame is one
   resampling of the anchor, whatever its age; frame upon frame, resampled each time, would be a blur in a second. What
   the anchor does not show comes from the frame before, and what neither shows from the frame itself.
3. Coarse colours follow the present frame, so light may change; where those of a whole frame differ, its style or its
   light is changing, and the past counts for less.
4. What mixing took of the local contrast of detail is given back, within the values that are painted round about.
"""

import io
from dataclasses import dataclass, fields
from typing import Any, Self
from zipfile import BadZipFile

import cv2
import numpy as np

from upbrush.errors import ConfigError
from upbrush.panorama import STEREO
from upbrush.video.motion import Motion, alike, blocks, enlarged, enlarged_flow, inside, moved, moved_large

ANCHOR_ALIKE = 0.1  # difference of low frames, 1 is black to white, at which the anchor hardly shows what is there
ANCHOR_FRAMES = 16  # how long an anchor is held
ANCHOR_LEAST = 0.7  # share of what is trusted that it must still show
LEAST_TRUST = 0.1  # what is trusted less is hardly seen
COLOURS = 0.75  # the share of the past in coarse colours
TURNED = 10.0  # grey levels: a whole frame that differs by as much from the past in colour is of another style or light
COARSE_PX = 4  # of the low frame: what is coarser is colour, what is finer is detail
MOST_GAIN = 2.0  # by which contrast is given back
AROUND_PX = 13  # a side of the square of painted pixels within whose values one stays
NOISE = 0.3  # grey levels: detail of less contrast is not worth it
BESIDE_PX = 16  # low pixels seen beyond the edges of what goes round
LEAST_PX = 16  # frames smaller than that have no flow that can be found


@dataclass(frozen=True)
class Manner:
    """How firmly a clip is held.

    keep: the share of the past in what is trusted. gains: of finest and of finer detail: a gain that is worked out for
    a band changes hardly half of what lies at the band's edge, so more is asked for. calm: the share of its contrast
    that detail is denied where nothing is trusted: what was restored there is another guess in every frame.
    """

    keep: float
    gains: tuple[float, float]
    calm: float = 0.0


REPAINTED, RESTORED = Manner(0.95, (1.4, 1.0)), Manner(0.96, (2.3, 1.13), 0.13)


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
        self._eyes = [_Eye(REPAINTED if repaint else RESTORED, wrap) for _ in range(1 if stereo is None else 2)]

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

    def __init__(self, manner: Manner, wrap: bool) -> None:
        self._manner, self._wrap, self._motion = manner, wrap, Motion()
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
        back, trust = self._motion.between(past.low, low)
        places = back + moved(past.places, back, cv2.INTER_LINEAR)
        shown = np.minimum(trust, moved(past.shown, back, cv2.INTER_LINEAR)) * inside(places)
        shown *= alike(moved(past.anchor_low, places), low, ANCHOR_ALIKE)
        kept = moved_large(past.anchor, enlarged_flow(places, past.anchor))
        _fill(kept, past.painted, back, np.clip(2 * shown / np.maximum(trust, LEAST_TRUST) - 0.5, 0, 1), trust)
        finished = _mixed(painted, kept, trust, self._manner)
        age = past.age + 1
        if age >= ANCHOR_FRAMES or shown.mean() < ANCHOR_LEAST * trust.mean():
            return finished, _begun(low, finished)
        return finished, _Past(low, finished, past.anchor, past.anchor_low, places, shown, age)


def _begun(low: np.ndarray, painted: np.ndarray) -> _Past:
    size = low.shape[:2]
    places, shown = np.zeros((*size, 2), np.float32), np.ones(size, np.float32)
    return _Past(low, painted, painted, low, places, shown, np.zeros((), np.int64))


def _fill(kept: np.ndarray, painted: np.ndarray, back: np.ndarray, share: np.ndarray, trust: np.ndarray) -> None:
    """Where the anchor does not show what is there, the frame before does: block by block, as few need it.

    kept: the anchor, moved; changed in place. painted: the frame before. share: (h, w) 0…1, of the anchor; trust:
    (h, w), in both.
    """
    lack = (1 - share) * trust
    lacking = [large for small, large in blocks(share.shape, kept.shape) if lack[small].max() > LEAST_TRUST]
    if not lacking:
        return
    flow, of_anchor = enlarged_flow(back, kept), enlarged(share, kept)
    for block in lacking:
        kept[block] = _blended(kept[block], moved_large(painted, flow, block), of_anchor[block])


def _blended(one: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    """So much of one frame, (H, W), and the rest of the other; float32 but for frames of 8 bits."""
    if one.dtype != np.uint8:
        one, other = one.astype(np.float32), other.astype(np.float32)
    blended: np.ndarray = cv2.blendLinear(one, other, share, 1 - share)
    return blended


def _mixed(painted: np.ndarray, kept: np.ndarray, trust: np.ndarray, manner: Manner) -> np.ndarray:
    """The present frame, with the past where that is to be trusted, (h, w): finished."""
    top = np.iinfo(painted.dtype).max
    grid, level = trust.shape[::-1], top / 255
    coarse = max(1, grid[0] // COARSE_PX), max(1, grid[1] // COARSE_PX)
    small, small_kept = (cv2.resize(frame, grid, interpolation=cv2.INTER_AREA) for frame in (painted, kept))
    colours = cv2.resize(cv2.subtract(small_kept, small, dtype=cv2.CV_32F), coarse, interpolation=cv2.INTER_AREA)
    turned = np.square(colours.mean((0, 1))).sum() / (TURNED * level) ** 2
    share = trust * np.float32(manner.keep * np.exp(-turned))
    followed = cv2.resize(colours, grid, interpolation=cv2.INTER_LINEAR) * ((COLOURS - 1) * share[..., None])
    done = _blended(kept, painted, enlarged(share, painted))
    lacking = _lacking(done, painted, 1 - manner.calm * np.sqrt(1 - trust), manner, level)
    depth = cv2.CV_8U if top == 255 else cv2.CV_16U
    planes = []
    for plane, colour in zip(cv2.split(done), cv2.split(followed), strict=True):  # singly: less memory to go through
        added = enlarged(colour, painted)
        cv2.add(added, lacking, dst=added)  # of lightness: that of colours is a fraction of it
        planes.append(cv2.add(plane, added, dtype=depth))  # rounds and saturates
    finished = cv2.merge(planes)
    # Contrast given back again and again would grow specks: nothing goes beyond what is painted round about.
    around = np.ones((AROUND_PX, AROUND_PX), np.uint8)
    held: np.ndarray = cv2.min(cv2.max(finished, cv2.erode(painted, around)), cv2.dilate(painted, around))
    return held


def _lacking(done: np.ndarray, painted: np.ndarray, calmed: np.ndarray, manner: Manner, level: float) -> np.ndarray:
    """What a frame's detail lacks of the local contrast that is wanted, that of the painted frame: (H, W) of lightness.

    calmed: (h, w), the share of it that is wanted. level: the numbers in a grey level.
    """
    lacking: list[np.ndarray] = []
    for band, wanted, asked in zip(_bands(done), _bands(painted), manner.gains, strict=True):
        energy, wanted_energy = (
            cv2.blur(cv2.resize(cv2.multiply(one, one), calmed.shape[::-1], interpolation=cv2.INTER_AREA), (5, 5))
            + np.float32((NOISE * level) ** 2)
            for one in (band, wanted)
        )
        gain = np.sqrt(wanted_energy / energy).clip(1 / MOST_GAIN, MOST_GAIN) * calmed
        lacking.append(cv2.multiply(band, enlarged((gain - 1) * np.float32(asked), band)))
    return cv2.add(lacking[0], enlarged(lacking[1], lacking[0]))


def _bands(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a frame's lightness the finest detail, above about 1/4 cycle a pixel, and at half the size the next finer."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32, copy=False)
    height, width = grey.shape
    half, sixth = (
        (max(1, width // times), max(1, height // times)) for times in (2, 6)
    )  # fmt: skip
    finest: np.ndarray = grey
    for _ in range(2):
        blurred = cv2.GaussianBlur(finest, (3, 3), 0)
        finest = cv2.subtract(finest, blurred, dst=blurred)
    coarser = cv2.resize(grey, half, interpolation=cv2.INTER_AREA)
    return finest, cv2.subtract(coarser, enlarged(cv2.resize(coarser, sixth, interpolation=cv2.INTER_AREA), coarser))


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
