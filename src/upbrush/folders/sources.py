"""What was named on the command line, as pictures to paint: files, folders, patterns, tar shards, manifests."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePath, PurePosixPath

from upbrush.batch import PICTURE_SUFFIXES, result_name, suffix_of
from upbrush.errors import ConfigError, PictureError
from upbrush.folders import manifest, places, shards
from upbrush.folders.places import Seen
from upbrush.folders.task import Asked, Task


@dataclass(frozen=True, slots=True)
class Refused:
    """What was named and cannot be tried. name: of the output that it would become, or what else tells it apart."""

    name: str
    source: str
    error: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file that is no picture."""

    place: str


Found = Task | Refused | Ignored


def find(inputs: Sequence[str], out: str, asked: Asked) -> Iterator[Found]:
    """Every picture that is meant by the inputs, as they come.

    out: the output folder, in which nothing is looked for. asked: how all are painted where a manifest says nothing
    else. Raises ConfigError for a pattern or a name that means nothing and a manifest that cannot be read, PictureError
    for a folder that cannot be listed.
    """
    return map(_named_in_text, _meant(inputs, out, asked))


def _meant(inputs: Sequence[str], out: str, asked: Asked) -> Iterator[Found]:
    for given in map(places.plain, inputs):
        if not manifest.is_manifest(given):
            asked.check_style()
        if places.is_pattern(given):
            found = False
            for seen in places.matches(given):
                found = True
                yield from _listed(seen, asked, named=False)
            if not found:
                raise ConfigError(f"{given}: means no file here; check the pattern, and quote it")
        elif places.is_folder(given):
            for seen in places.files(given, without=out):
                yield from _listed(seen, asked, named=False)
        elif manifest.is_manifest(given):
            yield from _rows(given, asked)
        else:
            name = given.rpartition("/")[2] if places.is_address(given) else os.path.basename(given)
            there = places.seen(given)
            if there is None and PurePosixPath(name).suffix.lower() not in PICTURE_SUFFIXES:
                raise ConfigError(f"{given}: not found; expected a folder, a picture, or a .tar, .csv or .parquet file")
            yield from _listed(there or Seen(name, given, 0, places.MISSING), asked, named=True)


def _named_in_text(found: Found) -> Found:
    """A name of bytes that are no text cannot be in the ledger: the picture is refused, by a name that can."""
    if isinstance(found, Ignored):
        return found
    words = found.words if isinstance(found, Task) else found.source
    try:
        (found.name + words).encode()
    except UnicodeEncodeError:
        error = found.error if isinstance(found, Refused) else f"{words}: its name is not UTF-8; rename it"
        return Refused(*(text.encode(errors="backslashreplace").decode() for text in (found.name, words, error)))
    return found


def _listed(seen: Seen, asked: Asked, named: bool) -> Iterator[Found]:
    """One file. named: by the user, who then means a picture whatever it is called."""
    path = PurePosixPath(seen.name)
    try:
        if shards.is_shard(seen.place):
            yield from _members(seen, path.with_suffix(""), asked)
        elif named or path.suffix.lower() in PICTURE_SUFFIXES:
            yield Task(_result(path, asked), places.plain(seen.place), asked, seen.stamp)
        else:
            yield Ignored(seen.place)
    except PictureError as error:
        yield Refused(seen.name, seen.place, str(error))


def _members(seen: Seen, folder: PurePosixPath, asked: Asked) -> Iterator[Found]:
    """The pictures of a shard, which become a folder of its name."""
    for one in shards.members(seen.place):
        inside = PurePosixPath(one.name)
        if inside.suffix.lower() not in PICTURE_SUFFIXES:
            yield Ignored(f"{seen.place}:{one.name}")
        elif inside.is_absolute() or ".." in inside.parts:
            error = f"{seen.place}:{one.name}: would be written outside the output folder; rename it"
            yield Refused(str(folder / inside.name), seen.place, error)
        else:
            name = _result(folder / inside, asked)
            yield Task(name, seen.place, asked, seen.stamp, one.name, one.offset, one.length)


def _rows(place: str, asked: Asked) -> Iterator[Found]:
    for row in manifest.rows(place, asked):
        source = places.plain(row.source)
        label = f"{place}: row {row.number}"
        name = ""
        try:
            name = _output(row.output, source, row.asked)
            if row.fault is None:
                seen = places.seen(source)
                chosen = _in_format(row.asked, PurePosixPath(name).suffix.lstrip(".")) if row.output else row.asked
                # The same output from another input is a change, even if the two files look alike from outside.
                yield Task(name, source, chosen, f"{seen.stamp if seen else places.MISSING} {row.cell}")
            else:
                yield Refused(name or label, source or label, row.fault)
        except (ConfigError, PictureError) as error:
            yield Refused(name or label, source or label, f"{label}: {error}")


def _output(output: str, source: str, asked: Asked) -> str:
    """The name that a row's result has in the output folder."""
    if not output:
        return _result(PurePosixPath(PurePath(source).name), asked) if source else ""
    path = PurePosixPath(output)
    if path.is_absolute() or ".." in path.parts or places.is_address(output):
        raise ConfigError(f"output {output!r} is not in the output folder; give a path relative to it")
    if asked.format is not None and path.suffix and suffix_of(asked.format) != suffix_of(path.suffix):
        raise ConfigError(f"output {output!r} is not the name of {asked.format}; drop one of them")
    if not path.suffix:
        return str(path.with_suffix(suffix_of(asked.format) or ".png"))
    suffix_of(path.suffix)
    return str(path)


@lru_cache(1000)
def _in_format(asked: Asked, format: str) -> Asked:
    return replace(asked, format=format)


def _result(path: PurePosixPath, asked: Asked) -> str:
    return str(result_name(path, suffix_of(asked.format)))
