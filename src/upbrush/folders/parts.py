"""The ledger as Parquet, beside pictures that are far away: each part adds rows, and the later row counts.

SQLite wants a disk of its own. A cluster, or an output in an object store, writes parts: what is planned before it
begins, then what is done, every minute and at the end.
"""

import io
import secrets
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

from upbrush.errors import ConfigError
from upbrush.folders import places
from upbrush.folders.ledger import COLUMNS

FOLDER = "upbrush-ledger"
MOST_PARTS = 50  # more are made one at the end of a run
EACH = 50_000  # rows held while a part is written


class Parts:
    """The Parquet ledger of an output folder."""

    def __init__(self, out: str) -> None:
        if not find_spec("pyarrow"):
            raise ConfigError('a ledger in Parquet needs pyarrow; pip install "upbrush[batch]"')
        self.folder = places.join(out, FOLDER)

    def write(self, rows: Iterable[tuple[Any, ...]]) -> int:
        """Add a part; returns its rows. Nothing is written for none. Raises PictureError where it cannot be."""
        import pyarrow
        from pyarrow import parquet

        buffer, number = io.BytesIO(), 0
        with parquet.ParquetWriter(buffer, _schema(), compression="zstd") as writer:
            for some in _grouped(rows):
                number += len(some)
                columns = [
                    pyarrow.array(column, kind)
                    for column, kind in zip(zip(*some, strict=True), _schema().types, strict=True)
                ]
                writer.write_table(pyarrow.table(columns, schema=_schema()))
        if number:
            name = f"part-{time.time_ns():020d}-{secrets.token_hex(4)}.parquet"
            places.write(places.join(self.folder, name), buffer.getvalue())
        return number

    def read(self) -> Iterator[tuple[Any, ...]]:
        """All rows, oldest part first. Raises ConfigError for a part that is damaged."""
        import pyarrow
        from pyarrow import parquet

        for place in self._places():
            with places.opened(place) as file:
                try:
                    for some in parquet.ParquetFile(file).iter_batches(batch_size=EACH, columns=list(COLUMNS)):
                        yield from zip(*(column.to_pylist() for column in some.columns), strict=True)
                except (pyarrow.ArrowException, KeyError) as error:
                    told = str(error).splitlines()[0]
                    raise ConfigError(f"{place}: is no part of a ledger, or damaged ({told}); move it away") from None

    def tidy(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Where parts have become many, write one with all rows, then remove them."""
        old = self._places()
        if len(old) > MOST_PARTS and self.write(rows):
            for place in old:
                places.remove(place)

    def _places(self) -> list[str]:
        try:
            if not places.is_folder(self.folder):
                return []
            return [one.place for one in places.files(self.folder) if one.name.endswith(".parquet")]
        except FileNotFoundError:
            return []


def _schema() -> Any:
    import pyarrow

    kinds = {"TEXT": pyarrow.string(), "INTEGER": pyarrow.int64(), "REAL": pyarrow.float64()}
    return pyarrow.schema([(name, kinds[kind.split()[0]]) for name, kind in COLUMNS.items()])


def _grouped(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    some: list[tuple[Any, ...]] = []
    for row in rows:
        some.append(row)
        if len(some) == EACH:
            yield some
            some = []
    if some:
        yield some
