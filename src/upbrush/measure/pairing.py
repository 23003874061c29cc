"""Which output belongs to which truth, style and low picture: by name or by a manifest; all faults told at once."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from upbrush.batch import PICTURE_SUFFIXES
from upbrush.errors import ConfigError, DataError, PictureError
from upbrush.measure import pixels

LEAST_PX = 32  # a side; VGG19 halves a picture four times, and SSIM's window is 11
COLUMNS = ("output", "truth", "content", "style", "low")


@dataclass(frozen=True)
class Case:
    """One truth with every method's output for it. outputs: by method."""

    name: str
    outputs: Mapping[str, Path]
    truth: Path
    style: Path | None = None
    low: Path | None = None


@dataclass(frozen=True)
class Names:
    """A case as names within folders, before files are looked for."""

    output: str
    truth: str
    style: str | None
    low: str


def methods(outputs: Sequence[str]) -> dict[str, Path]:
    """Name the methods: NAME=FOLDER as it says, a plain folder by the part of its path that tells it from the others.

    Raises ConfigError for two methods of one name.
    """
    named: dict[str, Path] = {}
    plain = [Path(text) for text in outputs if "=" not in text or Path(text).exists()]
    for text in outputs:
        name, equals, folder = text.partition("=")
        if not equals or Path(text).exists():
            name, folder = _telling(Path(text), plain), text
        if not name or name in named:
            raise ConfigError(f"{text}: two outputs are called {name!r}; name them, as in mine={folder}")
        named[name] = Path(folder)
    return named


def _telling(path: Path, all_paths: Sequence[Path]) -> str:
    """The last part of a path that is not the same in all of them."""
    parts = [one.absolute().parts for one in all_paths]
    mine = path.absolute().parts
    for depth in range(1, len(mine)):
        if len(parts) == 1 or len({one[-depth] if depth <= len(one) else "" for one in parts}) > 1:
            return mine[-depth] if len(parts) > 1 or path.is_dir() else path.stem
    return path.name


def pair(
    outputs: Mapping[str, Path],
    truth: Path,
    *,
    style: Path | None = None,
    low: Path | None = None,
    manifest: Path | None = None,
) -> list[Case]:
    """Find the files of every case, and see from their headers that their sizes agree.

    outputs: a folder for each method, or a single picture. truth, style, low: folders, or single pictures; one style
    may serve all. manifest: a CSV file with a column `truth` (or `content`) and, where needed, `style`, `low` and
    `output`, names within the folders without suffix; by default an output is called as its truth, or content_style.
    Raises DataError that lists every file that is missing, too many, unreadable or of an odd size; ConfigError for a
    manifest that cannot be read.
    """
    if truth.is_file():
        return _checked([_single(outputs, truth, style, low)], [])
    faults: list[str] = []
    found = {name: _index(folder, faults) for name, folder in outputs.items()}
    truths, lows, styles = _index(truth, faults), _index(low, faults), _index(style, faults)
    if faults:
        raise DataError("; ".join(faults))
    several = style is not None and not style.is_file()
    names = listed(manifest, several) if manifest else _same_names(found, truths, faults)
    cases = []
    for one in names:
        files = {name: _take(found[name], one.output, outputs[name], faults) for name in outputs}
        case = Case(one.output, files, _take(truths, one.truth, truth, faults))
        if style is not None:
            wanted = style.stem if style.is_file() else one.style or one.output
            case = replace(case, style=_take(styles, wanted, style, faults))
        if low is not None:
            case = replace(case, low=_take(lows, one.low, low, faults))
        cases.append(case)
    return _checked(cases, faults)


def _single(outputs: Mapping[str, Path], truth: Path, style: Path | None, low: Path | None) -> Case:
    """One picture against one: their names need not agree."""
    others = [path for path in (*outputs.values(), style, low) if path is not None and not path.is_file()]
    if others:
        raise DataError(f"{', '.join(map(str, others))}: no such file, and the truth is one; give files or folders")
    return Case(truth.stem, outputs, truth, style, low)


def _checked(cases: list[Case], faults: list[str]) -> list[Case]:
    """The cases, unless something is wrong with them; sizes are looked at of those that are there."""
    faults = [*faults, *_odd_sizes(cases)]
    if faults:
        raise DataError("; ".join(dict.fromkeys(faults)))
    return cases


def pictures(folder: Path) -> dict[str, Path]:
    """Every picture of a folder by its relative path without suffix, or a file by its name.

    Raises DataError for a folder that is missing, empty, or has two pictures of one name.
    """
    faults: list[str] = []
    found = _index(folder, faults)
    if faults:
        raise DataError("; ".join(faults))
    return found


