"""The command line: words in, one call out, an exit code.

Every command imports what it needs when it runs, so that --help is instant. A mistake of the user's is one line on
standard error and exit code 2; a batch in which some pictures failed ends with 1, an interrupted one with 130.
"""

import logging
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from upbrush.console import (
    INTERRUPTED,
    SOME_FAILED,
    TERMINATED,
    USER_ERROR,
    EngineName,
    Fidelity,
    FormatName,
    KeepColours,
    Memory,
    Model,
    Name,
    Overwrite,
    Quality,
    Quiet,
    Scale,
    Seed,
    Size,
    Strength,
    Threads,
    Wrap,
    complain,
    group,
    need,
    style_wanted,
)
from upbrush.errors import ConfigError, StyleError, WeightsError
from upbrush.explain import command as explaining
from upbrush.folders.command import batch as many
from upbrush.measure.command import compare, evaluate
from upbrush.survey.command import survey_app
from upbrush.video.command import video
from upbrush.web.command import serve

if TYPE_CHECKING:
    import numpy as np

    from upbrush.batch import Job, Plan, Saved
    from upbrush.knobs import Knobs
    from upbrush.painter import Painter
    from upbrush.styles import Style

TRAINING = ("torch", "lightning_fabric", "safetensors", "pydantic", "onnx", "webdataset")

app = group("Enlarge pictures four times, restored as they are or repainted in the style of another.")
style_app = group("Make, blend and look at styles.")
app.add_typer(style_app, name="style")
app.add_typer(survey_app, name="survey")
app.command()(explaining.explain)
app.command("batch")(many)


def main() -> NoReturn:
    """The `upbrush` program."""
    logging.basicConfig(format="upbrush: %(message)s")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))  # so that half-written files are removed
    try:
        app(prog_name="upbrush")
    except KeyboardInterrupt:  # while modules were being imported
        sys.exit(INTERRUPTED)
    raise AssertionError("typer exits by itself")


