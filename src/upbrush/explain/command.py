"""`upbrush explain` as the command line has it: words in, one page a picture out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from upbrush.console import INTERRUPTED, SOME_FAILED, USER_ERROR, EngineName, Model, Overwrite, Threads, complain, need
from upbrush.errors import ConfigError, OutOfMemoryError, PictureError, WeightsError

if TYPE_CHECKING:
    import numpy as np

    from upbrush.explain.findings import Account, Question
    from upbrush.painter import Painter
    from upbrush.styles import Style
    from upbrush.tiles import Box

GRADIENTS = ("torch", "captum", "matplotlib", "safetensors", "pydantic")
PAGE = ".html"


@dataclass(frozen=True)
class Task:
    """A picture and its page."""

    source: Path
    page: Path

    def beside(self, suffix: str) -> Path:
        """A file that goes with the page."""
        return self.page.with_name(self.page.stem + suffix)


def explain(
    inputs: Annotated[list[str], typer.Argument(metavar="IN", help="Small pictures and folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A page, as in photo.html; a folder for several.")],
    style: Annotated[str | None, typer.Option("--style", "-s", help="As upbrush paint has it; best a picture.")] = None,
    strength: Annotated[float | None, typer.Option(min=0, max=1, help="0 restores, 1 repaints (default).")] = None,
    fidelity: Annotated[float, typer.Option(min=0, max=1, help="1 is least error, 0 is sharpest.")] = 0.5,
    region: Annotated[
        str | None, typer.Option(help="left,top or left,top,width,height in output pixels: what was it drawn from?")
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="The true large picture, where there is one.")] = None,
    faces: Annotated[
        Path | None, typer.Option(envvar="UPBRUSH_FACES", help="Folder of the face networks, for identity.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="weights.safetensors of the model; those beside its files if left out.")
    ] = None,
    gradients: Annotated[
        bool, typer.Option("--gradients/--no-gradients", help="Without: no torch needed, and three sections less.")
    ] = True,
    memory: Annotated[str, typer.Option(help="About what painting may take, beside the program.")] = "1GB",
    threads: Threads = None,
    engine: EngineName = "auto",
    model: Model = None,
    overwrite: Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:  # fmt: skip
    """Say, on one page a picture, what was measured in it and what was invented.

    Writes the page, its numbers (.json), the map (.explain.png), and what one place was drawn from (.lam.png). Pages
    that are there already are skipped in a folder, so a run that was stopped goes on where it was.
    """
    if gradients:
        need("measure", *GRADIENTS)
    if faces is not None:
        need("measure", "cv2")
    from upbrush.engine import open_engine
    from upbrush.painter import Painter

    if style is None and strength:
        raise ConfigError("--strength goes with a style; give one, as in --style monet")
    if not gradients and (region or weights):
        named = "--region" if region else "--weights"
        raise ConfigError(f"{named} is for gradients, and --no-gradients leaves them out; drop one of the two")
    box = parse_region(region) if region is not None else None
    tasks, done = plan(inputs, out, overwrite)
    if truth is not None and len(tasks) + done > 1:
        raise ConfigError("--truth is of one picture; explain pictures with truths one by one")
    painter = Painter(open_engine(engine, model, threads), memory=memory)
    question = _question(painter, style, strength, fidelity, box)
    if gradients:
        question = _with_gradients(question, weights, threads)
    if faces is not None:
        question = _with_faces(question, faces)
    _explain_all(tasks, done, question, truth, overwrite, quiet)


def parse_region(text: str) -> "Box":
    """Read left,top[,width,height]. Raises ConfigError."""
    from upbrush.explain.inquiry import REGION_PX
    from upbrush.tiles import Box

    parts = text.split(",")
    try:
        left, top, *size = (int(part) for part in parts)
        width, height = size or (REGION_PX, REGION_PX)
    except ValueError:
        raise ConfigError(
            f"--region {text}: expected left,top or left,top,width,height in whole output pixels, as in 200,120"
        ) from None
    return Box(top, left, top + height, left + width)


def plan(inputs: Sequence[str], out: Path, overwrite: bool) -> tuple[list[Task], int]:
    """The pictures with their pages, and how many pages are there already.

    Raises ConfigError for inputs and an output that do not go together, PictureError for a page that is there.
    """
    from upbrush import batch

    if "-" in inputs:
        raise ConfigError("a page needs the name of its picture; give a file instead of standard input")
    alone = len(inputs) == 1 and not Path(inputs[0]).is_dir()
    if alone and out.suffix.lower() in (PAGE, ".htm"):
        task = Task(Path(inputs[0]), out)
        for path in (task.page, *(task.beside(suffix) for suffix in (".json", ".explain.png", ".lam.png"))):
            if path.exists() and not overwrite:
                raise PictureError(f"{path}: is there already; choose another name, or give --overwrite")
        return [task], 0
    if out.suffix and not out.is_dir():
        wanted = "a page is called something.html" if alone else "several pictures need a folder"
        raise ConfigError(f"{out}: {wanted}; give another --out")
    # As painting plans it: the folder's tree, nothing twice, and whether anything can be written there.
    jobs = batch.plan(inputs, f"{out}/", batch.Saved("png", overwrite=True)).jobs
    tasks = [Task(job.source, job.target.with_suffix(PAGE)) for job in jobs]
    left = [task for task in tasks if overwrite or not task.page.exists()]
    return left, len(tasks) - len(left)


def _question(
    painter: "Painter", style: str | None, strength: float | None, fidelity: float, region: "Box | None"
) -> "Question":
    """What is asked, without what needs more than the light half."""
    from upbrush import styles
    from upbrush.explain.findings import Question

    if style is None:
        return Question(painter, None, 0.0, fidelity, region=region)
    chosen = styles.resolve(style, painter.engine)
    reference = _reference(style, chosen, painter)
    return Question(painter, chosen, 1.0 if strength is None else strength, fidelity, reference, region)


def _reference(words: str, chosen: "Style", painter: "Painter") -> "np.ndarray | None":
    """The picture that a style was made from just now; None for a name, a .style file, a blend or a drawn one."""
    import numpy as np

    from upbrush import picture, styles

    path = Path(words)
    if path.suffix == styles.SUFFIX or not path.is_file():
        return None
    pixels = styles.plain_pixels(picture.read(path))
    # A file may be called like a style of the library, and the library goes first.
    own = painter.engine.encode(pixels)
    return pixels if own.shape == chosen.code.shape and np.allclose(own, chosen.code, atol=1e-3) else None


def _with_gradients(question: "Question", weights: Path | None, threads: int | None) -> "Question":
    import torch

    from upbrush.explain.scene import open_generator

    engine = question.painter.engine
    if weights is None:
        weights = Path(getattr(engine, "model_dir", ".")) / "weights.safetensors"
        if not weights.is_file():
            raise WeightsError(
                f"{weights}: not found, and gradients need it; give --weights with the file that the model was "
                "exported from, or --no-gradients"
            )
    if threads is not None:
        torch.set_num_threads(threads)
    return replace(question, generator=open_generator(weights, engine))


def _with_faces(question: "Question", folder: Path) -> "Question":
    from upbrush.measure.faces import Faces

    return replace(question, faces=Faces(folder))


def _explain_all(
    tasks: list[Task], done: int, question: "Question", truth: Path | None, overwrite: bool, quiet: bool
) -> None:
    """Write a page for each picture, showing how far it is; ends with the exit code that is due."""
    from upbrush.explain.inquiry import inquire
    from upbrush.screen import Notes, ticker

    written, failed, alone = 0, 0, len(tasks) == 1 and not done
    try:
        with ticker(len(tasks), quiet) as tick, Notes(tick) as notes:
            for task in tasks:
                notes.picture = name = str(task.source)

                def told(stage: str, name: str = task.source.name) -> None:
                    tick.begin(f"{name}: {stage}")

                try:
                    account = inquire(task.source, question, truth=truth, told=told, progress=tick.tile)
                    write(account, task, overwrite)
                except (PictureError, ConfigError, OutOfMemoryError) as error:
                    failed += 1
                    tick.complain(str(error) if name in str(error) else f"{name}: {error}")
                else:
                    written += 1
                tick.end()
    except KeyboardInterrupt:
        complain(f"stopped; {written} of {len(tasks)} explained, the same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None
    if not alone:
        skipped = f", skipped {done} (there already; --overwrite makes them again)" if done else ""
        if failed or not quiet:
            complain(f"explained {written}{skipped}" + (f", failed {failed}" if failed else ""))
    if failed:
        raise typer.Exit(USER_ERROR if alone else SOME_FAILED)


def write(account: "Account", task: Task, overwrite: bool) -> None:
    """Write all files of a task, each whole or not at all; the page comes last, so where it is, all are.

    Raises PictureError where one cannot be written.
    """
    from upbrush import picture, saving
    from upbrush.explain import beside, page, pictures

    def store(path: Path, text: str) -> None:
        def save(file: IO[bytes]) -> None:
            file.write(text.encode())

        saving.store(path, save, overwrite=True)

    if task.page.exists() and not overwrite:
        raise PictureError(f"{task.page}: is there already; choose another name, or give --overwrite")
    task.page.parent.mkdir(parents=True, exist_ok=True)
    plot = None
    if account.response is not None:
        from upbrush.explain.figures import response_plot

        plot = response_plot(account.response)
    drawn = beside.draw(account.invention, account.painted, account.name, account.style is not None)
    picture.write(picture.from_image(drawn), task.beside(".explain.png"), note=beside.NOTE, overwrite=True)
    if account.dependence is not None:
        shown = pictures.dependence_map(account.source, account.dependence)
        picture.write(picture.from_image(shown), task.beside(".lam.png"), note={"explains": "lam"}, overwrite=True)
    store(task.beside(".json"), json.dumps(account.numbers(), indent=1, ensure_ascii=False) + "\n")
    store(task.page, page.page(account, plot))
