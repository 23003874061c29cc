"""Files and folders in, files out: what is to be painted, what is done already, and a bad file apart from the rest."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePath
from typing import IO

from upbrush import picture, saving
from upbrush.errors import ConfigError, OutOfMemoryError, PictureError, UpbrushError
from upbrush.folders import places
from upbrush.knobs import Knobs
from upbrush.painter import Painter
from upbrush.picture import Picture

STREAM = Path("-")  # standard input as a source, standard output as a target
# What a folder is searched for. A file that is called otherwise can still be given by its name.
PICTURE_SUFFIXES = {
    *(".apng", ".avif", ".avifs", ".bmp", ".dds", ".dib", ".gif", ".heic", ".heif", ".hif", ".ico", ".j2k", ".jfif"),
    *(".jp2", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm"),
    *(".psd", ".qoi", ".sgi", ".tga", ".tif", ".tiff", ".webp"),
}


@dataclass(frozen=True)
class Saved:
    """How results are written: see `picture.write`. format: by its name, None for the target's suffix.

    explain: whether a map of what was invented is written beside each.
    """

    format: str | None = None
    quality: int = 95
    overwrite: bool = False
    explain: bool = False


@dataclass(frozen=True)
class Job:
    """One picture to paint."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Plan:
    """What is to be painted.

    done: how many pictures need nothing, because their target is there. ignored: how many files of the folders are no
    pictures.
    """

    jobs: tuple[Job, ...]
    done: int = 0
    ignored: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a job went. error: None where it was painted."""

    job: Job
    error: UpbrushError | None = None


def plan(inputs: Sequence[str], out: str, saved: Saved) -> Plan:
    """Say which pictures are to be painted and where to.

    inputs: paths of files and folders, or "-" for standard input. out: a file for one picture, a folder otherwise, or
    "-" for standard output. A folder's tree is kept, and what is there already is done. A file that was named and is
    there already is an error: nobody should take an old picture for the new one.
    Raises ConfigError for inputs and an output that do not go together, PictureError for a format that cannot be
    written and for an output that nothing can be written to: all before any painting.
    """
    suffix = suffix_of(saved.format)
    if out == "-":
        if len(inputs) > 1 or _is_folder(inputs[0]):
            raise ConfigError("standard output takes one picture; give a folder for several")
        if saved.explain:
            raise ConfigError("--explain writes a second file, and standard output takes one; give the name of a file")
        return Plan((Job(Path(inputs[0]), STREAM),))
    if not _wants_folder(inputs, out):
        return _plan_file(Job(Path(inputs[0]), Path(out)), saved)
    if "-" in inputs:
        raise ConfigError(f"{out}: a picture from standard input has no name; give a file to write it to")
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        if len(inputs) > 1 or _is_folder(inputs[0]):
            raise ConfigError(f"{out}: is a file; several pictures need a folder")
        raise ConfigError(f"{out}: is a file, and has no suffix to tell the format; choose another, as in {out}.png")
    jobs, ignored = _pairs(inputs, folder, suffix)
    _refuse_clashes(jobs, saved.overwrite)
    probe(folder)
    left = tuple(job for job in jobs if saved.overwrite or not job.target.exists())
    if saved.explain:
        _check_maps([job.target for job in left], saved)
    return Plan(left, len(jobs) - len(left), ignored)


def run(
    jobs: Sequence[Job],
    painter: Painter,
    knobs: Knobs,
    saved: Saved,
    *,
    stdin: IO[bytes],
    stdout: IO[bytes],
    begun: Callable[[Job], None] = lambda job: None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Outcome]:
    """Paint one job after the other and say how each went; a picture that fails does not stop the others.

    stdin, stdout: what "-" stands for. begun: called before each job. progress: called with tiles done and in all.
    A style or a model that does not work fails for every picture, so those errors are raised.
    """
    note = knobs.note(painter.engine.identity)
    for job in jobs:
        begun(job)
        try:
            source = picture.read(stdin if job.source == STREAM else job.source)
            if saved.explain:
                painted = _explained(source, painter, knobs, job, progress)
            else:
                painted = knobs.paint(painter, source, progress)
            del source  # what is written may be large
            if job.target == STREAM:
                picture.write(painted, stdout, note=note, format=saved.format or "png", quality=saved.quality)
            else:
                _make_folder(job.target.parent)
                picture.write(painted, job.target, note=note, overwrite=saved.overwrite, quality=saved.quality)
        except (PictureError, ConfigError, OutOfMemoryError) as error:
            yield Outcome(job, _named(error, job))
        except MemoryError:
            yield Outcome(job, _named(OutOfMemoryError("does not fit into memory; enlarge it less"), job))
        else:
            yield Outcome(job)


def _check_maps(targets: Sequence[Path], saved: Saved) -> None:
    """Refuse, before any painting, what would stand in the way of a map."""
    from upbrush.explain import beside  # here and below: painting alone needs none of it, and starts sooner

    beside.check(targets, saved.overwrite)


def _explained(
    source: Picture, painter: Painter, knobs: Knobs, job: Job, progress: Callable[[int, int], None] | None
) -> Picture:
    """Paint a picture, and write the map of what was invented beside where it will be."""
    from upbrush.explain import beside, invention

    def paint(painter: Painter, asked: Picture, fidelity: float, progress: invention.Told) -> Picture:
        return replace(knobs, fidelity=fidelity).paint(painter, asked, progress)

    painted, found = invention.examine(painter, source, paint, knobs.fidelity, progress=progress)
    _make_folder(job.target.parent)
    # Before the painting: a picture whose painting is there is done, and will be skipped.
    note = knobs.note(painter.engine.identity)
    beside.write(found, painted, job.target, note, job.source.name, knobs.style is not None)
    return painted


def _named(error: UpbrushError, job: Job) -> UpbrushError:
    """The error with the picture's name in front, unless it begins with that or the output's already."""
    name = source_words(job)
    target = "standard output" if job.target == STREAM else str(job.target)
    known = str(error).startswith((f"{name}: ", f"{target}: "))
    return error if known else type(error)(f"{name}: {error}")


def source_words(job: Job) -> str:
    """What to call the picture of a job in messages."""
    return "standard input" if job.source == STREAM else str(job.source)


def _is_folder(name: str) -> bool:
    return name != "-" and Path(name).is_dir()


def _wants_folder(inputs: Sequence[str], out: str) -> bool:
    several = len(inputs) > 1 or _is_folder(inputs[0])
    # A name without a suffix is a folder to be made: nobody calls a picture "results".
    return several or Path(out).is_dir() or out.endswith(("/", os.sep)) or not Path(out).suffix


def _plan_file(job: Job, saved: Saved) -> Plan:
    target = job.target
    try:
        kind = saving.format_name(target.suffix)
    except PictureError as error:
        raise PictureError(f"{target}: {error}") from None
    if saved.format is not None and saving.format_name(saved.format) != kind:
        raise ConfigError(f"{target}: is the name of {kind}, the format asked for is {saved.format}; drop one of them")
    _refuse_clashes([job], saved.overwrite)
    if target.exists() and not saved.overwrite:
        raise PictureError(f"{target}: is there already; choose another name, or give --overwrite")
    if saved.explain:
        _check_maps([target], saved)
    probe(target.parent)
    return Plan((job,))


def result_name(path: PurePath, suffix: str | None) -> PurePath:
    """What the painting of a file is called. suffix: of the format asked for, or None for the file's own."""
    if suffix:
        return path.with_suffix(suffix)
    return path if path.suffix.lower() in _writable() else path.with_suffix(".png")


