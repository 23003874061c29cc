"""A clip from its file to a painted file: decoded, painted, steadied and encoded at the same time, piece by piece."""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from upbrush.errors import ClipError
from upbrush.knobs import Knobs
from upbrush.painter import Painter
from upbrush.video import joining, reading
from upbrush.video.along import Timeline
from upbrush.video.brush import Brush, Finished, Memory, finished, marked, unpack
from upbrush.video.clip import Clip, Frame
from upbrush.video.damage import Damage
from upbrush.video.encoding import Encoder, Target
from upbrush.video.masks import Mask
from upbrush.video.overlap import ahead
from upbrush.video.segments import Folder, Progress, SegmentFile
from upbrush.video.steady import Steady
from upbrush.video.tracks import Cut

# A segment ends where a shot does, or when it is this long: what is lost when a run is killed.
LEAST_FRAMES, MOST_FRAMES = 24, 96
LOW_AHEAD, HIGH_AHEAD = 4, 2  # frames that wait between stages
MOST_HANDS, HAND_BYTES = 4, 100_000_000  # frames painted at once, and the memory below which there are fewer


@dataclass(frozen=True)
class Prepared:
    """What is done to frames before they are painted. reduce_px: the longer side at most; laid_on: beneath alpha."""

    reduce_px: int | None = None
    laid_on: tuple[int, int, int] | None = None

    def clip(self, clip: Clip) -> Clip:
        """The clip as it is painted."""
        pixels = replace(clip.pixels, alpha=False) if self.laid_on else clip.pixels
        width, height = self._size(clip.width, clip.height)
        return replace(clip, pixels=pixels, width=width, height=height)

    def frame(self, frame: Frame) -> Frame:
        """A frame as it is painted."""
        pixels, alpha = frame.pixels, frame.alpha
        if self.laid_on and alpha is not None:
            top = np.float32(np.iinfo(pixels.dtype).max)
            share = alpha[..., None] / top
            ground = np.array(self.laid_on, np.float32) / 255 * top
            pixels, alpha = np.rint(pixels * share + ground * (1 - share)).astype(pixels.dtype), None
        size = self._size(pixels.shape[1], pixels.shape[0])
        if size != (pixels.shape[1], pixels.shape[0]):
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
            alpha = None if alpha is None else cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
        return Frame(frame.pts, frame.duration, pixels, alpha)

    def _size(self, width: int, height: int) -> tuple[int, int]:
        longer = max(width, height)
        if self.reduce_px is None or longer <= self.reduce_px:
            return width, height
        return max(1, round(width * self.reduce_px / longer)), max(1, round(height * self.reduce_px / longer))


@dataclass(frozen=True, eq=False)
class Job:
    """A clip to paint.

    clip: as it is in its file. plan: all that the result hangs on. drop: tracks that are left out.
    """

    clip: Clip
    target: Target
    knobs: Knobs
    plan: dict[str, Any]
    prepared: Prepared = Prepared()
    timeline: Timeline | None = None
    mask: Mask | None = None
    steady: bool = True
    cut: Cut = Cut()
    drop: tuple[str, ...] = ()

    @property
    def repaints(self) -> bool:
        """Is any of it painted in a style?"""
        if self.timeline is not None:
            return self.timeline.repaints and self.knobs.strength > 0
        return self.knobs.style is not None and self.knobs.strength > 0

    @property
    def frames(self) -> int | None:
        """How many frames there will be, about; None where the clip does not say."""
        if self.clip.frames is None or self.cut.whole:
            return self.clip.frames
        whole = Fraction(self.clip.frames) / self.clip.rate
        kept = (whole if self.cut.end is None else min(whole, self.cut.end)) - self.cut.begin
        return max(0, round(kept * self.clip.rate))


@dataclass(frozen=True)
class Told:
    """How it went. frames: of the result; painted: now; missing: frames that the clip promised and has not.

    short: of the missing ones, those behind its end; flawed: frames that the decoder could not wholly read.
    """

    frames: int
    painted: int
    seconds: float
    missing: int = 0
    short: int = 0
    flawed: int = 0


Progressed = Callable[[int, int | None], None]


