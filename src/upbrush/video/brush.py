"""Frames in, painted frames out: one look for each shot, whatever its length; a mask; a steady hand."""

import io
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice

import numpy as np

from upbrush import picture
from upbrush.knobs import Knobs
from upbrush.painter import Look, Painter
from upbrush.picture import Picture
from upbrush.saving import eight_bits
from upbrush.video.along import Moment, Timeline
from upbrush.video.clip import Frame
from upbrush.video.masks import FaceMask, Inverse, Mask, mixed
from upbrush.video.overlap import side_by_side
from upbrush.video.shots import Shots
from upbrush.video.steady import Steady

# A shot is summed up from these of its frames: the first alone would make a shot that fades in as dark as it begins.
SUMMED = (0, 4, 8, 12)


@dataclass(frozen=True, eq=False)
class Step:
    """A frame on its way in. cut: a shot begins with it."""

    frame: Frame
    cut: bool


@dataclass(frozen=True, eq=False)
class Memory:
    """What painting must know of the frames before, to go on as if it had painted them.

    shot: frames that the present shot was summed up from; recent: the last low frames; mask: of faces.
    """

    shot: tuple[np.ndarray, ...] = ()
    recent: tuple[np.ndarray, ...] = ()
    mask: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Painted:
    """A frame on its way out. low: as it came in, 8 bits. before: the memory that it was painted with."""

    frame: Frame
    low: np.ndarray
    cut: bool
    before: Memory


@dataclass(frozen=True, eq=False)
class _Planned:
    """A frame with all that it is painted with. restoring: the look where a mask is black; share: the mask."""

    step: Step
    low: np.ndarray
    before: Memory
    look: Look
    restoring: Look | None
    share: np.ndarray | None


def marked(frames: Iterable[Frame], recent: Iterable[np.ndarray] = ()) -> Iterator[Step]:
    """Say where shots begin. recent: the frames before the first, where there were any."""
    shots = Shots()
    for low in recent:
        shots.next(low)
    for frame in frames:
        yield Step(frame, shots.next(eight_bits(frame.pixels)))


class Brush:
    """Paints the frames of one clip. Not for several threads.

    knobs: size, strength and the rest; their style is what is painted in where there is no timeline. time_base: seconds
    of a tick of the frames. late: no frame may wait for later ones.
    """

    def __init__(
        self, painter: Painter, knobs: Knobs, time_base: Fraction, *, timeline: Timeline | None = None,
        mask: Mask | None = None, late: bool = False,
    ) -> None:  # fmt: skip
        self._painter, self._knobs, self._timeline, self._mask = painter, knobs, timeline, mask
        self._time_base, self._summed = time_base, (0,) if late else SUMMED
        self._plain = replace(knobs, style=None, strength=0.0)
        self._moment: Moment | None = None
        self._look: Look | None = None
        self._restoring: Look | None = None

    def paint(self, steps: Iterable[Step], memory: Memory | None = None, hands: int = 1) -> Iterator[Painted]:
        """Paint frames in order. memory: of the frames before the first, where there were any. hands: frames at once.

        What hangs on the frames before (looks, masks) is made in order, before the frame itself is painted.
        """
        return side_by_side(self._painted, self._planned(steps, memory or Memory()), hands, "painting")

    def _planned(self, steps: Iterable[Step], memory: Memory) -> Iterator[_Planned]:
        if memory.shot:
            self._sum_up(memory.shot)
        faces = face_mask(self._mask)
        if faces is not None:
            faces.last = memory.mask
        recent = deque(memory.recent, maxlen=Shots.MEMORY)
        shot = memory.shot
        for step, following in _with_following(steps, self._summed[-1]):
            before = Memory(shot, tuple(recent), None if faces is None else faces.last)
            if step.cut or not shot:
                shot = self._samples(step, following)
                self._sum_up(shot)
            low = eight_bits(step.frame.pixels)
            recent.append(low)
            seconds = step.frame.pts * self._time_base
            share = None if self._mask is None else self._mask.at(seconds, low, step.cut)
            yield _Planned(step, low, before, self._look_at(seconds), self._restoring, share)

    def _samples(self, step: Step, following: Iterable[Step]) -> tuple[np.ndarray, ...]:
        """Frames of the shot that begins here."""
        shot = [step]
        for one in following:
            if one.cut:
                break
            shot.append(one)
        return tuple(picture.to_array(_picture(shot[index].frame)) for index in self._summed if index < len(shot))

    def _sum_up(self, shot: tuple[np.ndarray, ...]) -> None:
        """Look at a shot anew."""
        pictures = [picture.from_array(array) for array in shot]
        self._moment = None
        self._look = self._knobs.look(self._painter, pictures)
        self._restoring = None if self._mask is None else self._plain.look(self._painter, pictures)

    def _painted(self, one: _Planned) -> Painted:
        look, share, frame = one.look, one.share, one.step.frame
        if share is not None and not share.any():  # nothing of it is painted
            assert one.restoring is not None
            look, share = one.restoring, None
        source = _picture(frame)
        painted = self._knobs.paint(self._painter, source, None, look)
        pixels = painted.pixels
        if share is not None and not (share == 1).all():
            restored = self._knobs.paint(self._painter, source, None, one.restoring)
            pixels = mixed(pixels, restored.pixels, share)
        finished = Frame(frame.pts, frame.duration, pixels, painted.alpha)
        return Painted(finished, one.low, one.step.cut, one.before)

    def _look_at(self, seconds: Fraction) -> Look:
        """The shot's look, in the style of the moment."""
        assert self._look is not None
        if self._timeline is None:
            return self._look
        moment = self._timeline.at(seconds)
        if moment is not self._moment:
            knobs = self._knobs
            now = replace(knobs, style=moment.style, strength=knobs.strength * moment.share if moment.style else 0.0)
            self._look, self._moment = now.look(self._painter, self._look), moment
        return self._look


