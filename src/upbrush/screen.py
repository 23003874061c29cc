"""What the command line shows: results on standard output; progress and errors, in one line, on standard error."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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


def show_styles(styles: "Mapping[str, Style]") -> None:
    """A table of the library."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("style", "artist", "source", "licence"):
        table.add_column(heading, overflow="fold" if heading == "style" else "ellipsis")
    for name, style in styles.items():
        table.add_row(*(_plain(word) for word in (name, style.artist, style.source, style.licence)))
    Console(highlight=False).print(table)


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
