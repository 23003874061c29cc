"""Pieces of an encoded clip that are kept while the rest is made: whole or not there, so that a run can go on.

A segment is a file of packets; beside it lies what is needed to go on behind it. Both are under other names until they
are complete, the state first, so a segment that is there can be gone on from.
"""

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from upbrush.errors import ClipError
from upbrush.video.encoding import Packet

MAGIC = b"upbrush segment 1\n"
_HEAD = struct.Struct("<qqIB")  # pts, duration, size, is it a key frame
_EXTRA = struct.Struct("<I")
FACTS = ("frames", "origin", "end", "complete", "lost", "flawed")
SUFFIX, STATE, PLAN = ".segment", ".state", "plan.json"


@dataclass(frozen=True)
class Progress:
    """How far a clip is. segments: whole ones.

    frames: in them; origin: the tick that is the result's zero; end: the tick when the last frame ends; complete: no
    frame is to come; lost, flawed: frames that the clip should have had, and that were not whole, known once it is
    complete; state: for going on.
    """

    segments: int = 0
    frames: int = 0
    origin: int = 0
    end: int = 0
    complete: bool = False
    lost: int = 0
    flawed: int = 0
    state: bytes = b""


class Folder:
    """The folder beside the output in which its segments wait.

    plan: everything that the result depends on. Segments of another plan are thrown away, never mixed in.
    Raises ClipError where the folder cannot be made or another run works in it.
    """

    def __init__(self, output: Path, plan: Mapping[str, Any]) -> None:
        self.path = output.with_name(f".{output.name}.upbrush")
        self._lock: IO[bytes] | None = None
        self.renewed = False
        told = json.dumps(plan, sort_keys=True, indent=1, default=str)
        try:
            self.path.mkdir(exist_ok=True)
            self._take_lock()
            stored = self.path / PLAN
            if not stored.exists() or stored.read_text(encoding="utf-8") != told:
                self.renewed = stored.exists()
                self._empty()
                stored.write_text(told, encoding="utf-8")
        except OSError as error:
            raise ClipError(
                f"{output.parent}: cannot be written to ({error.strerror}); choose another output"
            ) from None

    def progress(self) -> Progress:
        """What is there already; half-written files are removed."""
        count = 0
        while self.segment(count).exists():
            count += 1
        while count and not self._state(count - 1).exists():
            count -= 1
        kept = {self.segment(index) for index in range(count)} | {self._state(count - 1)}
        for path in self.path.iterdir():
            if path.suffix in (SUFFIX, STATE, ".part") and path not in kept:
                path.unlink()
        if not count:
            return Progress()
        facts, _, state = self._state(count - 1).read_bytes().partition(b"\n")
        return Progress(count, **json.loads(facts), state=state)

    def segment(self, index: int) -> Path:
        """Where a segment lies."""
        return self.path / f"{index:06}{SUFFIX}"

    def finish(self, part: Path, progress: Progress) -> None:
        """Make the next segment whole: `part` has its packets, `progress` says how far the clip is with it."""
        index = progress.segments - 1
        facts = {name: getattr(progress, name) for name in FACTS}
        fresh = part.with_suffix(".state.part")
        with open(fresh, "wb") as file:
            file.write(json.dumps(facts).encode() + b"\n" + progress.state)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._state(index))
        os.replace(part, self.segment(index))
        if index:
            self._state(index - 1).unlink(missing_ok=True)

    def remove(self) -> None:
        """Throw everything away: the clip is complete."""
        gone = self.path.with_name(f"{self.path.name}.{os.getpid()}.gone")
        try:  # under another name first: as soon as the lock is let go, another run may begin here
            os.rename(self.path, gone)
        except OSError:  # Windows renames nothing that is open
            gone = self.path
        self.close()
        shutil.rmtree(gone, ignore_errors=True)

    def close(self) -> None:
        """Let another run have the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _state(self, index: int) -> Path:
        return self.path / f"{index:06}{STATE}"

    def _empty(self) -> None:
        for path in self.path.iterdir():
            if path.suffix in (SUFFIX, STATE, ".part"):
                path.unlink()

    def _take_lock(self) -> None:
        """One run at a time. The system lets go of the lock when a process ends, however it ends."""
        self._lock = open(self.path / "lock", "wb")  # noqa: SIM115  (held as long as the folder)
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise ClipError(f"{self.path}: another run is painting this clip; wait for it, or stop it") from None


class SegmentFile:
    """A segment being written."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_suffix(".part")
        self._file = open(self.path, "wb")  # noqa: SIM115  (closed by `close`)
        self._begun = False
        self.frames = 0

    def add(self, packet: Packet, extradata: bytes) -> None:
        """Append a packet. extradata: what a decoder must know first, written with the first one."""
        if not self._begun:
            self._file.write(MAGIC + _EXTRA.pack(len(extradata)) + extradata)
            self._begun = True
        self._file.write(_HEAD.pack(packet.pts, packet.duration, len(packet.data), packet.key) + packet.data)
        self.frames += 1

    def close(self) -> None:
        """To the disk, and not only to the system: it may lose power."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Throw it away."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def extradata(path: Path) -> bytes:
    """What a decoder of this segment must know first."""
    with open(path, "rb") as file:
        return _after_header(file, path)


def packets(path: Path) -> Iterator[Packet]:
    """The packets of a segment in coding order. Raises ClipError where the file is damaged."""
    with open(path, "rb") as file:
        _after_header(file, path)
        while head := file.read(_HEAD.size):
            if len(head) < _HEAD.size:
                raise _damaged(path)
            pts, duration, size, key = _HEAD.unpack(head)
            data = file.read(size)
            if len(data) < size:
                raise _damaged(path)
            yield Packet(pts, duration, bool(key), data)


def _after_header(file: IO[bytes], path: Path) -> bytes:
    start = file.read(len(MAGIC) + _EXTRA.size)
    if len(start) < len(MAGIC) + _EXTRA.size or not start.startswith(MAGIC):
        raise _damaged(path)
    return file.read(_EXTRA.unpack(start[len(MAGIC) :])[0])


def _damaged(path: Path) -> ClipError:
    return ClipError(f"{path}: is damaged; remove {path.parent} and run the same command again")


def fingerprint(path: Path) -> dict[str, Any]:
    """What tells a file from another: its size, its time and its first and last bytes."""
    stat = path.stat()
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(max(0, stat.st_size - (1 << 20)))
        digest.update(file.read(1 << 20))
    return {"path": str(path.resolve()), "bytes": stat.st_size, "time": stat.st_mtime_ns, "digest": digest.hexdigest()}
