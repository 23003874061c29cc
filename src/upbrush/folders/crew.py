"""Worker processes that may die: each has a pipe of its own, so that one that is killed takes nothing with it.

Pools that share queues are not for this: a worker killed while it holds the queue's lock stops all of them, and
concurrent.futures gives the whole pool up when one process dies.
"""

import logging
import multiprocessing
import queue
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from upbrush import saving
from upbrush.errors import ConfigError, UpbrushError
from upbrush.folders import places
from upbrush.folders.easel import Easel, Materials, fetched
from upbrush.folders.task import Done, Task

AHEAD = 2  # tasks a worker has: the one that it paints, and the next
TRIES = 3  # workers that one picture may kill
START_TRIES = 3  # workers in a row that may die before they are ready
SECONDS_TO_END = 5.0  # a tile may take as long; then a worker is killed
logger = logging.getLogger(__name__)
_spawn = multiprocessing.get_context("spawn")  # of a process with threads, a fork may hang


class Crew:
    """So many processes, each with an easel of its own.

    Used as a context: at its end, whatever the reason, its processes end.
    """

    def __init__(self, materials: Materials, processes: int) -> None:
        self._materials = materials
        self._workers = [_Worker(materials) for _ in range(processes)]
        self._died_unready = 0

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.dismiss()
        for worker in self._workers:
            worker.end()
            self._remove_parts(worker)

    def paint(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Paint all tasks and say how each went, in the order of their ends.

        The picture that a worker was killed over is painted again by another, up to three times, and then given up.
        Raises UpbrushError where workers cannot open the model, or die before they are ready.
        """
        again, source = deque[tuple[Task, int]](), iter(tasks)
        while True:
            for worker in sorted(self._workers, key=lambda one: len(one.tasks)):
                while len(worker.tasks) < AHEAD and (given := _next(again, source)):
                    worker.give(*given)
            busy = [worker.pipe for worker in self._workers if worker.tasks]
            if not busy:
                return
            for pipe in wait(busy):
                at = next(number for number, worker in enumerate(self._workers) if worker.pipe is pipe)
                yield from self._heard(at, again)

    def _heard(self, at: int, again: deque[tuple[Task, int]]) -> Iterator[Done]:
        worker = self._workers[at]
        try:
            answer = worker.pipe.recv()
        except (EOFError, OSError):
            self._workers[at] = _Worker(self._materials)
            yield from self._buried(worker, again)
            return
        if isinstance(answer, Done):
            _, tries = worker.tasks.popleft()
            yield answer.tried(tries)
        elif isinstance(answer, str):  # ready: it tells how its unfinished files begin
            worker.tag, self._died_unready = answer, 0
        else:
            raise answer

    def _buried(self, worker: "_Worker", again: deque[tuple[Task, int]]) -> Iterator[Done]:
        """A worker has died: its first task is tried again or given up, the next one was not begun."""
        cause = worker.end()
        self._remove_parts(worker)
        if not worker.tag:
            self._died_unready += 1
            if self._died_unready >= START_TRIES:
                raise ConfigError(
                    f"workers die before they are ready ({cause}); give fewer --processes, or less --memory"
                )
            again.extendleft(reversed([(task, tries - 1) for task, tries in worker.tasks]))
            return
        (task, tries), *others = worker.tasks
        again.extendleft(reversed([(other, before - 1) for other, before in others]))
        if tries < TRIES:
            logger.warning("a worker ended (%s) over %s; another tries it again", cause, task.words)
            again.append((task, tries))
            return
        fault = f"{task.words}: {tries} workers ended over it ({cause}); it may need more memory than there is"
        yield Done(task.name, fault, attempts=tries)

    def _remove_parts(self, worker: "_Worker") -> None:
        """What a killed worker had begun to write."""
        for folder in {places.parent(places.join(self._materials.out, task.name)) for task, _ in worker.tasks}:
            if worker.tag and not places.is_address(folder):
                for part in Path(folder).glob(f".{worker.tag}-*.part"):
                    part.unlink(missing_ok=True)


class _Worker:
    """One process, as its crew sees it. tasks: what it has, each with the number of this try. tag: see _work."""

    def __init__(self, materials: Materials) -> None:
        self.pipe, theirs = _spawn.Pipe()
        self.process: SpawnProcess = _spawn.Process(target=_work, args=(theirs, materials), daemon=True)
        self.process.start()
        theirs.close()  # so that its end is heard when the process ends
        self.tasks = deque[tuple[Task, int]]()
        self.tag = ""

    def give(self, task: Task, tries: int) -> None:
        """One more task; whether the process lives is heard from its pipe."""
        self.tasks.append((task, tries + 1))
        with suppress(OSError):
            self.pipe.send(task)

    def dismiss(self) -> None:
        """Have it end after this tile."""
        if self.process.is_alive():
            self.process.terminate()

    def end(self) -> str:
        """See that it has ended, and say how."""
        self.process.join(SECONDS_TO_END)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()
        code = self.process.exitcode or 0
        with suppress(ValueError):
            return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"signal {-code}"


def _next(again: deque[tuple[Task, int]], source: Iterator[Task]) -> tuple[Task, int] | None:
    """The next task and how often it was begun; what is to be tried again comes when all is given out."""
    if again and not again[0][1]:
        return again.popleft()
    task = next(source, None)
    if task is not None:
        return task, 0
    return again.popleft() if again else None


def _given(pipe: Connection) -> Iterator[tuple[Task, bytes | None]]:
    """The tasks that come, each with what had to be fetched for it: the next one's while this one is painted."""
    waiting: queue.Queue[tuple[Task, bytes | None] | None] = queue.Queue(1)

    def read() -> None:
        with suppress(EOFError, OSError):
            while True:
                task: Task = pipe.recv()
                waiting.put((task, fetched(task)))
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    while given := waiting.get():
        yield given


def _work(pipe: Connection, materials: Materials) -> None:
    """What a worker does. It tells its tag, which begins the names of its unfinished files, then how each task went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the crew ends us
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what is half-written is removed
    logging.getLogger("upbrush").propagate = False  # the easel hears it, and the crew tells it
    with suppress(KeyboardInterrupt, EOFError, BrokenPipeError, ConnectionResetError):
        try:
            easel = Easel(materials)
            pipe.send(saving.process_tag())
            for task, data in _given(pipe):
                try:
                    done = easel.paint(task, data)
                except UpbrushError:
                    raise
                except Exception as error:  # noqa: BLE001  a mistake of ours over one picture stops no other
                    fault = (
                        f"{task.words}: {type(error).__name__}: {error}; this is a fault of upbrush, please report it"
                    )
                    done = Done(task.name, " ".join(fault.split()), worker=easel.name)
                pipe.send(done)
        except UpbrushError as error:
            pipe.send(error)