def face_mask(mask: Mask | None) -> FaceMask | None:
    """The part of a mask that remembers."""
    inner = mask.mask if isinstance(mask, Inverse) else mask
    return inner if isinstance(inner, FaceMask) else None


def _picture(frame: Frame) -> Picture:
    return Picture(frame.pixels, frame.alpha)


def _with_following(steps: Iterable[Step], most: int) -> Iterator[tuple[Step, tuple[Step, ...]]]:
    """Each step, with as many of those behind it as there are, at most so many."""
    source = iter(steps)
    waiting = deque(islice(source, most))
    for step in source:
        waiting.append(step)
        yield waiting.popleft(), tuple(waiting)
    while waiting:
        yield waiting.popleft(), tuple(waiting)


@dataclass(frozen=True, eq=False)
class Finished:
    """A frame as it is encoded. opens: where it begins a segment behind another one, what to go on from is packed."""

    frame: Frame
    opens: bytes | None = None


def finished(
    painted: Iterable[Painted], steady: Steady | None, least: int, most: int
) -> Generator[Finished, None, None]:
    """Hold still what stood still in the clip, and say where segments begin.

    least, most: frames of a segment; it ends with a shot where it can.
    """
    count = 0
    for one in painted:
        opens = None
        if count >= most or (one.cut and count >= least):
            opens, count = pack(one.before, b"" if steady is None else steady.state()), 0
        count += 1
        frame = one.frame
        if steady is not None:
            frame = replace(frame, pixels=steady.next(one.low, frame.pixels, one.cut))
        yield Finished(frame, opens)


def pack(memory: Memory, steady: bytes) -> bytes:
    """What a run goes on from, as bytes: plain arrays, nothing that could run. See `unpack`."""
    arrays = {f"shot{index}": array for index, array in enumerate(memory.shot)}
    arrays |= {f"recent{index}": array for index, array in enumerate(memory.recent)}
    if memory.mask is not None:
        arrays["mask"] = memory.mask
    arrays["steady"] = np.frombuffer(steady, np.uint8)
    stored = io.BytesIO()
    np.savez(stored, **arrays)  # type: ignore[arg-type]
    return stored.getvalue()


def unpack(state: bytes) -> tuple[Memory, bytes]:
    """(memory, steady) of what `pack` made."""
    with np.load(io.BytesIO(state), allow_pickle=False) as stored:

        def numbered(name: str) -> tuple[np.ndarray, ...]:
            return tuple(stored[f"{name}{index}"] for index in range(len(stored.files)) if f"{name}{index}" in stored)

        mask = stored.get("mask")
        return Memory(numbered("shot"), numbered("recent"), mask), stored["steady"].tobytes()
