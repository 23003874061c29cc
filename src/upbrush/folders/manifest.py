"""Manifests: a CSV or Parquet table with one row a picture, and what is wrong with a row told by its number."""

import csv
import difflib
import io
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from upbrush.errors import ConfigError, PictureError
from upbrush.folders import places
from upbrush.folders.task import Asked

SUFFIXES = (".csv", ".parquet")
MORE = "cells without a column"
PLACES = ("input", "output")
KNOBS = ("style", "strength", "fidelity", "keep_colours", "scale", "size", "format", "quality", "wrap", "stereo")
WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
ROWS = 10_000  # of Parquet, read at once
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """One row. number: from 1 below the heads. cell: its input as written. fault: what is wrong with it, or None."""

    number: int
    cell: str
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
        given = source = str(cells.get("input") or "").strip()
        if source and not places.is_address(source):
            source = places.join(folder, source)
        output = str(cells.get("output") or "").strip()
        try:
            if not source:
                raise ConfigError("the input is empty; name a picture")
            if not _is_empty(cells.get(MORE)):
                raise ConfigError("has more cells than there are columns; put quotes round a cell with commas in it")
            yield Row(number, given, source, output, _asked(cells, asked, folder))
        except ConfigError as error:
            yield Row(number, given, source, output, asked, f"{place}: row {number}: {error}")


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
    if "style" in given:
        given["style"] = _beside(given["style"], folder)
    elif asked.style is None:  # knobs of a style are for the rows that have one
        given = {"strength": None, "keep_colours": False} | given
    if "scale" in given or "size" in given:  # a row's own is instead of the one in general
        given = {"scale": None, "size": None} | given
    if not given:
        return asked
    found = replace(asked, **given)
    found.check_style()
    return found


def _beside(words: str, folder: str) -> str:
    """The words of a style, in which files that lie beside the manifest are named by their whole paths."""
    found = []
    for part in words.split(",") if "," in words and not places.seen(places.join(folder, words)) else [words]:
        name, colon, weight = part.strip().rpartition(":")
        if not re.fullmatch(r"[0-9.]+", weight) or not colon:
            name, colon, weight = part.strip(), "", ""
        beside = places.join(folder, name)
        is_path = ("/" in name or "." in name) and not places.is_address(name)
        if is_path and places.seen(beside) and not places.is_folder(beside):
            name = beside if places.is_address(beside) else os.path.abspath(beside)
        found.append(f"{name}{colon}{weight}")
    return ",".join(found)


def _is_empty(cell: object) -> bool:
    if isinstance(cell, list):
        return all(map(_is_empty, cell))
    return (
        cell is None or (isinstance(cell, str) and not cell.strip()) or (isinstance(cell, float) and math.isnan(cell))
    )


def _number(name: str, cell: object) -> float:
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ConfigError(f"{name} {cell!r} is not a number") from None


def _cells(place: str) -> Iterator[Mapping[str, Any]]:
    try:
        yield from _csv(place) if place.lower().endswith(".csv") else _parquet(place)
    except PictureError as error:
        raise ConfigError(str(error)) from None


def _csv(place: str) -> Iterator[Mapping[str, Any]]:
    """A mapping for each row."""
    with places.opened(place) as file:
        text = io.TextIOWrapper(file, "utf-8-sig", newline="")
        try:
            table = csv.DictReader(text, restkey=MORE, strict=True)
            _check(place, table.fieldnames or ())
            for cells in table:
                if any(not _is_empty(cell) for cell in cells.values()):
                    yield cells
        except (csv.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"{place}: is not a CSV table in UTF-8 ({error}); save it as one") from None


def _parquet(place: str) -> Iterator[Mapping[str, Any]]:
    """A mapping for each row."""
    if not find_spec("pyarrow"):
        raise ConfigError(f'{place}: Parquet needs pyarrow; pip install "upbrush[batch]"')
    import pyarrow
    from pyarrow import parquet

    with places.opened(place) as file:
        try:
            table = parquet.ParquetFile(file)
            _check(place, table.schema_arrow.names)
            known = [name for name in table.schema_arrow.names if name in (*PLACES, *KNOBS)]
            for some in table.iter_batches(batch_size=ROWS, columns=known):
                yield from some.to_pylist()
        except pyarrow.ArrowException as error:
            told = str(error).splitlines()[0]
            raise ConfigError(f"{place}: is not a whole Parquet table ({told}); write it anew") from None


def _check(place: str, heads: Sequence[str]) -> None:
    """Refuse a table without inputs, and heads that are nearly knobs: a misspelt one would silently do nothing."""
    known = (*PLACES, *KNOBS)
    if "input" not in heads:
        told = ", ".join(map(str, heads)) or "nothing"
        if len(heads) == 1 and (sign := next((sign for sign in (";", "\t") if sign in heads[0]), "")):
            raise ConfigError(f"{place}: has no column 'input', found {told}; save it with commas instead of {sign!r}")
        raise ConfigError(
            f"{place}: has no column 'input', found {told}; expected input and, where wanted, output, "
            f"{', '.join(KNOBS)}"
        )
    if twice := [name for name in known if list(heads).count(name) > 1]:
        raise ConfigError(f"{place}: column {twice[0]!r} is there twice; drop or rename one")
    others = [str(name) for name in heads if name not in known]
    for name in others:
        if near := difflib.get_close_matches(name.lower().replace("-", "_"), known, 1, 0.8):
            raise ConfigError(f"{place}: column {name!r} is unknown; if it means {near[0]!r}, call it so")
    if others:
        logger.warning("%s: columns that mean nothing here are left out: %s", place, ", ".join(others))