@cache
def _writable() -> frozenset[str]:
    """Asked once: looking for plugins would take longer than listing a folder."""
    return frozenset(saving.writable_suffixes())


@cache
def suffix_of(format: str | None) -> str | None:
    """The suffix of a format by its name, None for none. Raises PictureError for one that cannot be written."""
    return None if format is None else saving.FORMATS[saving.format_name(format)].suffixes[0]


def _pairs(inputs: Sequence[str], out: Path, suffix: str | None) -> tuple[list[Job], int]:
    """Sources with their targets, each once, and how many files are no pictures."""
    jobs, ignored = [], 0
    for given in map(Path, inputs):
        if not given.is_dir():
            jobs.append(Job(given, out / result_name(PurePath(given.name), suffix)))
            continue
        for found in places.files(str(given), without=str(out)):
            if Path(found.name).suffix.lower() in PICTURE_SUFFIXES:
                jobs.append(Job(Path(found.place), out / result_name(PurePath(found.name), suffix)))
            else:
                ignored += 1
    return list(dict.fromkeys(jobs)), ignored


def _refuse_clashes(jobs: Sequence[Job], overwrite: bool) -> None:
    """No two sources become one file, and none is replaced by a painting."""
    taken: dict[Path, Path] = {}
    originals = {places.identity(str(job.source)) for job in jobs if job.source != STREAM} - {None}
    for job in jobs:
        if job.source != STREAM and places.same(str(job.source), str(job.target)):
            raise ConfigError(f"{job.source}: would be replaced by its own painting; choose another output")
        if overwrite and places.identity(str(job.target)) in originals:
            raise ConfigError(f"{job.target}: is to be painted itself and would be replaced; choose another output")
        other = taken.setdefault(job.target, job.source)
        if other != job.source:
            raise ConfigError(f"{other} and {job.source} would both become {job.target}; paint them into two folders")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"{folder}: cannot be made ({error.strerror}); choose another output") from None


def probe(folder: Path) -> None:
    """Make the output folder, and see that a file can be written there, before time is spent on painting."""
    _make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PictureError(f"{folder}: cannot be written to ({error.strerror}); choose another output") from None
