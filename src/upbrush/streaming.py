"""Pictures streamed from tar shards: for sets that are too large, or too far away, to be indexed.

webdataset reads a shard from its first byte to its last, so a network disk, an object store or a pipe serves as well as
a folder. In one pass every picture comes once, to one reader; the order of the shards is drawn anew for each pass, and
pictures are shuffled in a buffer.
"""

import json
import logging
import random
import re
import tarfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path, PurePath
from typing import IO, Any

from braceexpand import braceexpand
from webdataset import gopen, shuffle
from webdataset.tariterators import group_by_keys, tar_file_expander

from upbrush.errors import DataError

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif"})
TARS = (".tar", ".tar.gz", ".tgz")
PEEK = 20  # pictures of a shard whose notes are looked at for the kind of a stream
ADDRESS = re.compile(r"[a-z][a-z0-9+]+:")  # two letters or more: C: is a drive
STOPPED = (0, 23, 141, -13)  # how curl, a shell and a program end when nobody reads on
UNREADABLE = (tarfile.TarError, OSError, EOFError, ValueError, zlib.error)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shards:
    """Tar shards of one kind of picture, which are read as a stream. A url is an address, or a file's absolute path."""

    kind: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Streamed:
    """A picture out of a stream, as it was stored."""

    name: str
    kind: str
    data: bytes

    def read(self) -> bytes:
        """The picture's encoded bytes."""
        return self.data


@dataclass(frozen=True)
class Reader:
    """One of the processes, of all ranks and workers, that the shards are dealt out to."""

    number: int = 0
    of: int = 1


ALONE = Reader()


def is_pattern(source: str) -> bool:
    """Whether this is an address (https:, pipe:, ...) or has braces, as in shards/{000..099}.tar."""
    return bool(ADDRESS.match(source)) or "{" in source


def expand(pattern: str) -> Shards:
    """Find the shards that a pattern or an address means. Raises DataError where one is missing or is no tar."""
    try:
        urls = list(braceexpand(pattern))
    except ValueError:
        raise DataError(f"{pattern}: braces do not match; expected a pattern such as shards/{{000..099}}.tar") from None
    if not ADDRESS.match(pattern):
        missing = [url for url in urls if not Path(url).is_file()]
        if missing:
            raise DataError(
                f"{missing[0]}: no such file; of the {len(urls)} shards of {pattern}, {len(missing)} are missing"
            )
        return stream_of([Path(url) for url in urls])
    return stream_of(urls)


def stream_of(urls: Sequence[str | Path]) -> Shards:
    """Take shards as one stream. Its kind is what pictures of the first and the last note, or else the shards' name.

    urls: addresses as str, files as Path; a file that is called like an address stays a file. Raises DataError where
    one of the two cannot be read or holds no picture, or they are of two kinds.
    """
    # absolute: what begins with "pipe:" webdataset gives to a shell
    found = tuple(str(url.resolve()) if isinstance(url, Path) else url for url in urls)
    ends = dict.fromkeys((found[0], found[-1]))
    noted = [_noted_kinds(url) for url in ends]
    if len(noted) == 2 and len(noted[0]) == len(noted[1]) == 1 and noted[0] != noted[1]:
        one, other = min(noted[0]), min(noted[1])
        raise DataError(
            f"{found[0]} and {PurePath(found[-1]).name} are of two kinds, {one!r} and {other!r}; "
            "give the shards of each kind by a pattern, such as shards/art-{000..099}.tar"
        )
    kinds = set().union(*noted)
    names = {re.sub(r"[\W_]*\d*$", "", PurePath(url).name.partition(".")[0]) for url in ends}
    name = min(names) if len(names) == 1 and "" not in names else PurePath(found[0]).parent.name
    return Shards(min(kinds) if len(kinds) == 1 and "" not in kinds else name, found)


