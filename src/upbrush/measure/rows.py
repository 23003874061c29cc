"""What was measured of one output, and the file that keeps it, so that a stopped measurement goes on where it was.

A row's key is made of everything that its numbers depend on: settings, weights, and each file's path, size and time. A
file that changed is measured again; nothing else is.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from upbrush.errors import DataError

VERSION = 4  # of what the numbers mean; rows of another version are measured again


@dataclass
class Row:
    """values: metric -> number, None where the picture has none. vectors: what distances between sets are made of."""

    key: str
    method: str
    name: str
    values: dict[str, float | None]
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def key_of(settings: Mapping[str, object], files: Sequence[Path]) -> str:
    """The key of the row that these settings and files give."""
    stamps = [(str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    whole = json.dumps([VERSION, dict(settings), stamps], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:24]


class Store:
    """Rows on disk, one a line, each there as soon as it is measured. path: made when the first row comes."""

    def __init__(self, path: Path):
        self.path = path

    def load(self, wanted: Iterable[str]) -> dict[str, Row]:
        """The rows that are wanted, by key; others, and a line cut short by a kill, are dropped from the file."""
        if not self.path.is_file():
            return {}
        keep = set(wanted)
        rows = {}
        for line in self.path.read_bytes().split(b"\n"):
            try:
                tree = json.loads(line)
                row = Row(tree["key"], tree["method"], tree["name"], tree["values"], _unpacked(tree["vectors"]))
            except (ValueError, KeyError, TypeError):
                continue  # the last line, written by half
            if row.key in keep:
                rows[row.key] = row
        part = self.path.with_name(self.path.name + ".part")
        part.write_text("".join(map(_line, rows.values())), encoding="utf-8")
        os.replace(part, self.path)
        return rows

    def append(self, row: Row) -> None:
        """Keep a row. Raises DataError where it cannot be written."""
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(_line(row))
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written ({error.strerror}); make room or choose another") from None


def _line(row: Row) -> str:
    vectors = {
        name: base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode() for name, vector in row.vectors.items()
    }
    tree = {"key": row.key, "method": row.method, "name": row.name, "values": row.values, "vectors": vectors}
    return json.dumps(tree) + "\n"


def _unpacked(vectors: Mapping[str, str]) -> dict[str, NDArray[np.float32]]:
    return {name: np.frombuffer(base64.b64decode(text), "<f4") for name, text in vectors.items()}