def _index(folder: Path | None, faults: list[str]) -> dict[str, Path]:
    """Every picture of a folder by its relative path without suffix; of a file, that file."""
    if folder is None:
        return {}
    if folder.is_file():
        return {folder.stem: folder}
    if not folder.is_dir():
        faults.append(f"{folder}: not found; expected a folder of pictures")
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in PICTURE_SUFFIXES or any(p[0] == "." for p in path.relative_to(folder).parts):
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            faults.append(f"{found[name]} and {path.name}: two pictures of one name; keep one")
        found[name] = path
    if not found:
        faults.append(f"{folder}: no pictures in it")
    return found


def _same_names(found: Mapping[str, Mapping[str, Path]], truths: Mapping[str, Path], faults: list[str]) -> list[Names]:
    """Pair by name: every truth has an output, and every output a truth."""
    for method, files in found.items():
        extra = [name for name in files if name not in truths]
        if extra:
            faults.append(
                f"outputs of {method} without a truth: {', '.join(extra)} (remove them, or name by --pairs which count)"
            )
    return [Names(name, name, name, name) for name in truths]


def listed(manifest: Path, styled: bool) -> list[Names]:
    """The rows of a manifest. styled: does each have a style of its own? Raises ConfigError for what cannot be read."""
    try:
        with open(manifest, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{manifest}: cannot be read ({error}); expected a CSV file of pairs") from None
    heads = list(rows[0]) if rows else []
    if not {"truth", "content"} & set(heads):
        raise ConfigError(f"{manifest}: no column truth or content; expected some of {', '.join(COLUMNS)}")
    if styled and not {"style", "output"} & set(heads):
        raise ConfigError(f"{manifest}: no column style, and --style is given; add it, or leave --style out")
    names = []
    for number, row in enumerate(rows, 2):
        cells = {key: _bare(value) for key, value in row.items() if key in COLUMNS and value}
        truth, style = cells.get("truth") or cells.get("content"), cells.get("style")
        if not truth or (styled and not (style or cells.get("output"))):
            raise ConfigError(f"{manifest}: line {number} has no {'style' if truth else 'truth'}; fill it in")
        output = cells.get("output") or (f"{truth}_{style}" if style else truth)
        names.append(Names(output, truth, style, cells.get("low", truth)))
    twice = [name for name, count in Counter(one.output for one in names).items() if count > 1]
    if twice:
        raise ConfigError(f"{manifest}: outputs named twice: {', '.join(twice)}; name each once")
    return names


def _bare(name: str) -> str:
    """A name without a picture's suffix: manifests have it with and without."""
    path = Path(name.strip())
    return path.with_suffix("").as_posix() if path.suffix.lower() in PICTURE_SUFFIXES else path.as_posix()


def _take(files: Mapping[str, Path], name: str, folder: Path, faults: list[str]) -> Path:
    path = files.get(name)
    if path is None:
        faults.append(f"{folder / name}: missing, no picture of that name")
        return folder / name
    return path


def _odd_sizes(cases: Iterable[Case]) -> list[str]:
    """What is wrong with the sizes, read from headers, each file once."""
    faults: list[str] = []
    known: dict[Path, tuple[int, int] | None] = {}

    def size(path: Path) -> tuple[int, int] | None:
        if path not in known:
            known[path] = None
            try:
                if path.is_file():  # one that is missing has been told
                    known[path] = pixels.size(path)
            except PictureError as error:
                faults.append(str(error))
        return known[path]

    for case in cases:
        wanted = size(case.truth)
        if case.style is not None:
            size(case.style)
        if wanted is None:
            continue
        shown = f"{wanted[0]}x{wanted[1]}"
        if min(wanted) < LEAST_PX:
            faults.append(f"{case.truth}: {shown} is too small to measure; expected {LEAST_PX} a side or more")
        for path in case.outputs.values():
            found = size(path)
            if found is not None and found != wanted:
                faults.append(f"{path}: {found[0]}x{found[1]}, but the truth is {shown}")
        low = size(case.low) if case.low is not None else None
        if low is not None and not _is_smaller_copy(low, wanted):
            faults.append(f"{case.low}: {low[0]}x{low[1]} is no smaller {shown}")
    return faults


def _is_smaller_copy(low: tuple[int, int], high: tuple[int, int]) -> bool:
    """Does one whole scale take low to high, up to a pixel of rounding on each side?"""
    scale = (high[0] + high[1]) / (low[0] + low[1])
    return scale >= 1 and all(abs(b / scale - a) <= 1 for a, b in zip(low, high, strict=True))
