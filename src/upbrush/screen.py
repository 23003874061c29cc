"""What the command line shows: results on standard output; progress and errors, in one line, on standard error."""

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import typer

if TYPE_CHECKING:  # a one-line error need not wait for numpy and Pillow
    from upbrush.doctor import Health
    from upbrush.styles import Style


class Ticker(Protocol):
    """What a batch tells while it works."""

    def begin(self, name: str) -> None:
        """A picture begins."""
        ...

    def tile(self, done: int, total: int) -> None:
        """So many of its tiles are done."""
        ...

    def end(self) -> None:
        """The picture is done with, well or not."""
        ...

    def complain(self, message: str) -> None:
        """Something went wrong."""
        ...


class Quiet:
    """Tells errors only: for --quiet and for logs, where a moving bar would be litter."""

    def begin(self, name: str) -> None:
        """Nothing."""

    def tile(self, done: int, total: int) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""

    def complain(self, message: str) -> None:
        """One line on standard error."""
        typer.echo(one_line(message), err=True)


class Notes(logging.Handler):
    """Tells what the rooms log about a picture by way of the ticker: with its name, and without tearing the bar."""

    def __init__(self, tick: Ticker) -> None:
        super().__init__()
        self.picture = ""  # the one that is being painted
        self._tick, self._logger = tick, logging.getLogger("upbrush")

    def emit(self, record: logging.LogRecord) -> None:
        """One line on standard error."""
        self._tick.complain(f"{self.picture}: {record.getMessage()}" if self.picture else record.getMessage())

    def __enter__(self) -> "Notes":
        self._logger.addHandler(self)
        self._logger.propagate = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = True


def one_line(message: str) -> str:
    """A message as it is shown."""
    return f"upbrush: {plain(' '.join(message.split()))}"


def plain(text: str) -> str:
    """Text without what would steer a terminal: the names of files may hold anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@contextmanager
def ticker(pictures: int, quiet: bool) -> Iterator[Ticker]:
    """A bar over pictures and one over the tiles of the present one, where a person looks on."""
    if quiet or not sys.stderr.isatty():
        yield Quiet()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        every = progress.add_task("pictures", total=pictures, visible=pictures > 1)
        present = progress.add_task("", total=None)

        class Live:
            def begin(self, name: str) -> None:
                progress.reset(present, description=plain(name), total=None)

            def tile(self, done: int, total: int) -> None:
                progress.update(present, completed=done, total=total)

            def end(self) -> None:
                progress.advance(every)

            def complain(self, message: str) -> None:
                console.print(one_line(message), markup=False, highlight=False, soft_wrap=True)

        yield Live()


@contextmanager
def counter(pictures: int, quiet: bool) -> Iterator[Ticker]:
    """One bar over many pictures with their speed; in a log, where nobody looks on, a line now and then."""
    if quiet:
        yield Quiet()
        return
    if not sys.stderr.isatty():
        yield Lines(pictures)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.completed}/{task.total} {task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        every = progress.add_task("", total=pictures)

        class Live(Quiet):
            def end(self) -> None:
                speed = progress.tasks[0].speed
                progress.update(every, advance=1, description=f"{speed:.1f}/s" if speed else "")

            def complain(self, message: str) -> None:
                console.print(one_line(message), markup=False, highlight=False, soft_wrap=True)

        yield Live()


class Lines(Quiet):
    """A line on standard error every so often, for logs."""

    EVERY_SECONDS = 30.0

    def __init__(self, pictures: int) -> None:
        self._pictures, self._ended = pictures, 0
        self._begun = self._told = time.monotonic()

    def end(self) -> None:
        """Count; tell, where it is time."""
        self._ended += 1
        now = time.monotonic()
        if now - self._told >= self.EVERY_SECONDS:
            self._told, speed = now, self._ended / (now - self._begun)
            left = (self._pictures - self._ended) / speed / 60
            self.complain(f"{self._ended} of {self._pictures}, {speed:.1f} a second, about {left:.0f} minutes left")


def show_styles(styles: "Mapping[str, Style]") -> None:
    """A table of the library; what is the same for all of it is told once, below."""
    from rich.console import Console
    from rich.table import Table

    rows = [{"artist": one.artist, "source": one.source, "licence": one.licence} for one in styles.values()]
    common = {key: word for key, word in rows[0].items() if len(rows) > 1 and all(row[key] == word for row in rows)}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("style", overflow="fold")
    for heading in [key for key in rows[0] if key not in common]:
        table.add_column(heading, overflow="fold")
    for name, row in zip(styles, rows, strict=True):
        table.add_row(*(_plain(word) for word in (name, *(row[key] for key in row if key not in common))))
    Console(highlight=False).print(table)
    told = "; ".join(word for word in common.values() if word)
    if told:
        typer.echo(f"\nall: {told}")


def show_style(style: "Style", near: list[tuple[str, float]]) -> None:
    """One style. near: names of the library's nearest, with the distance in their code."""
    rows = {
        "name": style.name,
        "artist": style.artist,
        "source": style.source,
        "licence": style.licence,
        "model": style.model,
        "preview": f"{len(style.preview)} bytes" if style.preview else "none",
        "nearest": ", ".join(f"{name} ({distance:.2f})" for name, distance in near),
    }
    for key, value in rows.items():
        typer.echo(f"{key:9}{value or '-'}")


def show_health(health: "Health") -> None:
    """What the doctor found."""
    from upbrush.doctor import PARTS

    for name, version in health.system.items():
        typer.echo(f"{name:18}{version}")
    typer.echo()
    for name, found in health.parts.items():
        typer.echo(f"{name:18}{found or 'not installed'} ({PARTS[name]})")
    typer.echo(f"\nmodel             {health.identity or 'cannot be opened'} in {health.model_dir}")
    for name, size in health.files.items():
        shown = "missing" if size is None else f"{size / 1e6:.2f} MB"
        typer.echo(f"  {name:16}{shown}")
    typer.echo(f"  {'library':16}{health.styles} styles\n")
    for speed in health.speeds:
        rate = f"{speed.megapixels:.1f} megapixels of output a second" if speed.megapixels else speed.error
        typer.echo(f"{speed.engine:18}{speed.version}, {speed.provider}: {rate}")
    if health.speeds:
        typer.echo("upbrush paint runs onnxruntime unless --engine names another")
    for sentence in health.advice:
        typer.echo(f"advice: {sentence}")
    if health.problem is None:
        typer.echo("all is well")


def _plain(word: str) -> str:
    """A word that rich takes as it stands."""
    from rich.markup import escape

    return escape(word)
