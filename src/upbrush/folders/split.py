"""How many processes of how many threads: found by painting the first pictures of a run in several ways."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from upbrush.errors import ConfigError
from upbrush.folders.task import Done, Task

PROCESS_BYTES = 250_000_000  # what a process takes beside what painting may: Python, the runtime, the model
TRIAL_SECONDS = 3.0  # of work, when every process has painted its first picture
WORTH = 60  # pictures for each core, below which a trial costs more than it brings


@dataclass(frozen=True)
class Split:
    """Processes, and the threads of each."""

    processes: int
    threads: int

    def __str__(self) -> str:
        return f"{self.processes} x {self.threads}"


class Painting(Protocol):
    """What a trial asks of a crew."""

    def paint(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Paint all tasks and say how each went."""
        ...


Gather = Callable[[Split], AbstractContextManager[Painting]]


def cores() -> int:
    """The cores that this process may use, by its affinity and its container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(count, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, or one without a quota
        return count


def memory_there() -> int | None:
    """Bytes that are free for programs, by the system and the container; None where it does not say."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text(encoding="ascii") for name in ("max", "current"))
        found.append(int(limit) - int(used))
    except (OSError, ValueError):
        pass
    return min(found, default=None)


def candidates(
    cores: int, pictures: int, memory_bytes: int, there: int | None, processes: int | None, threads: int | None
) -> list[Split]:
    """The ways that are worth trying, the likeliest first.

    memory_bytes: what painting may take in each process. there: what there is for all. processes, threads: where the
    user has said how many. Raises ConfigError where they are more than the memory holds.
    """
    room = cores if there is None else int(there // (memory_bytes + PROCESS_BYTES))
    if processes is not None:
        if there is not None and processes > max(1, room):
            raise ConfigError(
                f"{processes} processes may take {processes * (memory_bytes + PROCESS_BYTES) / 1e9:.1f} GB, there are "
                f"{there / 1e9:.1f} GB; give fewer, or less --memory for each"
            )
        return [Split(processes, threads or max(1, cores // processes))]
    most = max(1, min(cores // (threads or 1), room, pictures))
    counts = [most]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    return [Split(count, threads or max(1, cores // count)) for count in counts]


def is_worth_trying(ways: list[Split], cores: int, pictures: int) -> bool:
    """Whether there are pictures enough to find out."""
    return len(ways) > 1 and pictures >= WORTH * cores


class Trial:
    """Paints with each way for some seconds, and keeps the quickest. speeds: pixels of output a second."""

    def __init__(self, ways: list[Split], gather: Gather, seconds: float = TRIAL_SECONDS) -> None:
        self._ways, self._gather, self._seconds = ways, gather, seconds
        self.speeds: dict[Split, float] = {}

    @property
    def best(self) -> Split:
        """The quickest so far; the likeliest where nothing was tried."""
        return max(self.speeds, key=lambda way: self.speeds[way], default=self._ways[0])

    def paint(self, tasks: Iterator[Task]) -> Iterator[Done]:
        """Take as many tasks as it needs, and say how each went. It stops when a way is slower than the one before."""
        last = 0.0
        for way in self._ways:
            yield from self._tried(way, tasks)
            if self.speeds.get(way, 0.0) <= last:
                return
            last = self.speeds[way]

    def _tried(self, way: Split, tasks: Iterator[Task]) -> Iterator[Done]:
        """One way. Its clock runs from when each process has ended a picture until no more is given out."""
        warm, pixels, begun, ended = 0, 0, 0.0, 0.0

        def some() -> Iterator[Task]:
            while not (begun and time.perf_counter() - begun > self._seconds) and (task := next(tasks, None)):
                yield task

        with self._gather(way) as crew:
            for done in crew.paint(some()):
                now = time.perf_counter()
                warm += 1
                if begun and (not ended or now - begun <= self._seconds):
                    pixels, ended = pixels + done.pixels, now
                elif warm >= way.processes and not begun:
                    begun = now
                yield done
        if ended > begun > 0:
            self.speeds[way] = pixels / (ended - begun)
