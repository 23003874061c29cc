"""Tar shards: which pictures are in one and where their bytes begin, so that each can be read alone."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from upbrush.errors import PictureError
from upbrush.folders import places

SUFFIX = ".tar"
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar. offset, length: of its bytes."""

    name: str
    offset: int
    length: int


def is_shard(place: str) -> bool:
    """Whether a place is called like a tar. Raises PictureError for a packed one: no part of it can be read alone."""
    low = place.lower()
    if low.endswith(PACKED):
        raise PictureError(f"{place}: is packed, and no picture in it can be read alone; unpack it to a plain .tar")
    return low.endswith(SUFFIX)


def members(place: str) -> Iterator[Member]:
    """The files of a tar in their order, by its headers alone.

    Raises PictureError where it is no tar, or breaks off; what came before has been given by then.
    """
    number = 0
    with places.opened(place) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as shard:
                for one in shard:
                    if one.isreg() and not one.name.rpartition("/")[2].startswith("."):
                        number += 1
                        yield Member(one.name, one.offset_data, one.size)
                if not _ended(file, shard.offset):
                    raise tarfile.ReadError("its end is missing")
        except (tarfile.TarError, EOFError) as error:
            told = " ".join(str(error).split())
            raise PictureError(f"{place}: breaks off after {number} files ({told}); get it or make it anew") from None


def _ended(file: object, offset: int) -> bool:
    """Whether blocks of zeros follow: a tar that was cut between two files reads like a whole one."""
    file.seek(offset)  # type: ignore[attr-defined]
    return not any(file.read(tarfile.BLOCKSIZE) or b"\1")  # type: ignore[attr-defined]
