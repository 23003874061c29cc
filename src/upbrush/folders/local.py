"""A plan painted on this machine: by as many processes as are quickest, each outcome written down when it is there."""

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from upbrush import sizes
from upbrush.folders import split
from upbrush.folders.crew import Crew
from upbrush.folders.easel import Materials
from upbrush.folders.ledger import Ledger
from upbrush.folders.split import Split, Trial
from upbrush.folders.task import Done, Task


@dataclass(frozen=True)
class Hands:
    """Who paints on this machine. processes, threads: None where the quickest is to be found out."""

    processes: int | None = None
    threads: int | None = None


def paint(ledger: Ledger, materials: Materials, hands: Hands, chosen: Callable[[Split, bool], None]) -> Iterator[Done]:
    """Paint all that waits in the ledger and say how each went.

    chosen: called with the split, and whether it was measured, before the first picture or after
    the trial. Raises ConfigError for more processes than memory holds.
    """
    cores, waiting = split.cores(), ledger.counts().waiting
    there, memory = split.memory_there(), sizes.memory_bytes(materials.memory)
    ways = split.candidates(cores, waiting, memory, there, hands.processes, hands.threads)

    def gather(way: Split) -> Crew:
        return Crew(replace(materials, threads=way.threads), way.processes)

    key = f"split {platform.node()} {cores} {materials.engine} {materials.identity}"
    known = ledger.recall(key)
    tasks = ledger.waiting()
    if known and Split(*known) in ways:
        chosen(Split(*known), True)
        best = Split(*known)
    elif split.is_worth_trying(ways, cores, waiting):
        trial = Trial(ways, gather)
        yield from trial.paint(tasks)
        best = trial.best
        if trial.speeds:
            ledger.remember(key, (best.processes, best.threads))
            chosen(best, True)
    else:
        best = ways[0]
        chosen(best, False)
    yield from _by(gather, best, tasks)


def _by(gather: Callable[[Split], Crew], way: Split, tasks: Iterator[Task]) -> Iterator[Done]:
    first = next(tasks, None)
    if first is None:  # the trial was enough
        return
    with gather(way) as crew:
        yield from crew.paint(_all(first, tasks))


def _all(first: Task, others: Iterable[Task]) -> Iterator[Task]:
    yield first
    yield from others
