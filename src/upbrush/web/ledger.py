"""Jobs on the disk: a folder each, whole at every moment, so that a service that was killed goes on where it was.

    jobs/ID/job.json      what was asked; never changed
    jobs/ID/in/1, 2, …    the pictures as they were sent; or in/zip
    jobs/ID/style         the style, made once
    jobs/ID/film/1, …     folders in which clips are painted: segments, until the clip is whole
    jobs/ID/out/1, 2, …   what is painted; a file there is whole, and is what says that a picture is done
    jobs/ID/state.json    how far it is, what failed, when it ended
    jobs/ID/cancel        somebody wants it to stop
    jobs/ID/lock          who holds it paints the job; the system lets go of it when that process dies

Every name is ours; what a client called its files stands inside job.json only.
"""

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from upbrush.web.orders import Limits, Order
from upbrush.web.problems import BUSY, Problem, unknown

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
ENDED = (DONE, FAILED, CANCELLED)
_DAMAGED = (ValueError, TypeError, KeyError, AttributeError)  # of JSON that is not what was written
_ID = re.compile(r"[0-9a-f]{32}")
_FORGOTTEN_SECONDS = 24 * 3600.0  # after which what was never sent whole is thrown away


@dataclass(frozen=True)
class Job:
    """What was asked. names: what the client called its pictures. packed: they are in a zip. client: a hash."""

    id: str
    order: Order
    names: tuple[str, ...]
    packed: bool
    styled: bool
    made: float
    client: str

    @property
    def numbers(self) -> range:
        """Its pictures are numbered from 1."""
        return range(1, len(self.names) + 1)


@dataclass
class State:
    """How far a job is. failed: number -> type and message. error: what broke it as a whole. runs: how often begun.

    tiles: done and in all, of each picture that is being painted.
    """

    state: str = WAITING
    failed: dict[int, dict[str, str]] = field(default_factory=dict)
    error: dict[str, str] | None = None
    ended: float | None = None
    runs: int = 0
    tiles: dict[int, tuple[int, int]] = field(default_factory=dict)