def hands_for(cores: int, allowed_bytes: int) -> tuple[int, int]:
    """How many frames are painted at once, and threads for each: two threads on one frame wait for each other."""
    hands = max(1, min(cores, MOST_HANDS, allowed_bytes // HAND_BYTES))
    return hands, max(1, cores // hands)


def run(job: Job, painter: Painter, progressed: Progressed = lambda done, total: None, hands: int = 1) -> Told:
    """Paint a clip; one that was stopped goes on behind its last whole segment, to the same result.

    progressed: called with the frames that are painted and how many there are, at the start and after each. hands:
    frames that are painted at once.
    Raises ClipError where the clip has no frame in the part asked for, or the output cannot be written; whole segments
    are kept then. The output appears under its name when it is complete.
    """
    folder = Folder(job.target.path, job.plan)
    began = time.perf_counter()
    try:
        begun = now = folder.progress()
        progressed(begun.frames, job.frames)
        if not begun.complete:
            now = _paint(job, painter, folder, begun, progressed, hands)
        if not now.frames:
            raise ClipError(f"{job.clip.path}: has no frame in the part that is asked for; look at --from and --to")
        pieces = [folder.segment(index) for index in range(now.segments)]
        cut = Cut(now.origin * job.clip.time_base, job.cut.end)
        note = "; ".join(f"{key} {word}" for key, word in job.knobs.note(painter.engine.identity).items())
        joining.join(job.target, pieces, job.clip, cut, job.drop, note)
        folder.remove()
    except BaseException:
        if not folder.progress().segments:  # nothing that is worth keeping
            folder.remove()
        raise
    finally:
        folder.close()
    short, seconds = _short(job, now.end), time.perf_counter() - began
    return Told(now.frames, now.frames - begun.frames, seconds, short + now.lost, short, now.flawed)


def _short(job: Job, end: int) -> int:
    """Frames that the clip promised behind its end: by its length, as the count of frames may be a guess."""
    clip = job.clip
    if job.cut.end is not None or clip.seconds is None:
        return 0
    return max(0, int((Fraction(clip.seconds) - end * clip.time_base) * clip.rate))


class _Segment:
    """One segment being encoded into its file."""

    def __init__(self, path: Path, target: Target) -> None:
        self.file, self._encoder = SegmentFile(path), Encoder(target)

    def add(self, frame: Frame) -> None:
        """Encode a frame."""
        for packet in self._encoder.encode(frame):
            self.file.add(packet, self._encoder.extradata)

    def close(self) -> Path:
        """Encode what the encoder still holds. Returns the file, complete under its other name."""
        for packet in self._encoder.flush():
            self.file.add(packet, self._encoder.extradata)
        self._encoder.close()
        self.file.close()
        return self.file.path

    def discard(self) -> None:
        """Throw it away."""
        self._encoder.close()
        self.file.discard()


def _paint(job: Job, painter: Painter, folder: Folder, begun: Progress, progressed: Progressed, hands: int) -> Progress:
    """Paint what is left, and keep it segment by segment. Returns how far the clip is then."""
    now, done, end, damage = begun, begun.frames, begun.end, Damage()
    segment: _Segment | None = None

    def kept(complete: bool, state: bytes) -> Progress:
        assert segment is not None
        found = (damage.lost, damage.flawed) if complete else (0, 0)
        next_one = Progress(now.segments + 1, done, now.origin, end, complete, *found, state)
        folder.finish(segment.close(), next_one)
        return next_one

    try:
        with closing(_frames(job, painter, begun, hands, damage)) as frames:
            for one in frames:
                if one.opens is not None:
                    now, segment = kept(False, one.opens), None
                if segment is None:
                    if not done and job.cut.begin:
                        now = replace(now, origin=one.frame.pts)
                    segment = _Segment(folder.segment(now.segments), job.target)
                end = one.frame.pts + one.frame.duration
                segment.add(replace(one.frame, pts=one.frame.pts - now.origin))
                done += 1
                progressed(done, job.frames)
        if segment is not None:
            now, segment = kept(True, b""), None
    except (OSError, av.error.FFmpegError) as error:
        raise joining.unwritable(job.target.path, error) from None
    finally:
        if segment is not None:
            segment.discard()
    return now


def _frames(job: Job, painter: Painter, begun: Progress, hands: int, damage: Damage) -> Generator[Finished, None, None]:
    """Decode, paint and steady, each in a thread of its own; in order. damage: told what the clip lost."""
    memory, state = unpack(begun.state) if begun.state else (Memory(), b"")
    steady = None
    if job.steady:
        steady = (
            Steady.from_state(state) if state else Steady(job.repaints, wrap=job.knobs.wrap, stereo=job.knobs.stereo)
        )
    read = reading.frames(job.clip, job.cut.begin, job.cut.end, begun.frames, damage)
    steps = ahead(marked(map(job.prepared.frame, read), memory.recent), LOW_AHEAD, "decoding")
    brush = Brush(painter, job.knobs, job.clip.time_base, timeline=job.timeline, mask=job.mask)
    painted = ahead(brush.paint(steps, memory, hands), HIGH_AHEAD, "painting")
    return ahead(finished(painted, steady, LEAST_FRAMES, MOST_FRAMES), HIGH_AHEAD, "steadying")
