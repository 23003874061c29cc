"""The ledger: every picture that was asked for, with which settings, how it went, how long it took; in SQLite.

The pictures of a run are written down before the first is painted. So the ledger is the queue, too: what it says is
waiting is painted, whoever was killed when, and a file that it has never heard of is nobody's to overwrite.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from upbrush.errors import ConfigError, PictureError
from upbrush.folders.task import Asked, Done, Task

NAME = "upbrush-ledger.sqlite"
LOCK = ".upbrush-ledger.lock"  # stays: a lock file that is removed can be held twice
VERSION = 1
# What is known of a picture, in the order of the tables here and in Parquet. stamp, settings: of the input and the
# knobs that it is to be made from; made_stamp, made_settings: that the file in the output folder was made from.
# finished: when it was last painted or failed; changed: when the row was last written.
COLUMNS = {
    "name": "TEXT PRIMARY KEY", "source": "TEXT", "member": "TEXT", "offset": "INTEGER", "length": "INTEGER",
    "stamp": "TEXT", "settings": "TEXT", "status": "TEXT", "error": "TEXT", "made_stamp": "TEXT",
    "made_settings": "TEXT", "bytes": "INTEGER", "pixels": "INTEGER", "seconds": "REAL", "attempts": "INTEGER",
    "worker": "TEXT", "finished": "TEXT", "changed": "TEXT",
}  # fmt: skip
WAITING, DONE, FAILED, KEPT = "waiting", "done", "failed", "kept"
FOREIGN = "was there before, and this ledger did not make it; --overwrite paints it"
FETCHED = 500  # rows of the queue that are read at once
PLANNED = ("name", "source", "member", "offset", "length", "stamp", "settings", "status", "error", "changed")
UPSERT = (
    f"INSERT INTO pictures({', '.join(PLANNED)}) VALUES ({', '.join('?' * len(PLANNED))}) "
    "ON CONFLICT(name) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in PLANNED[1:])
)
LISTED = ", ".join(f'"{name}"' for name in COLUMNS)
TAKEN = f"INSERT OR REPLACE INTO pictures VALUES ({', '.join('?' * len(COLUMNS))})"


@dataclass(frozen=True)
class Counts:
    """How many pictures of the present plan are in which state. changed: waiting though painted once before."""

    waiting: int = 0
    changed: int = 0
    done: int = 0
    kept: int = 0
    failed: int = 0


class Ledger:
    """One output folder's ledger. path: its SQLite file; one run at a time holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = sqlite3.connect(path.with_name(LOCK), timeout=0, isolation_level=None)
        self._base = sqlite3.connect(path, isolation_level=None)
        try:
            with told(path):
                self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        try:
            self._lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise ConfigError(f"{self.path.parent}: another run is painting into it; wait for it, or stop it") from None
        version = self._base.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise ConfigError(f"{self.path}: is of version {version}, this upbrush reads {VERSION}; update upbrush")
        self._base.execute("PRAGMA journal_mode=WAL")
        # A crash of this program loses nothing; one of the machine, the last rows, whose pictures are done again.
        self._base.execute("PRAGMA synchronous=NORMAL")
        columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
        self._base.execute(f"CREATE TABLE IF NOT EXISTS pictures({columns})")
        self._base.execute("CREATE TABLE IF NOT EXISTS facts(key TEXT PRIMARY KEY, value TEXT)")
        self._base.execute(f"PRAGMA user_version = {VERSION}")
        self._base.execute("CREATE TEMP TABLE planned(name TEXT PRIMARY KEY, source TEXT)")

    def close(self) -> None:
        """Let the next run have it."""
        self._base.close()
        self._lock.close()

    def remove(self) -> None:
        """Close it and leave nothing of it."""
        self.close()
        for path in (self.path.with_name(LOCK), *self.path.parent.glob(f"{self.path.name}*")):
            path.unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Many rows at once: all of them, or none. Raises PictureError where the disk is full."""
        with told(self.path):
            self._base.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def plan(self, task: Task, there: int | None, overwrite: bool) -> bool:
        """Write one picture of this run down.

        there: bytes of the file that has its output's name, None where there is none. overwrite: whether a file that is
        not of this ledger's making may be replaced, and one that is as wanted made anew. Returns whether such a file
        will be replaced. Raises ConfigError where another picture of this run has the same output.
        """
        settings = task.asked.text()
        row = self._base.execute("INSERT OR IGNORE INTO planned VALUES (?, ?)", (task.name, task.words))
        if not row.rowcount:
            self._see_the_same(task, settings)
        known = self._base.execute(
            "SELECT status, made_stamp, made_settings, bytes FROM pictures WHERE name = ?", (task.name,)
        ).fetchone()
        status, error = WAITING, None
        if not overwrite and there is not None:
            status, error = _state(known, there, (task.stamp, settings))
        self._base.execute(
            UPSERT,
            (
                *(task.name, task.source, task.member, task.offset, task.length, task.stamp, settings, status, error),
                _now(),
            ),
        )
        return overwrite and there is not None and (known is None or known[1] is None)

    def sources(self) -> Iterator[str]:
        """Where this run's pictures come from."""
        for (source,) in self._base.execute("SELECT DISTINCT pictures.source FROM pictures JOIN planned USING (name)"):
            yield source

    def _see_the_same(self, task: Task, settings: str) -> None:
        """What is named twice is painted once, but two outputs of one name are a mistake."""
        other, asked = self._base.execute(
            "SELECT planned.source, settings FROM planned JOIN pictures USING (name) WHERE name = ?", (task.name,)
        ).fetchone()
        if other != task.words:
            raise ConfigError(f"{other} and {task.words} would both become {task.name}; give one another output")
        if asked != settings:
            raise ConfigError(f"{other}: would become {task.name} in two ways; give one of them another output")

    def refuse(self, name: str, source: str, error: str) -> None:
        """Write down what cannot even be tried."""
        self._base.execute("INSERT OR IGNORE INTO planned VALUES (?, ?)", (name, source))
        self._base.execute(
            "INSERT INTO pictures(name, source, status, error, changed) VALUES (?, ?, ?, ?, ?) ON CONFLICT(name) "
            "DO UPDATE SET source = excluded.source, status = excluded.status, error = excluded.error, "
            "changed = excluded.changed",
            (name, source, FAILED, error, _now()),
        )

    def counts(self) -> Counts:
        """How this run's pictures stand."""
        found = dict(self._base.execute("SELECT status, count(*) FROM pictures JOIN planned USING (name) GROUP BY 1"))
        changed = self._base.execute(
            "SELECT count(*) FROM pictures JOIN planned USING (name) WHERE status = 'waiting' AND made_stamp NOTNULL"
        ).fetchone()[0]
        return Counts(found.get(WAITING, 0), changed, found.get(DONE, 0), found.get(KEPT, 0), found.get(FAILED, 0))

    def waiting(self) -> Iterator[Task]:
        """This run's pictures that are to be painted, in the order of their names; memory does not grow with them."""
        last, known = "", _Settings()
        while True:
            rows = self._base.execute(
                "SELECT name, source, settings, stamp, member, offset, length FROM pictures WHERE status = 'waiting' "
                "AND name > ? AND name IN (SELECT name FROM planned) ORDER BY name LIMIT ?",
                (last, FETCHED),
            ).fetchall()
            if not rows:
                return
            for name, source, settings, stamp, *where in rows:
                yield Task(name, source, known[settings], stamp, *where)
            last = rows[-1][0]

    def troubles(self, status: str) -> Iterator[tuple[str, str]]:
        """Name and reason of this run's pictures that failed or were kept."""
        yield from self._base.execute(
            "SELECT name, error FROM pictures JOIN planned USING (name) WHERE status = ? ORDER BY name", (status,)
        )

    def note(self, done: Done) -> None:
        """Write down how a picture went, at once."""
        now = _now()
        finished = _iso(done.ended) if done.ended else now
        state = (FAILED if done.error else DONE, done.error, done.seconds, done.attempts, done.worker, finished, now)
        with self.writing():
            self._base.execute(
                "UPDATE pictures SET status = ?, error = ?, seconds = ?, attempts = ?, worker = ?, finished = ?, "
                "changed = ? WHERE name = ?",
                (*state, done.name),
            )
            if done.error is None:
                self._base.execute(
                    "UPDATE pictures SET made_stamp = stamp, made_settings = settings, bytes = ?, pixels = ? "
                    "WHERE name = ?",
                    (done.bytes, done.pixels, done.name),
                )

    def rows(self, names: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        """Whole rows, in the order of COLUMNS, of some pictures."""
        for name in names:
            yield from self._base.execute(f"SELECT {LISTED} FROM pictures WHERE name = ?", (name,))

    def planned_rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows that this run has written down."""
        yield from self._base.execute(f"SELECT {LISTED} FROM pictures WHERE name IN (SELECT name FROM planned)")

    def all_rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows of all runs."""
        yield from self._base.execute(f"SELECT {LISTED} FROM pictures")

    def take(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Learn what another ledger of the same folder knows; of two rows for a picture the later counts."""
        changed = list(COLUMNS).index("changed")
        with self.writing():
            for row in rows:
                mine = self._base.execute("SELECT changed FROM pictures WHERE name = ?", row[:1]).fetchone()
                if mine is None or row[changed] >= mine[0]:  # parts come oldest first
                    self._base.execute(TAKEN, row)

    def recall(self, key: str) -> Any:
        """Something else that a run found out; None where nobody has."""
        found = self._base.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return json.loads(found[0]) if found else None

    def remember(self, key: str, value: Any) -> None:
        """Keep it for the next run."""
        with told(self.path):
            self._base.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, json.dumps(value)))


class _Settings(dict[str, Asked]):
    """Settings by their text, each read once."""

    def __missing__(self, text: str) -> Asked:
        if len(self) > FETCHED:  # of a manifest in which every row is another
            self.clear()
        return self.setdefault(text, Asked.of(text))


def _state(known: tuple[Any, ...] | None, there: int, wanted: tuple[str, str]) -> tuple[str, str | None]:
    """What is to be done about a picture whose output is there. known: its row."""
    if known is None:
        return KEPT, FOREIGN
    status, made_stamp, made_settings, size = known
    if status == WAITING:  # begun, and perhaps finished, by a run that was killed before it could say so
        return WAITING, None
    if made_stamp is None:  # what fails leaves no file
        return KEPT, FOREIGN
    if there != size:
        return KEPT, f"has {there} bytes and was written with {size}: changed by somebody; --overwrite paints it anew"
    return (DONE, None) if (made_stamp, made_settings) == wanted else (WAITING, None)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """SQLite's errors in one line. A full disk is a PictureError, as it is where pictures are written."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "full" in text or "disk I/O" in text:
            raise PictureError(f"{path}: cannot be written ({text}); make room, then give the same command") from None
        raise ConfigError(f"{path}: is no ledger of upbrush's, or damaged ({text}); move it away") from None


def _now() -> str:
    return _iso(time.time())


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
