"""What every command shares: how errors are told, how groups look, options that mean the same everywhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from upbrush.errors import ConfigError, UpbrushError

USER_ERROR, SOME_FAILED, INTERRUPTED, TERMINATED = 2, 1, 130, 143
# Wrong words. By its version Typer brings a copy of Click or needs Click itself; this name is in both.
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])


class Commands(TyperGroup):
    """A group of commands that shows our own errors, and wrong words, in one line."""

    def make_context(self, *words: Any, **extra: Any) -> Any:
        """Read the words; wrong ones end with exit code 2."""
        with one_line_errors():
            return super().make_context(*words, **extra)

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run the command; an UpbrushError ends it with exit code 2."""
        with one_line_errors():
            return super().invoke(ctx)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End with exit code 2 and one line for a mistake of the user's."""
    try:
        yield
    except UpbrushError as error:
        complain(str(error))
        raise typer.Exit(USER_ERROR) from None
    except UsageError as error:
        if "\n" in error.message:  # no words at all: the help is shown
            raise
        path = error.ctx.command_path if error.ctx else "upbrush"
        complain(f"{error.format_message().rstrip('.')} (see `{path} -h`)")
        raise typer.Exit(USER_ERROR) from None


def group(help: str) -> typer.Typer:
    """A group of commands, plain: no completion, no boxes, no tracebacks in colour."""
    return typer.Typer(
        cls=Commands, help=help, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip


Threads = Annotated[int | None, typer.Option(min=1, help="Threads of the engine; all cores if left out.")]
EngineName = Annotated[str, typer.Option("--engine", help="onnxruntime, cuda, openvino or openvino-bf16.")]
Model = Annotated[
    Path | None, typer.Option("--model", envvar="UPBRUSH_MODEL", help="Folder of a model of `upbrush export`.")
]
# What pictures are painted with
Strength = Annotated[float | None, typer.Option(min=0, max=1, help="0 restores, 1 repaints (default).")]
Fidelity = Annotated[float, typer.Option(min=0, max=1, help="1 is least error, 0 is sharpest.")]
KeepColours = Annotated[bool, typer.Option("--keep-colours", help="Repaint strokes only.")]
Scale = Annotated[float | None, typer.Option(min=1, max=16, help="How many times larger; 4 if left out.")]
Size = Annotated[str | None, typer.Option(help="3000x2000, long:3000, short:2000 or fit:3000x2000.")]
Wrap = Annotated[bool, typer.Option("--wrap", help="360°, equirectangular: right and left edge meet.")]
Memory = Annotated[str, typer.Option(help="About what painting may take, beside the program.")]
FormatName = Annotated[str | None, typer.Option(help="png, jpeg, webp or tiff; the input's if left out.")]
Quality = Annotated[int, typer.Option(min=1, max=100, help="Of JPEG and WebP.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Of --style random.")]
# Where it goes, and what is told
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]
Name = Annotated[str, typer.Option("--name", help="What to call the style; its file's name if left out.")]


def need(extra: str, *packages: str) -> None:
    """Say how to get the packages of one of pyproject.toml's extras, where any is missing."""
    from importlib.util import find_spec

    missing = [name for name in packages if not find_spec(name)]
    if missing:
        raise ConfigError(f'{", ".join(missing)}: not installed; this needs pip install "upbrush[{extra}]"')


def complain(message: str) -> None:
    """One line on standard error."""
    from upbrush.screen import one_line

    typer.echo(one_line(message), err=True)


def style_wanted(style: str | None, seed: int | None, strength: float | None, keep_colours: bool) -> str | None:
    """The style's words, with the seed in them; refuses knobs of a style where there is none."""
    if style is None and (strength or keep_colours or seed is not None):
        knob = "--strength" if strength else "--keep-colours" if keep_colours else "--seed"
        raise ConfigError(f"{knob} goes with a style; give one, as in --style monet")
    if seed is None:
        return style
    if style is None or style.lower() != "random":
        raise ConfigError(f"--seed {seed} goes with --style random, found --style {style}")
    return f"random:{seed}"