class Ledger:
    """All jobs of a data folder. Several processes may use it at once."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._jobs, self._coming, self._limits = folder / "jobs", folder / "incoming", limits
        self._gate = threading.Lock()
        for path in (self._jobs, self._coming):
            path.mkdir(parents=True, exist_ok=True)

    def salt(self) -> bytes:
        """What clients are hashed with, the same for every process on this folder."""
        path = self._jobs.parent / "salt"
        with contextlib.suppress(FileExistsError):
            part = self._coming / secrets.token_hex(16)
            part.write_bytes(secrets.token_bytes(32))
            try:
                os.link(part, path)  # whole, and only once
            finally:
                part.unlink()
        return path.read_bytes()

    def begin(self, client: str) -> Path:
        """A folder for what is being sent, not yet a job. Raises Problem 429 where there are too many jobs."""
        self._check_open(client)
        coming = self._coming / secrets.token_hex(16)
        (coming / "in").mkdir(parents=True)
        (coming / "out").mkdir()
        return coming

    def commit(self, coming: Path, order: Order, names: list[str], *, packed: bool, client: str) -> Job:
        """Make what was sent a job: it is there whole, or not at all. Raises Problem 429 as `begin` does."""
        styled = (coming / "style").exists()
        job = Job(coming.name, order, tuple(names), packed, styled, time.time(), client)
        _write(coming / "job.json", asdict(job))
        for path in (*(coming / "in").iterdir(), *((coming / "style",) if styled else ())):
            _sync(path)
        with self._gate:  # who sent several at once is counted here
            self._check_open(client)
            os.rename(coming, self._jobs / job.id)
        _sync(self._jobs)
        return job

    def _check_open(self, client: str) -> None:
        open_jobs = [job for job in self.jobs() if self.state(job.id).state not in ENDED]
        if sum(job.client == client for job in open_jobs) >= self._limits.jobs_a_client:
            raise Problem(BUSY, "BusyError", f"{self._limits.jobs_a_client} jobs of yours are not done yet; wait", 30)
        if len(open_jobs) >= self._limits.jobs_waiting:
            raise Problem(BUSY, "BusyError", f"{len(open_jobs)} jobs wait already; try again in a minute", 60)

    def room(self) -> int:
        """How many bytes may still be written here."""
        return max(0, shutil.disk_usage(self._jobs).free - self._limits.free_bytes)

    def check_room(self, size: int = 0) -> None:
        """Raises OSError where `size` more bytes do not fit beside what stays free."""
        if self.room() <= size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def forget(self, coming: Path) -> None:
        """Throw away what did not become a job."""
        shutil.rmtree(coming, ignore_errors=True)

    def job(self, id: str) -> Job:
        """What was asked. Raises Problem 404 for one that there is not."""
        if not _ID.fullmatch(id):
            raise unknown("there is no such job; its id is 32 hexadecimal digits")
        try:
            fields = json.loads((self._jobs / id / "job.json").read_bytes())
            return Job(**{**fields, "order": Order(**fields["order"]), "names": tuple(fields["names"])})
        except FileNotFoundError:
            raise unknown(f"there is no such job; it is kept for {self._limits.keep_hours:g} hours") from None
        except _DAMAGED:
            raise unknown("what is kept of this job is damaged, or of another upbrush; send it anew") from None

    def jobs(self) -> Iterator[Job]:
        """All there are; one that is damaged is left out."""
        for path in sorted(self._jobs.iterdir()):
            try:
                yield self.job(path.name)
            except Problem:  # deleted meanwhile
                continue

    def state(self, id: str) -> State:
        """How far a job is."""
        path = self._jobs / id / "state.json"
        try:
            fields = json.loads(path.read_bytes())
            failed = {int(number): error for number, error in fields["failed"].items()}
            tiles = {int(number): (done, total) for number, (done, total) in fields["tiles"].items()}
            return State(**{**fields, "failed": failed, "tiles": tiles})
        except FileNotFoundError:
            return State()
        except _DAMAGED:
            words = "what is kept of this job is damaged, or of another upbrush; send it anew"
            return State(FAILED, error={"type": "InternalError", "message": words}, ended=path.stat().st_mtime)

    def write_state(self, job: Job, state: State) -> None:
        """Keep how far it is; of a job that was deleted meanwhile nothing is kept."""
        with contextlib.suppress(FileNotFoundError):
            _write(self._jobs / job.id / "state.json", asdict(state), safe=state.state in ENDED)

    def stamp(self, id: str) -> tuple[int, int]:
        """Changes when the job has got further."""
        stamps = []
        for name in ("state.json", "out"):
            try:
                stamps.append((self._jobs / id / name).stat().st_mtime_ns)
            except FileNotFoundError:
                stamps.append(0)
        return stamps[0], stamps[1]

    def done(self, job: Job) -> dict[int, int]:
        """The pictures that are painted: number -> bytes."""
        found = {}
        try:
            for entry in os.scandir(self._jobs / job.id / "out"):
                if entry.name.isdecimal():
                    found[int(entry.name)] = entry.stat().st_size
        except FileNotFoundError:
            pass
        return dict(sorted(found.items()))

    def picture(self, job: Job, number: int) -> tuple[Path, int | None]:
        """Where a picture is: a file, and which entry of it where it is a zip."""
        folder = self._jobs / job.id / "in"
        return (folder / "zip", number - 1) if job.packed else (folder / str(number), None)

    def style(self, job: Job) -> Path | None:
        """Where its style is."""
        return self._jobs / job.id / "style" if job.styled else None

    def result(self, job: Job, number: int) -> Path:
        """Where a painting is. Raises Problem 404 where it is not there (yet)."""
        path = self._jobs / job.id / "out" / str(number)
        if number not in job.numbers or not path.is_file():
            raise unknown(f"the job has no result {number}, or not yet; GET /v1/jobs/{job.id} tells what is there")
        return path

    def open_part(self, job: Job, number: int) -> IO[bytes]:
        """A file for a painting that is being made; `close_part` makes it one that is done."""
        return open(self._part(job, number), "wb")

    def close_part(self, job: Job, number: int) -> None:
        """The painting is whole."""
        part = self._part(job, number)
        _sync(part)
        os.replace(part, part.with_name(str(number)))

    def drop_part(self, job: Job, number: int) -> None:
        """The painting was not finished."""
        self._part(job, number).unlink(missing_ok=True)

    def _part(self, job: Job, number: int) -> Path:
        return self._jobs / job.id / "out" / f"{number}.part"

    def film(self, job: Job, number: int) -> Path:
        """The folder that a clip is painted in."""
        folder = self._jobs / job.id / "film" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def take_film(self, job: Job, number: int, painted: Path) -> bool:
        """A clip becomes a result where it is painted, which is where it is there; tells whether."""
        if not painted.exists():
            return False
        _sync(painted)
        os.replace(painted, self._jobs / job.id / "out" / str(number))
        shutil.rmtree(painted.parent, ignore_errors=True)
        return True

    def drop_work(self, job: Job) -> None:
        """The job has ended: only what is painted is kept, not what was sent."""
        for name in ("film", "in"):
            shutil.rmtree(self._jobs / job.id / name, ignore_errors=True)
        (self._jobs / job.id / "style").unlink(missing_ok=True)

    def lock(self, job: Job) -> FileLock:
        """Who holds it paints the job."""
        return FileLock(self._jobs / job.id / "lock", timeout=0)

    def call_off(self, id: str) -> None:
        """Ask whoever paints the job to stop."""
        with contextlib.suppress(FileNotFoundError):
            (self._jobs / id / "cancel").touch()

    def called_off(self, id: str) -> bool:
        """Whether somebody wants it to stop, or it is gone."""
        folder = self._jobs / id
        return (folder / "cancel").exists() or not (folder / "job.json").exists()

    def delete(self, id: str) -> None:
        """Forget a job with all its pictures."""
        gone = self._coming / f"{secrets.token_hex(16)}-gone"
        try:
            os.rename(self._jobs / id, gone)  # at once, however long deleting takes
        except FileNotFoundError:
            return
        shutil.rmtree(gone, ignore_errors=True)

    def keep_until(self, state: State) -> float | None:
        """When a job that has ended is forgotten."""
        return None if state.ended is None else state.ended + 3600 * self._limits.keep_hours

    def sweep(self) -> int:
        """Forget what has been kept for its time, and the oldest of what is too much; gives how many jobs."""
        now, gone, kept = time.time(), 0, 0
        ended = [(state.ended, job) for job in self.jobs() if (state := self.state(job.id)).ended is not None]
        for when, job in sorted(ended, key=lambda one: one[0] or 0, reverse=True):
            kept += sum(self.done(job).values())
            if (when or 0) + 3600 * self._limits.keep_hours < now or kept > self._limits.kept_bytes:
                self.delete(job.id)
                gone += 1
        unsent = [path for path in self._jobs.iterdir() if not (path / "job.json").exists()]
        for path in (*self._coming.iterdir(), *unsent):
            try:
                if path.stat().st_mtime < now - _FORGOTTEN_SECONDS:
                    self.forget(path)
            except FileNotFoundError:
                continue
        return gone


def _write(path: Path, fields: dict[str, Any], safe: bool = True) -> None:
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    part.write_text(json.dumps(fields), encoding="utf-8")
    if safe:
        _sync(part)
    os.replace(part, path)


def _sync(path: Path) -> None:
    """Have the disk keep a file or the names in a folder."""
    try:
        number = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(number)
    finally:
        os.close(number)
