"""Answers in SQLite: written when they are given, whole when the power goes, deleted without a trace.

Journal mode WAL lets `survey report` read while people answer. `synchronous=FULL` waits for the disk at every answer:
it costs a few milliseconds, a person takes seconds, and not even a power cut loses an answer that was confirmed.
Kept of a person is what they answered and the minute in which they began and finished; no address, no browser. The
token that lets a browser go on is kept as a hash only.
"""

import hashlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from upbrush.errors import DataError
from upbrush.survey.plan import PAIR, RATE, Seen, Trial

VERSION = 1
PENDING_SECONDS = 2 * 3600  # for how long one who began and has not finished is expected to go on
_APPLICATION = 0x75705376  # "upSv": SQLite keeps it in the file's header
_SCHEMA = """
CREATE TABLE study (id TEXT NOT NULL) STRICT;
CREATE TABLE people (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, token BLOB NOT NULL UNIQUE,
    begun INTEGER NOT NULL, finished INTEGER, satisfaction INTEGER, comment TEXT
) STRICT;
CREATE TABLE plan (
    person INTEGER NOT NULL REFERENCES people ON DELETE CASCADE, position INTEGER NOT NULL,
    kind TEXT NOT NULL, item INTEGER NOT NULL, left INTEGER NOT NULL, right INTEGER,
    PRIMARY KEY (person, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE answers (
    person INTEGER NOT NULL, position INTEGER NOT NULL,
    choice TEXT NOT NULL, seconds REAL NOT NULL, scale REAL NOT NULL,
    PRIMARY KEY (person, position),
    FOREIGN KEY (person, position) REFERENCES plan ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Answer:
    """What was chosen. choice: left, right, tie, or 1 to 5. seconds: looked at. scale: screen px per picture px."""

    choice: str
    seconds: float
    scale: float


@dataclass(frozen=True)
class Person:
    """One who takes part. answers: as many of the plan's trials as were answered, in their order."""

    id: str
    number: int
    plan: tuple[Trial, ...]
    answers: tuple[Answer, ...]
    begun: int
    finished: int | None = None
    satisfaction: int | None = None
    comment: str | None = None


class Full(Exception):
    """As many people as are wanted have taken part."""