def _noted_kinds(url: str) -> set[str]:
    """Of a shard's first pictures; "" for those that note none."""
    with closing(_pictures(url, "")) as pictures:
        kinds = {picture.kind for picture in islice(pictures, PEEK)}
    if not kinds:
        raise DataError(f"{url}: holds no picture; expected {', '.join(sorted(ENDINGS))}")
    return kinds


def stream(shards: Shards, seed: str, reader: Reader, buffer: int) -> Iterator[Streamed]:
    """Give one reader's share of the pictures, pass after pass without end; fixed by seed and reader.

    buffer: how many pictures the next one is drawn from. Shards are dealt out whole; where there are fewer of them than
    readers, each reader reads all of them and keeps every n-th picture. A shard that cannot be read to its end is named
    in a warning, and the rest goes on. Raises DataError where a whole pass gave no picture.
    """
    for number in count():
        urls = list(shards.urls)
        random.Random(f"{seed}:{number}").shuffle(urls)
        few = len(urls) < reader.of
        mine = _one_pass(urls, shards.kind, reader) if few else _one_pass(urls[reader.number :: reader.of], shards.kind)
        order = random.Random(f"{seed}:{number}:{reader.number}")
        drawn = 0
        for picture in shuffle(buffer, initial=max(1, buffer // 4), rng=order)(mine):
            drawn += 1
            yield picture
        if not drawn:
            raise DataError(
                f"{shards.urls[0]}: reader {reader.number + 1} of {reader.of} found no picture in this and the "
                f"{len(urls) - 1} shards with it; look at the warnings, or lower data.workers"
            )


def _one_pass(urls: Sequence[str], kind: str, reader: Reader = ALONE) -> Iterator[Streamed]:
    for url in urls:
        try:
            # counted within the shard: a shard that breaks off does not shift what others are dealt
            yield from islice(_pictures(url, kind), reader.number, None, reader.of)
        except DataError as error:
            log.warning("%s; going on with the next shard", error)


def _pictures(url: str, kind: str) -> Generator[Streamed, None, None]:
    """The pictures of one shard, in order. kind: of those that note none. Raises DataError where it breaks off."""
    shard = PurePath(url).name
    try:
        with _opened(url) as file:
            parts = tar_file_expander([{"url": url, "stream": file}])
            for sample in group_by_keys(parts, keys=_stem_and_ending):
                noted = noted_kind(sample.get("json")) or kind
                for ending, data in sample.items():
                    if f".{ending}" in ENDINGS:
                        yield Streamed(f"{shard}:{sample['__key__']}.{ending}", noted, data)
    except UNREADABLE as error:
        # webdataset adds what it had open
        reason = getattr(error, "strerror", None) or str(error.args[0] if error.args else error).partition(" @ ")[0]
        raise DataError(f"{url}: cannot be read to its end ({reason}); expected a whole tar of pictures") from None


@contextmanager
def _opened(url: str) -> Iterator[IO[bytes]]:
    """A file, or what webdataset's programs (curl, gsutil, a shell's pipe) bring from an address."""
    if not ADDRESS.match(url):
        with open(url, "rb") as file:
            yield file
        return
    pipe: Any = gopen(url)
    try:
        yield pipe
        while pipe.read(1 << 16):  # a tar's padding: a program that cannot write it would seem to have failed
            pass
    except BaseException as error:
        with suppress(OSError):  # it complains of having been stopped
            pipe.close()
        status = getattr(pipe, "status", 0)
        if isinstance(error, Exception) and status not in STOPPED:
            raise OSError(f"what brings it ended with {status}") from None
        raise
    pipe.close()


def _stem_and_ending(name: str) -> tuple[str | None, str | None]:
    stem, dot, ending = name.rpartition(".")
    return (stem, ending) if dot else (None, None)


def noted_kind(note: bytes | None) -> str | None:
    """The kind of picture that a shard's JSON notes, or None where it notes none."""
    try:
        kind = json.loads(note).get("kind") if note else None
    except (ValueError, AttributeError):  # not JSON, or no table
        return None
    return kind if isinstance(kind, str) else None