def tell_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        from upbrush import __version__

        typer.echo(f"upbrush {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before any command."""


@app.command()
def paint(
    inputs: Annotated[list[str], typer.Argument(metavar="IN", help="Pictures and folders; - is standard input.")],
    out: Annotated[str, typer.Option("--out", "-o", help="A file, a folder, or - for standard output.")],
    style: Annotated[
        str | None, typer.Option("--style", "-s", help="A name, a picture, a .style, random, monet:.7,klimt:.3")
    ] = None,
    strength: Strength = None,
    fidelity: Fidelity = 0.5,
    keep_colours: KeepColours = False,
    scale: Scale = None,
    size: Size = None,
    wrap: Wrap = False,
    stereo: Annotated[str | None, typer.Option(help="Two eyes: side (by side) or over (one the other).")] = None,
    memory: Memory = "1GB",
    threads: Threads = None,
    engine: EngineName = "auto",
    model: Model = None,
    overwrite: Overwrite = False,
    format: FormatName = None,
    quality: Quality = 95,
    seed: Seed = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Write beside each result a map of what was invented; six times the work.")
    ] = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Enlarge pictures: restored, or repainted with --style.

    A folder is searched through and its tree is kept. What is there already is skipped, so a run that was stopped
    goes on where it was.
    """
    from upbrush import batch, sizes, styles
    from upbrush.engine import open_engine
    from upbrush.knobs import Knobs
    from upbrush.painter import Painter

    wanted = style_wanted(style, seed, strength, keep_colours)
    if size is not None:  # one that cannot be read fails here, not once for every picture; no picture is so large
        sizes.target_size(2**31, 2**31, scale, size)
    saved = batch.Saved(format, quality, overwrite, explain)
    plan = batch.plan(inputs, out, saved)
    if out == "-" and sys.stdout.isatty():
        raise ConfigError("a picture is not for a terminal to show; redirect standard output, or give a file")
    if not plan.jobs:
        summarise(plan, 0, 0, quiet)
        return
    painter = Painter(open_engine(engine, model, threads), memory=memory)
    chosen = styles.resolve(wanted, painter.engine) if wanted is not None else None
    strength = 0.0 if chosen is None else 1.0 if strength is None else strength
    paint_plan(plan, painter, Knobs(chosen, strength, fidelity, keep_colours, scale, size, wrap, stereo), saved, quiet)


def paint_plan(plan: "Plan", painter: "Painter", knobs: "Knobs", saved: "Saved", quiet: bool) -> None:
    """Paint what is planned, showing how far it is; ends with the exit code that is due."""
    from upbrush import batch
    from upbrush.screen import Notes, ticker

    painted, failed = 0, 0
    alone = len(plan.jobs) == 1 and not plan.done
    try:
        with ticker(len(plan.jobs), quiet) as tick, Notes(tick) as notes:

            def begun(job: "Job") -> None:
                notes.picture = batch.source_words(job)
                tick.begin(job.source.name)

            outcomes = batch.run(
                plan.jobs, painter, knobs, saved, stdin=sys.stdin.buffer, stdout=sys.stdout.buffer,
                begun=begun, progress=tick.tile,
            )  # fmt: skip
            for outcome in outcomes:
                tick.end()
                if outcome.error is None:
                    painted += 1
                else:
                    failed += 1
                    tick.complain(str(outcome.error))
    except KeyboardInterrupt:
        told = f"{painted} of {len(plan.jobs)} painted, the same command goes on from there"
        complain(f"stopped; {'nothing was written' if alone else told}")
        raise typer.Exit(INTERRUPTED) from None
    if not alone:
        summarise(plan, painted, failed, quiet)
    if failed:
        raise typer.Exit(USER_ERROR if alone else SOME_FAILED)


def summarise(plan: "Plan", painted: int, failed: int, quiet: bool) -> None:
    """One line about a batch."""
    parts = [f"painted {painted}"]
    if plan.done:
        parts.append(f"skipped {plan.done} (there already; --overwrite paints them again)")
    if plan.ignored:
        parts.append(f"left out {plan.ignored} (not pictures)")
    if failed:
        parts.append(f"failed {failed}")
    if failed or not quiet:
        complain(", ".join(parts))


@app.command("styles")
def list_styles(
    sheet: Annotated[Path | None, typer.Option(help="A picture file for their previews, on one page.")] = None,
    model: Model = None,
    overwrite: Overwrite = False,
) -> None:
    """List the built-in styles."""
    from upbrush import picture, styles
    from upbrush.screen import show_styles

    library = styles.library(model)
    if not library:
        raise StyleError("the model has no library of styles; reinstall upbrush")
    if sheet is not None:  # first, so that an error is not looked for behind a long list
        picture.write(picture.from_image(styles.sheet(library)), sheet, overwrite=overwrite)
    show_styles(library)
    if sheet is not None:
        typer.echo(f"\npreviews: {sheet}")


Features = Annotated[
    Path | None, typer.Option(envvar="UPBRUSH_FEATURES", help="VGG19 as safetensors; downloaded if left out.")
]
StyleOut = Annotated[Path, typer.Option("--out", "-o", help="The .style file to write.")]
Words = Annotated[str, typer.Option(help="Kept in the file.")]


@style_app.command("make")
def make_style(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE", help="One picture of the style, or several.")],
    out: StyleOut,
    name: Name = "",
    artist: Words = "",
    source: Words = "",
    licence: Words = "",
    fit: Annotated[bool, typer.Option(help="Nearer to the pictures, by a minute or two of training.")] = False,
    features: Features = None,
    engine: EngineName = "auto",
    model: Model = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a style from pictures; of several, the mean."""
    from upbrush import picture, styles
    from upbrush.engine import MODEL_DIR, open_engine

    refuse_unfit(out, overwrite)
    if fit:
        need("train", *TRAINING)
    opened = open_engine(engine, model)
    pixels = [styles.plain_pixels(picture.read(path)) for path in pictures]
    style = styles.make(pixels, opened, name or out.stem, artist=artist, source=source, licence=licence)
    if fit:
        style = fitted(style, pixels, model or MODEL_DIR, features)
    styles.write(replace(style, preview=styles.preview(style, opened)), out, overwrite)
    typer.echo(f"{out}: {style.name}, of {len(pictures)} picture{'s' * (len(pictures) > 1)}")


def fitted(style: "Style", pictures: "list[np.ndarray]", model: Path, features: Path | None) -> "Style":
    """The style with mods of its own, learnt with a bar of progress."""
    from upbrush import config, fitting
    from upbrush.engine import MODEL_DIR
    from upbrush.nn.features import load

    settings = config.load(MODEL_DIR / "fit.toml")
    with typer.progressbar(length=settings.train.steps, label=f"fitting {style.name}", file=sys.stderr) as bar:
        return fitting.fit(style, pictures, settings, model, load(features), told=lambda _: bar.update(1))


@style_app.command("blend")
def blend_styles(
    blend: Annotated[str, typer.Argument(metavar="BLEND", help="As in monet:0.7,klimt:0.3.")],
    out: StyleOut,
    name: Name = "",
    engine: EngineName = "auto",
    model: Model = None,
    overwrite: Overwrite = False,
) -> None:
    """Blend styles, or keep a random one, as a .style file."""
    from upbrush import styles
    from upbrush.engine import open_engine

    refuse_unfit(out, overwrite)
    opened = open_engine(engine, model)
    style = styles.resolve(blend, opened)
    style = replace(style, name=name or style.name, preview=styles.preview(style, opened))
    styles.write(style, out, overwrite)
    typer.echo(f"{out}: {style.name}")


@style_app.command("show")
def show_style(
    style: Annotated[str, typer.Argument(metavar="STYLE", help="Anything that paint --style takes.")],
    preview: Annotated[Path | None, typer.Option(help="A picture file for its preview.")] = None,
    model: Model = None,
    overwrite: Overwrite = False,
) -> None:
    """Show what a style is, where it comes from and which built-in styles are nearest."""
    from upbrush import picture, screen, styles
    from upbrush.engine import open_engine

    engine = open_engine(model_dir=model)
    found = styles.resolve(style, engine)
    if preview is not None:
        shown = found.preview or styles.preview(found, engine)
        picture.write(picture.read(shown), preview, overwrite=overwrite)
    screen.show_style(found, styles.nearest(found, styles.library(model))[:3])


def refuse_unfit(path: Path, overwrite: bool) -> None:
    """See that a style file may be written, before work is done for it."""
    from upbrush import styles

    styles.check_suffix(path)
    if path.exists() and not overwrite:
        raise StyleError(f"{path}: is there already; choose another name, or give --overwrite")


@app.command()
def train(
    data: Annotated[
        list[str], typer.Option(help="Folder of pictures, tar, pattern or address of tars; again for more.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder; an unfinished run in it goes on.")],
    recipe: Annotated[
        Path | None, typer.Argument(help="A recipe.toml: see recipes/. Left out, --from is tuned to your pictures.")
    ] = None,
    features: Features = None,
    faces: Annotated[
        Path | None, typer.Option(envvar="UPBRUSH_FACES", help="Folder of face networks, for loss.identity.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help='Weights to start from; "shipped" are those that come with upbrush.')
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after so long; run again to go on.")] = None,
    devices: Annotated[int | None, typer.Option(min=1, help="GPUs, or processes without; all if left out.")] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Machines; start each by torchrun.")] = 1,
    changes: Annotated[list[str] | None, typer.Option("--set", help="As train.steps=2000; may be given again.")] = None,
) -> None:  # fmt: skip
    """Train a generator by a recipe, or tune one to your own pictures."""
    need("train", *TRAINING)
    from upbrush import config, train
    from upbrush.engine import MODEL_DIR

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    if recipe is None and start is None:
        raise ConfigError("no recipe, and no weights to tune; give a recipe.toml, or --from shipped")
    begin = None if start is None else MODEL_DIR / "weights.safetensors" if start == "shipped" else Path(start)
    settings = config.load(recipe or MODEL_DIR / "tune.toml", changes or [])
    if recipe is None and begin is not None:
        from upbrush import weights

        settings = settings.model_copy(update={"model": weights.load(begin)[1].model})
    networks = {"features": features, "faces": faces}
    path = train.run(settings, data, out, **networks, start=begin, minutes=minutes, devices=devices, nodes=nodes)
    typer.echo(path)


@app.command()
def export(
    weights: Annotated[Path, typer.Argument(help="weights.safetensors of a run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the model's files.")],
) -> None:
    """Write the files that painting uses, checked against the weights."""
    need("train", *TRAINING)
    from upbrush import export, styles

    for path in export.export(weights, out):
        typer.echo(f"{path}  {path.stat().st_size / 1e6:.2f} MB")
    if library := styles.library(out):
        typer.echo(f"{out / 'library'}  {len(library)} styles")


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the pictures.")] = Path("demo"),
    engine: EngineName = "auto",
    model: Model = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and where to look.")] = False,
) -> None:
    """Restore and repaint photographs in eight styles, to look at."""
    from upbrush import demo, styles
    from upbrush.engine import open_engine
    from upbrush.painter import Painter

    painter = Painter(open_engine(engine, model))
    sheets = demo.run(out, painter, styles.library(model), lambda name: None if quiet else typer.echo(name, err=True))
    typer.echo(f"look at {sheets[0]}" + "".join(f"\n    and {path}" for path in sheets[1:]))


@app.command()
def doctor(threads: Threads = None, model: Model = None) -> None:
    """Tell what is installed, whether the model is whole, and how fast it paints here."""
    from upbrush import doctor
    from upbrush.screen import show_health

    health = doctor.examine(model, threads)
    show_health(health)
    if health.problem is not None:
        raise WeightsError(health.problem)


for command in (evaluate, compare, serve, video):
    app.command()(command)
