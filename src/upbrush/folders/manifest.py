"""Manifests: a CSV or Parquet table with one row a picture, and what is wrong with a row told by its number."""

import csv
import difflib
import io
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from upbrush.errors import ConfigError, PictureError
from upbrush.folders import places
from upbrush.folders.task import Asked

SUFFIXES = (".csv", ".parquet")
NEEDED = ("input",)
PLACES = ("input", "output")
KNOBS = ("style", "strength", "fidelity", "keep_colours", "scale", "size", "format", "quality", "wrap", "stereo")
WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
ROWS = 10_000  # of Parquet, read at once
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """One row. number: from 1, the heads not counted. fault: what is wrong with it, or None."""

    number: int
    source: str
    output: str
    asked: Asked
    fault: str | None = None


def is_manifest(place: str) -> bool:
    """Whether a place is called like a manifest."""
    return place.lower().endswith(SUFFIXES)


def rows(place: str, asked: Asked) -> Iterator[Row]:
    """The rows of a manifest, in their order, read as they are asked for.

    asked: what counts where a row's cell is empty or there is no such column. A relative input is looked for beside the
    manifest. Raises ConfigError for a table that cannot be read or has no column `input`.
    """
    folder = places.parent(place)
    for number, cells in enumerate(_cells(place), 1):
        source = str(cells.get("input") or "").strip()
        if source and not places.is_address(source):
            source = places.join(folder, source)
        output = str(cells.get("output") or "").strip()
        try:
            if not source:
                raise ConfigError("the input is empty; name a picture")
            yield Row(number, source, output, _asked(cells, asked, folder))
        except ConfigError as error:
            yield Row(number, source, output, asked, f"{place}: row {number}: {error}")


def _asked(cells: Mapping[str, Any], asked: Asked, folder: str) -> Asked:
    """What a row asks for, over what is asked for in general."""
    given: dict[str, Any] = {name: cells[name] for name in KNOBS if not _is_empty(cells.get(name))}
    for name in ("strength", "fidelity", "scale"):
        if name in given:
            given[name] = _number(name, given[name])
    if "quality" in given:
        quality = _number("quality", given["quality"])
        if quality != int(quality):
            raise ConfigError(f"quality {quality:g} is not a whole number in 1…100: 95 is usual")
        given["quality"] = int(quality)
    for name in ("keep_colours", "wrap"):
        if name in given and not isinstance(given[name], bool):
            word = str(given[name]).strip().lower()
            if word not in WORDS:
                raise ConfigError(f"{name} {word!r} is neither true nor false")
            given[name] = WORDS[word]
    for name in ("style", "size", "format", "stereo"):
        if name in given:
            given[name] = str(given[name]).strip()
    style = given.get("style")
    if style and not places.is_address(style) and places.seen(beside := places.join(folder, style)):
        given["style"] = beside if places.is_address(beside) else os.path.abspath(beside)
    if "scale" in given or "size" in given:  # a row's own is instead of the one in general
        given = {"scale": None, "size": None} | given
    return replace(asked, **given) if given else asked


def _is_empty(cell: object) -> bool:
    return (
        cell is None or (isinstance(cell, str) and not cell.strip()) or (isinstance(cell, float) and math.isnan(cell))
    )


def _number(name: str, cell: object) -> float:
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ConfigError(f"{name} {cell!r} is not a number") from None


def _cells(place: str) -> Iterator[Mapping[str, Any]]:
    found = _csv(place) if place.lower().endswith(".csv") else _parquet(place)
    try:
        with_heads = iter(found)
        heads = next(with_heads)
        _check(place, list(heads))
        yield from with_heads
    except PictureError as error:
        raise ConfigError(str(error)) from None


def _csv(place: str) -> Iterator[Mapping[str, Any]]:
    """First the heads as keys, then a mapping for each row."""
    with places.opened(place) as file:
        text = io.TextIOWrapper(file, "utf-8-sig", newline="")
        try:
            table = csv.DictReader(text, strict=True)
            yield dict.fromkeys(table.fieldnames or ())
            for cells in table:
                if any(not _is_empty(cell) for cell in cells.values()):
                    yield cells
        except (csv.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"{place}: is not a CSV table in UTF-8 ({error}); save it as one") from None


def _parquet(place: str) -> Iterator[Mapping[str, Any]]:
    """First the heads as keys, then a mapping for each row."""
    if not find_spec("pyarrow"):
        raise ConfigError(f'{place}: Parquet needs pyarrow; pip install "upbrush[batch]"')
    import pyarrow
    from pyarrow import parquet

    with places.opened(place) as file:
        try:
            table = parquet.ParquetFile(file)
            yield dict.fromkeys(table.schema_arrow.names)
            known = [name for name in table.schema_arrow.names if name in (*PLACES, *KNOBS)]
            for some in table.iter_batches(batch_size=ROWS, columns=known):
                yield from some.to_pylist()
        except pyarrow.ArrowException as error:
            told = str(error).splitlines()[0]
            raise ConfigError(f"{place}: is not a whole Parquet table ({told}); write it anew") from None


def _check(place: str, heads: Sequence[str]) -> None:
    """Refuse a table without inputs, and heads that are nearly knobs: a misspelt one would silently do nothing."""
    known = (*PLACES, *KNOBS)
    missing = [name for name in NEEDED if name not in heads]
    if missing:
        raise ConfigError(
            f"{place}: has no column {', '.join(missing)!r}, found {', '.join(map(str, heads)) or 'nothing'}; expected "
            f"input and, where wanted, output, {', '.join(KNOBS)}"
        )
    others = [str(name) for name in heads if name not in known and name is not None]
    for name in others:
        if near := difflib.get_close_matches(name.lower().replace("-", "_"), known, 1, 0.8):
            raise ConfigError(f"{place}: column {name!r} is unknown; if it means {near[0]!r}, call it so")
    if others:
        logger.warning("%s: columns that mean nothing here are left out: %s", place, ", ".join(others))
