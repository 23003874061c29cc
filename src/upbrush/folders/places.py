"""Where bytes are: paths of this machine, and addresses such as s3://bucket/folder, which fsspec opens.

A place is a string. Paths need nothing but Python; addresses need fsspec and, of most kinds, a package of their own
(s3fs, gcsfs, adlfs), which is named where it is missing.
"""

import io
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, TypeVar

from upbrush import saving
from upbrush.errors import ConfigError, PictureError

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+(?:://|::)")  # two letters or more: C: is a drive
MAGIC = re.compile(r"[*?\[]")
# An object appears when all of it has arrived; elsewhere a file is written under another name and renamed.
WHOLE = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory", "hf"}
# What file systems tell a file's state by.
CHANGES = ("ETag", "etag", "md5", "mtime", "LastModified", "last_modified", "updated", "created")
MISSING = "missing"  # the stamp of what is not there
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was seen. name: relative to the folder that was listed, with "/" between. stamp: changes with it."""

    name: str
    place: str
    bytes: int
    stamp: str


def is_address(place: str) -> bool:
    """Whether this is for fsspec to open."""
    return bool(ADDRESS.match(place))


def is_pattern(place: str) -> bool:
    """Whether this means several files, as photos/*.jpg does."""
    return bool(MAGIC.search(place)) and (is_address(place) or not os.path.lexists(place))


def plain(place: str) -> str:
    """file: addresses as the paths that they are; everything else as it is."""
    return place.removeprefix("file://") if place.startswith("file://") else place


def join(folder: str, name: str) -> str:
    """A place in a folder; name has "/" between its parts."""
    return f"{folder.rstrip('/')}/{name}" if is_address(folder) else os.path.normpath(os.path.join(folder, name))


def same(one: str, other: str) -> bool:
    """Whether two places are one file, however they are written: links, ../, local:// and s3a:// beside s3://."""
    one, other = _on_disk(one), _on_disk(other)
    if is_address(one) or is_address(other):
        (kind, _, where), (kind_too, _, where_too) = one.partition("://"), other.partition("://")
        if not where or where != where_too:  # asked of every picture, so that few may take long
            return False
        return kind.rpartition("::")[2] == kind_too.rpartition("::")[2] or _opened(one) == _opened(other)
    try:
        return os.path.samefile(one, other)  # the disk knows, also where it takes a.png and A.PNG for one name
    except (OSError, ValueError):  # one of them is not there
        return os.path.abspath(one) == os.path.abspath(other)


def identity(place: str) -> tuple[int, int] | str | None:
    """What tells a file from all others, however it is written; None where there is none. An address is itself."""
    if is_address(path := _on_disk(place)):
        return path
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _on_disk(place: str) -> str:
    """The path that an address of this machine's own disk means; everything else as it is."""
    for own in ("file://", "local://"):
        if place.startswith(own):
            return os.path.expanduser(place.removeprefix(own))
    return place


def parent(place: str) -> str:
    """The folder that a place is in."""
    return place.rpartition("/")[0] if is_address(place) else str(Path(place).parent)


def is_folder(place: str) -> bool:
    """Whether files can be listed there."""
    if not is_address(place):
        return Path(place).is_dir()
    system, path = _opened(place)
    return bool(_tried(place, lambda: system.isdir(path)))


def seen(place: str) -> Seen | None:
    """A file's size and stamp; None where there is none."""
    if not is_address(place):
        found = _here(Path(place).name, place)
        return None if found.stamp == MISSING else found
    system, path = _opened(place)
    try:
        facts = _tried(place, lambda: system.info(path))
    except FileNotFoundError:
        return None
    return _seen(place.rpartition("/")[2], place, facts)


def files(folder: str, without: str = "") -> Iterator[Seen]:
    """Every file of a folder and of those in it, in a fixed order, but for hidden ones and those of another folder.

    without: that folder, such as the one for the results. A link to a folder is given as if it were a file: what is in
    it may be in the tree already. Raises PictureError where a folder cannot be listed.
    """
    if not is_address(folder):
        yield from _walk(Path(folder), Path(folder), Path(without).resolve() if without else None)
        return
    system, path = _opened(folder)
    found: dict[str, Any] = _tried(folder, lambda: system.find(path, detail=True))
    for key in sorted(found):
        name = key[len(path.rstrip("/")) :].lstrip("/") if path else key
        place = join(folder, name)
        if not f"/{name}".count("/.") and not (without and place.startswith(f"{without.rstrip('/')}/")):
            yield _seen(name, place, found[key])


def matches(pattern: str) -> Iterator[Seen]:
    """The files that a pattern means, named from where its first star is; ** is any number of folders."""
    fixed = pattern[: MAGIC.search(pattern).start()]  # type: ignore[union-attr]  # is_pattern has looked
    start = fixed.rpartition("/")[0] if "/" in fixed else ""
    if not is_address(pattern):
        import glob

        for place in sorted(glob.glob(pattern, recursive=True)):
            if _is_file(Path(place)):
                yield _here(Path(place).relative_to(start or ".").as_posix(), place)
        return
    system, path = _opened(pattern)
    base = _opened(start)[1] if ADDRESS.match(start + "/") else ""
    found: dict[str, Any] = _tried(pattern, lambda: system.glob(path, detail=True))
    for key in sorted(found):
        if found[key].get("type") != "directory":
            name = key[len(base.rstrip("/")) :].lstrip("/")
            yield _seen(name, join(start, name), found[key])


def read(place: str, offset: int = 0, length: int | None = None) -> bytes:
    """The bytes of a file, or of a part of it. Raises PictureError where they cannot be had."""
    with opened(place) as file:
        file.seek(offset)
        data = file.read() if length is None else file.read(length)
    if length is not None and len(data) < length:
        raise PictureError(f"{place}: ends {length - len(data)} bytes too early; get it anew")
    return data


@contextmanager
def opened(place: str) -> Iterator[IO[bytes]]:
    """A file to read. Raises PictureError where there is none, or what brings it fails."""
    try:
        if not is_address(place):
            with open(place, "rb") as file:
                yield file
            return
        system, path = _opened(place)
        with _as_system_errors():
            file = system.open(path, "rb")
        with file:
            yield io.BufferedReader(_Far(file))
    except FileNotFoundError:
        raise PictureError(f"{place}: not found; expected a file") from None
    except PermissionError:
        raise PictureError(f"{place}: may not be read; change its permissions") from None
    except OSError as error:
        raise PictureError(f"{place}: cannot be read ({saving.reason(error)}); try again") from None


def write(place: str, data: bytes) -> None:
    """Write a file whole or not at all, over what may be there; its folder is made.

    Raises PictureError where it cannot be written; its context is the system's error.
    """
    if not is_address(place):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        saving.store(Path(place), lambda file: _all_of(file, data), overwrite=True)
        return
    system, path = _opened(place)
    try:
        with _as_system_errors():
            if _kind(place) in WHOLE:
                system.pipe_file(path, data)
            else:
                _write_beside(system, path, data)
    except OSError as error:
        raise PictureError(saving.failure(place, error)) from None


def _write_beside(system: Any, path: str, data: bytes) -> None:
    """Under another name first, renamed when all has arrived."""
    folder = system._parent(path)
    system.makedirs(folder, exist_ok=True)
    part = f"{folder}/.{secrets.token_hex(6)}.part"
    try:
        system.pipe_file(part, data)
        system.mv(part, path)
    except BaseException:
        if system.exists(part):
            system.rm_file(part)
        raise


def remove(place: str) -> None:
    """Remove a file, if it is there."""
    if is_address(place):
        system, path = _opened(place)
        if system.exists(path):
            system.rm_file(path)
    else:
        Path(place).unlink(missing_ok=True)


def remove_empty(folder: str) -> None:
    """Remove a folder with nothing in it, if it is one: on this machine's disks; object stores have no folders."""
    if not is_address(path := _on_disk(folder)):
        with suppress(OSError):
            os.rmdir(path)


def _all_of(file: IO[bytes], data: bytes) -> None:
    file.write(data)


def _opened(place: str) -> tuple[Any, str]:
    """Fsspec's file system and the path in it. Raises ConfigError for what cannot be opened here."""
    if not find_spec("fsspec"):
        raise ConfigError(f'{place}: addresses need fsspec; pip install "upbrush[batch]"')
    import fsspec

    try:
        with _as_system_errors():
            system, path = fsspec.core.url_to_fs(place)
    except (ImportError, OSError) as error:
        raise ConfigError(f"{place}: cannot be opened ({error})") from None
    return system, path


def _kind(place: str) -> str:
    return place.partition("://")[0].partition("::")[0]


def _tried(place: str, call: Callable[[], T]) -> T:
    """Ask a file system; what it cannot do is one line."""
    try:
        with _as_system_errors():
            return call()
    except FileNotFoundError:
        raise
    except PermissionError:
        raise ConfigError(f"{place}: may not be listed; see that you are signed in and allowed to") from None
    except (OSError, NotImplementedError) as error:
        raise ConfigError(f"{place}: cannot be looked at ({saving.reason(error)}); check it, and sign in") from None


@contextmanager
def _as_system_errors() -> Iterator[None]:
    """Every kind of store has errors of its own (no credentials, no such host); for us they are all of the system."""
    try:
        yield
    except (OSError, ImportError, NotImplementedError):
        raise
    except Exception as error:
        raise OSError(" ".join(str(error).split()) or type(error).__name__) from error


class _Far(io.RawIOBase):
    """A file far away, to read; its errors are the system's."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        with _as_system_errors():
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        with _as_system_errors():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        with _as_system_errors():
            return self._file.read()


def _walk(folder: Path, root: Path, without: Path | None) -> Iterator[Seen]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise PictureError(f"{folder}: cannot be listed ({error.strerror}); allow it or leave it out") from None
    for entry in entries:
        if entry.name[0] == ".":
            continue
        if entry.is_dir(follow_symlinks=False):
            if without is None or Path(entry.path).resolve() != without:
                yield from _walk(Path(entry.path), root, without)
        elif _is_file(entry):
            yield _here(Path(entry.path).relative_to(root).as_posix(), entry.path)


def _is_file(entry: "Path | os.DirEntry[str]") -> bool:
    """Whether it is for listing: a link that leads nowhere is, too, so that what is behind it is missed by name."""
    return entry.is_file() or entry.is_symlink()


def _here(name: str, place: str) -> Seen:
    """A path of this machine, which may be gone since it was listed."""
    try:
        found = os.stat(place)
    except (OSError, ValueError):  # no path has a null byte
        return Seen(name, place, 0, MISSING)
    return Seen(name, place, found.st_size, f"{found.st_size}-{found.st_mtime_ns}")


def _seen(name: str, place: str, facts: Any) -> Seen:
    size = int(facts.get("size") or 0)
    changed = next((facts[key] for key in CHANGES if facts.get(key)), "")
    return Seen(name, place, size, f"{size}-{changed}")
