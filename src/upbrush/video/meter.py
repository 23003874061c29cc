"""How far a clip is: a bar with frames a second and the time that is left, where a person looks on."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from upbrush.screen import Quiet, one_line


class Meter(Protocol):
    """What is told while a clip is painted."""

    def frames(self, done: int, total: int | None) -> None:
        """So many frames are done; the first call says how many were before."""
        ...

    def begin(self, name: str) -> None:
        """A picture begins."""
        ...

    def tile(self, done: int, total: int) -> None:
        """So many of its tiles are done."""
        ...

    def end(self) -> None:
        """The picture is done with."""
        ...

    def complain(self, message: str) -> None:
        """Something went wrong."""
        ...


class Silent(Quiet):
    """Tells errors only."""

    def frames(self, done: int, total: int | None) -> None:
        """Nothing."""


class Lines(Silent):
    """A line a minute."""

    EVERY_SECONDS = 60.0

    def __init__(self) -> None:
        self._before: int | None = None  # what an earlier run did counts as done, not as speed
        self._begun = self._told = time.monotonic()

    def frames(self, done: int, total: int | None) -> None:
        """Tell, where it is time."""
        now = time.monotonic()
        if self._before is None:
            self._before, self._begun, self._told = done, now, now
        elif now - self._told >= self.EVERY_SECONDS:
            self._told, rate = now, (done - self._before) / (now - self._begun)
            left = f", about {(total - done) / rate / 60:.0f} minutes left" if total and total > done and rate else ""
            self.complain(f"{done} of {total or '?'} frames, {rate:.2f} a second{left}")


@contextmanager
def meter(quiet: bool) -> Iterator[Meter]:
    """A bar over frames, where a person looks on; a line now and then, where it goes into a log."""
    if quiet:
        yield Silent()
        return
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.2f} frames/s" if task.speed else "")

    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.completed}/{task.total} frames"), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, speed_estimate_period=60) as progress:
        task = progress.add_task("frames", total=None, start=False)

        class Live(Silent):
            begun = False

            def frames(self, done: int, total: int | None) -> None:
                if not self.begun:  # what an earlier run did counts as done, not as speed
                    self.begun = True
                    progress.reset(task, total=total, completed=done)
                    return
                progress.update(task, completed=done, total=total if total is None else max(done, total))

            def complain(self, message: str) -> None:
                console.print(one_line(message), markup=False, highlight=False, soft_wrap=True)

        yield Live()
