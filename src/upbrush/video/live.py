"""Live: the newest frame of a camera or a stream is painted and shown; those that came meanwhile are let go."""

import statistics
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Protocol

import av

from upbrush.errors import ClipError
from upbrush.video.brush import Brush, finished, marked
from upbrush.video.clip import Colour, Frame
from upbrush.video.conversion import Reader, pixels_of
from upbrush.video.reading import film, told_as
from upbrush.video.sources import Address
from upbrush.video.steady import Steady
from upbrush.video.work import Prepared

TIME_BASE = Fraction(1, 90000)
# What is looked at before the first frame: half a second of a stream that goes on meanwhile. Not with fflags nobuffer:
# it throws away all that was looked at, with the key frame that the next ones hang on; and of frames that have waited
# only the newest is painted anyway.
_SOON = {"probesize": "500000", "analyzeduration": "500000"}
OPEN_SECONDS, READ_SECONDS = 20.0, 10.0
REMEMBERED = 2000  # latencies: of a stream that goes on for days, the last ones
LATE_SHARE = 0.95  # the latency that so many frames stay below


class Newest:
    """The newest frame of a source, received by a thread of its own.

    paced: the source is a file, and is played at its own speed. Raises ClipError where it cannot be opened or has no
    video.
    """

    def __init__(self, address: Address, paced: bool = False) -> None:
        self._name, self._paced = address.title or address.name, paced
        options = {} if paced else dict(_SOON)
        with told_as(address.title or address.name, address.title is not None):
            self._container = av.open(
                address.name, format=address.format, options=options, timeout=(OPEN_SECONDS, READ_SECONDS)
            )
        self._stream = film(self._container, address.name)
        self._stream.thread_type = "SLICE"  # threads for frames would hold some back
        self._news = threading.Condition()
        self._frame: tuple[av.VideoFrame, float] | None = None
        self._ended, self._stopped = False, False
        self._error: Exception | None = None
        self.received = 0
        self._thread = threading.Thread(target=self._receive, name="upbrush receiving", daemon=True)
        self._thread.start()

    def frames(self, seconds: float | None) -> Iterator[tuple[av.VideoFrame, float]]:
        """Newest frames with when they were received, each once, until the source ends or so many seconds have passed.

        Raises ClipError where the source fails.
        """
        until = None if seconds is None else time.perf_counter() + seconds
        while until is None or time.perf_counter() < until:
            with self._news:
                self._news.wait_for(lambda: self._frame is not None or self._ended, timeout=0.2)
                taken, self._frame = self._frame, None
                if taken is None and self._ended:
                    break
            if taken is not None:
                yield taken
        if self._error is not None and not self.received:
            raise ClipError(f"{self._name}: cannot be read ({self._error}); see that it is there and sends a picture")

    def close(self) -> None:
        """Let the source go."""
        self._stopped = True
        self._thread.join(READ_SECONDS)
        if not self._thread.is_alive():
            self._container.close()

    def _receive(self) -> None:
        began: float | None = None
        try:
            for frame in self._container.decode(self._stream):
                if self._stopped:
                    return
                if self._paced and frame.time is not None:
                    now = time.perf_counter()
                    began = now - frame.time if began is None else began
                    time.sleep(max(0.0, began + frame.time - now))
                with self._news:
                    self._frame = (frame, time.perf_counter())
                    self.received += 1
                    self._news.notify()
        except (av.error.FFmpegError, OSError) as error:
            self._error = error
        finally:
            with self._news:
                self._ended = True
                self._news.notify()


class Screen(Protocol):
    """Where painted frames go."""

    def show(self, frame: Frame) -> bool:
        """Show a frame, pts in TIME_BASE since the beginning; False where nobody looks on any more."""
        ...

    def close(self) -> None:
        """End it."""
        ...


@dataclass
class Seen:
    """How it goes. latencies: seconds from when a frame was received to when its painting had been shown or sent."""

    received: int = 0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    painted: int = 0
    began: float = field(default_factory=time.perf_counter)

    @property
    def told(self) -> str:
        """One line."""
        if not self.latencies:
            return f"{self.received} frames received, none painted"
        seconds = time.perf_counter() - self.began
        late = sorted(self.latencies)[int(LATE_SHARE * (len(self.latencies) - 1))]
        return (
            f"latency {statistics.median(self.latencies) * 1000:.0f} ms (of {LATE_SHARE:.0%} below {late * 1000:.0f}), "
            f"{self.painted} of {self.received} frames painted, {self.painted / seconds:.1f} of "
            f"{self.received / seconds:.1f} a second"
        )


class Taken:
    """Frames as they are painted, from the newest that came: arrays, prepared, with times since the beginning."""

    def __init__(self, newest: Newest, prepared: Prepared, seconds: float | None) -> None:
        self._newest, self._prepared, self._seconds = newest, prepared, seconds
        self._reader: Reader | None = None
        self._format = ""
        self.times: deque[float] = deque()  # when the frames that are still being painted were received

    def __iter__(self) -> Iterator[Frame]:
        """In order of time."""
        began: float | None = None
        for frame, received in self._newest.frames(self._seconds):
            if self._reader is None or frame.format.name != self._format:
                pixels = pixels_of(frame.format)
                colour = Colour(frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range)
                self._format = frame.format.name
                self._reader = Reader(replace(pixels, alpha=False), colour.settled(frame.height, pixels.rgb))
            began = received if began is None else began
            array, _ = self._reader.arrays(frame)
            self.times.append(received)
            yield self._prepared.frame(Frame(round((received - began) / TIME_BASE), 1, array))


def go(
    newest: Newest, screen: Screen, brush: Brush, steady: Steady | None, prepared: Prepared, seen: Seen,
    seconds: float | None = None,
) -> None:  # fmt: skip
    """Paint what comes until it ends, nobody looks on, or so many seconds have passed. seen: filled meanwhile."""
    taken = Taken(newest, prepared, seconds)
    whole = 1 << 62  # frames of a segment: there are none
    try:
        with closing(finished(brush.paint(marked(taken)), steady, whole, whole)) as frames:
            for one in frames:
                on = screen.show(one.frame)
                seen.latencies.append(time.perf_counter() - taken.times.popleft())
                seen.received, seen.painted = newest.received, seen.painted + 1
                if not on:
                    break
    finally:
        seen.received = newest.received
        newest.close()
        screen.close()
