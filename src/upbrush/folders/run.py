"""A whole run: what is meant is written down, what is missing or changed is painted, how each went is written down."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from upbrush.batch import probe, suffix_of
from upbrush.engine import ENGINES
from upbrush.errors import PictureError, UpbrushError
from upbrush.folders import claim, local, places
from upbrush.folders.cluster import Pool
from upbrush.folders.easel import Materials, style_of
from upbrush.folders.ledger import NAME, Counts, Ledger
from upbrush.folders.local import Hands
from upbrush.folders.parts import FOLDER, Parts
from upbrush.folders.planning import plan
from upbrush.folders.split import Split
from upbrush.folders.task import Asked, Done

PART_SECONDS = 60.0  # what a ledger in Parquet may be behind


@dataclass(frozen=True)
class Wanted:
    """A run that is asked for.

    inputs: as on the command line. out: a folder or its address. asked: of all pictures, but where a manifest says
    otherwise. materials: without styles and identity, which are found here. ray: the cluster's address, or None.
    """

    inputs: Sequence[str]
    out: str
    asked: Asked
    materials: Materials
    overwrite: bool = False
    hands: Hands = Hands()
    ray: str | None = None
    pool: Pool = Pool()


class Run:
    """One run, planned. counts: how its pictures stood before painting. ignored: files that are no pictures."""

    def __init__(
        self, wanted: Wanted, ledger: Ledger, parts: Parts | None, ignored: int, held: claim.Held | None = None
    ) -> None:
        self.wanted, self.ledger, self.ignored, self._parts, self._held = wanted, ledger, ignored, parts, held
        self.counts: Counts = ledger.counts()

    def paint(self, chosen: Callable[[Split, bool], None] = lambda split, measured: None) -> Iterator[Done]:
        """Paint what waits, and say how each went when it has been written down.

        chosen: called with the processes and threads of this machine, and whether they were measured. Raises
        PictureError where nothing can be written any more, ConfigError, and UpbrushError of a model that does not work.
        """
        if not self.counts.waiting:
            return
        if self._parts:
            self._parts.write(self.ledger.planned_rows())  # from now on, all that is there of these names is ours
        fresh: list[str] = []
        written = time.monotonic()
        try:
            for done in self._painted(chosen):
                if not done.full:  # it still waits
                    self.ledger.note(done)
                    fresh.append(done.name)
                yield done
                if self._held:
                    self._held.check()
                if done.full:
                    raise PictureError(f"{done.error}; nothing painted is lost, the same command goes on from there")
                if self._parts and time.monotonic() - written > PART_SECONDS:
                    self._parts.write(self.ledger.rows(fresh))
                    fresh, written = [], time.monotonic()
        finally:
            if self._parts and fresh:
                self._parts.write(self.ledger.rows(fresh))
                self._parts.tidy(self.ledger.all_rows())

    def _painted(self, chosen: Callable[[Split, bool], None]) -> Iterator[Done]:
        if self.wanted.ray is None:
            return local.paint(self.ledger, self.wanted.materials, self.wanted.hands, chosen)
        from upbrush.folders import cluster

        return cluster.paint(self.ledger, self.wanted.materials, self.wanted.ray, self.wanted.pool)

    @property
    def where(self) -> str:
        """The ledger's place, for people."""
        return places.join(self.wanted.out, FOLDER) if self._parts else str(self.ledger.path)


@contextmanager
def planned(wanted: Wanted, refused: Callable[[str], None] = lambda line: None) -> Iterator[Run]:
    """Plan a run; its ledger is held for as long as this lasts.

    The ledger is SQLite in an output folder on this machine's disks. From a cluster, and for an output that is an
    address, it is Parquet, with SQLite as a working copy; at an address a claim stands for SQLite's lock. refused:
    called with one line for each picture that cannot be tried. Raises ConfigError, PictureError, StyleError and
    WeightsError for all that can be seen before painting.
    """
    wanted = _equipped(replace(wanted, out=places.plain(wanted.out)))
    out, held = wanted.out, None
    with ExitStack() as stack:
        if places.is_address(out):
            places.is_folder(out)  # asked, so that what cannot be opened is told before anything is done
            held = stack.enter_context(claim.held(out))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="upbrush-")))
        else:
            folder = Path(out)
            if folder.exists() and not folder.is_dir():
                raise PictureError(f"{out}: is a file; several pictures need a folder")
            probe(folder)
        known = (folder / NAME).exists()
        ledger = Ledger(folder / NAME)
        stack.callback(ledger.close)
        parts = Parts(out) if places.is_address(out) or wanted.ray else None
        if parts or (folder / FOLDER).is_dir():
            ledger.take((parts or Parts(out)).read())
        try:
            ignored = plan(wanted.inputs, out, wanted.asked, ledger, wanted.overwrite, refused)
        except UpbrushError:
            if not known:  # leave nothing where nothing was planned
                ledger.remove()
                with suppress(OSError):
                    folder.rmdir()
            raise
        yield Run(wanted, ledger, parts, ignored, held)


def _equipped(wanted: Wanted) -> Wanted:
    """With the style made and the model known, on this machine, whose engine need not be that of the cluster."""
    given, words = wanted.materials, wanted.asked.style
    suffix_of(wanted.asked.format)  # one that cannot be written fails here, not once for every picture
    painter = (replace(given, engine="auto") if wanted.ray else given).painter()
    made = {} if words is None else {words: style_of(words, painter)}
    engine = ENGINES[0] if given.engine == "auto" else given.engine
    asked = replace(wanted.asked, model=painter.engine.identity, engine=engine)
    materials = replace(given, out=wanted.out, styles=made, identity=painter.engine.identity)
    return replace(wanted, asked=asked, materials=materials)