class Store:
    """The answers of one study. Any thread may use it."""

    def __init__(self, path: Path, study_id: str, *, create: bool) -> None:
        """Open, and make where there is none and `create` allows it.

        Raises DataError for a file that is missing, of a newer version, of another study or no database.
        """
        if not create and not path.is_file():
            raise DataError(f"{path}: there are no answers yet; let people answer by `upbrush survey serve`")
        self._path, self._lock = path, threading.Lock()
        with self._told():
            self._file = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            with self._told():
                self._prepare(study_id)
        except BaseException:
            self._file.close()
            raise

    def _prepare(self, study_id: str) -> None:
        run = self._file.execute
        tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        version, application = (run(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id"))
        if tables and application != _APPLICATION:
            raise DataError(f"{self._path}: is a database of another program; move it away")
        if version > VERSION:
            raise DataError(f"{self._path}: is of version {version}, this upbrush knows {VERSION}; use a newer upbrush")
        for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            run(f"PRAGMA {setting}")
        if not tables:
            marks = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {VERSION}"
            with self._change():
                for statement in f"{_SCHEMA}; {marks}".split(";"):
                    run(statement)
                run("INSERT INTO study VALUES (?)", (study_id,))
        [found] = run("SELECT id FROM study").fetchone()
        if found != study_id:
            raise DataError(f"{self._path}: holds the answers of another study; move it to its own folder")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(f"{self._path}: cannot be used as a database ({error}); restore or move it away") from None

    @contextmanager
    def _change(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """All that is done inside, or nothing of it."""
        with self._lock:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield self._file.execute
                self._file.execute("COMMIT")
            except BaseException:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise

    def begin(self, drawn: Callable[[int, Seen], list[Trial]], most_people: int | None = None) -> str:
        """Take one more person in; gives the token that this person goes on with.

        drawn: from the person's number and what was seen so far to a plan. Raises Full.
        """
        token = secrets.token_urlsafe(24)
        now = int(time.time()) // 60 * 60
        with self._change() as run:
            if most_people is not None and run("SELECT count(*) FROM people").fetchone()[0] >= most_people:
                raise Full
            seen = self._seen(run, now - PENDING_SECONDS)
            values = (secrets.token_hex(5), _hash(token), now)
            number = run("INSERT INTO people (id, token, begun) VALUES (?, ?, ?)", values).lastrowid
            assert number is not None
            for position, trial in enumerate(drawn(number, seen)):
                row = (number, position, trial.kind, trial.item, trial.left, trial.right)
                run("INSERT INTO plan VALUES (?, ?, ?, ?, ?, ?)", row)
        return token

    @staticmethod
    def _seen(run: Callable[..., sqlite3.Cursor], since: int) -> Seen:
        """How often each pair was shown, counting what people who are at it now still have before them."""
        rows = run(
            "SELECT item, min(left, right) first, max(left, right) second, count(*), sum(left < right)"
            " FROM plan JOIN people ON number = person LEFT JOIN answers USING (person, position)"
            " WHERE kind = ? AND (choice IS NOT NULL OR (finished IS NULL AND begun > ?))"
            " GROUP BY item, first, second",
            (PAIR, since),
        )
        return {(item, first, second): (shown, lefts) for item, first, second, shown, lefts in rows}

    def person(self, token: str) -> Person | None:
        """Find who has this token."""
        with self._lock:
            found = self._people("WHERE token = ?", (_hash(token),))
        return found[0] if found else None

    def by_number(self, number: int) -> Person | None:
        """Find a person who may have been deleted."""
        with self._lock:
            found = self._people("WHERE number = ?", (number,))
        return found[0] if found else None

    def people(self) -> list[Person]:
        """Everyone, in the order in which they came. Raises DataError for a damaged database."""
        with self._lock, self._told():
            return self._people("", ())

    def _people(self, where: str, values: tuple[object, ...]) -> list[Person]:
        run = self._file.execute
        columns = "number, id, begun, finished, satisfaction, comment"
        found = []
        for number, id, *rest in run(f"SELECT {columns} FROM people {where} ORDER BY number", values).fetchall():
            mine = "WHERE person = ? ORDER BY position"
            plan = run(f"SELECT kind, item, left, right FROM plan {mine}", (number,)).fetchall()
            given = run(f"SELECT choice, seconds, scale FROM answers {mine}", (number,)).fetchall()
            trials, answers = tuple(Trial(*row) for row in plan), tuple(Answer(*row) for row in given)
            found.append(Person(id, number, trials, answers, *rest))
        return found

    def answer(self, person: Person, position: int, answer: Answer) -> None:
        """Keep an answer to the next question; the same one again, as after a lost reply, changes nothing.

        Raises ValueError for an answer that the question does not have, and for a question that is not next.
        """
        if not 0 <= position < len(person.plan):
            raise ValueError(f"there is no question {position}")
        rating = person.plan[position].kind == RATE
        if answer.choice not in (("1", "2", "3", "4", "5") if rating else ("left", "right", "tie")):
            raise ValueError("that is no answer to this question")
        with self._change() as run:
            [given] = run("SELECT count(*) FROM answers WHERE person = ?", (person.number,)).fetchone()
            if position > given:
                raise ValueError(f"question {given} comes before {position}")
            row = (person.number, position, answer.choice, answer.seconds, answer.scale)
            run("INSERT INTO answers VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row)

    def finish(self, person: Person, satisfaction: int, comment: str) -> None:
        """Keep what is asked at the end, once. Raises ValueError where questions are still open."""
        with self._change() as run:
            [given] = run("SELECT count(*) FROM answers WHERE person = ?", (person.number,)).fetchone()
            if given < len(person.plan):
                raise ValueError(f"{len(person.plan) - given} questions are still open")
            values: Mapping[str, object] = {
                "now": int(time.time()) // 60 * 60, "satisfaction": satisfaction, "comment": comment or None,
                "number": person.number,
            }  # fmt: skip
            run(
                "UPDATE people SET finished = :now, satisfaction = :satisfaction, comment = :comment"
                " WHERE number = :number AND finished IS NULL",
                values,
            )

    def delete(self, id: str) -> bool:
        """Delete one person with all answers, so that no byte of them stays in the files; tells whether there was one.

        Raises DataError for a damaged database.
        """
        with self._told():
            with self._change() as run:
                found = run("DELETE FROM people WHERE id = ?", (id,)).rowcount > 0
            if found:  # what was in the journal goes, too
                self._file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return found

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._file.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
