"""Processes that paint, and the line before them: previews first, then paintings, then jobs.

One order at a time goes to a worker. A worker that dies takes only its own order with it, and is replaced. One
worker is never given to jobs where there are two, so that sliders stay live while a folder is painted.
"""

import asyncio
import contextlib
import heapq
import itertools
import json
import logging
import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from upbrush.web.frames import CHUNK_BYTES, BrokenLine, Nonsense, order_head, packed, received
from upbrush.web.metrics import Metrics
from upbrush.web.orders import Bench, Order, Part
from upbrush.web.problems import BUSY, UNFIT, Problem, failed, limit

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
CALL_OFF_SECONDS = 10.0  # for a worker to notice that nobody waits any more; it looks after each tile
MOST_PAUSE_SECONDS = 30.0  # between two tries to start a worker that does not start
MOST_RETRY_AFTER = 120

Told = Callable[[int, int], None]
Load = Callable[[], Awaitable[Sequence[Part]]]
Sink = Callable[[bytes], Awaitable[None]]


class CalledOff(Exception):
    """Nobody waited any more, and the worker has stopped painting."""


class Lane(IntEnum):
    """Who goes first."""

    PREVIEW = 0
    NOW = 1
    JOB = 2


@dataclass(frozen=True, eq=False)
class Answer:
    """What a worker gave: bytes (none where they went to a sink), facts, and how long it was waited for."""

    data: bytes
    facts: dict[str, Any]
    waited_ms: float


@dataclass(order=True)
class _Ticket:
    lane: Lane
    number: int
    worker: "asyncio.Future[_Worker]" = field(compare=False)


class _Worker:
    """One process, seen from the service."""

    def __init__(self, process: asyncio.subprocess.Process, most_bytes: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.lane = process, Lane.NOW
        self._in, self._out, self._most_bytes = process.stdin, process.stdout, most_bytes
        self.begun = self.off = False

    async def ready(self) -> str | None:
        """Wait until it can paint; gives why it cannot, in words for the user."""
        async with asyncio.timeout(START_SECONDS):
            head, _ = await received(self._out, 0)
        return None if head.get("told") == "ready" else str(head.get("message", "the model could not be opened"))

    async def ask(self, order: Order, parts: Sequence[Part], told: Told | None, sink: Sink | None) -> Answer:
        """Give an order and wait for what comes of it: never cancelled halfway, or messages would be taken for others.

        Raises Problem, or BrokenLine where the process died and where the order was called off.
        """
        self.begun = self.off = False
        try:
            self._in.write(order_head(order, parts))
            for part in parts:  # with no pause between, so that no cancelling gets among them
                self._in.write(part.data)
            await self._in.drain()
            return await self._answer(told, sink)
        except (KeyError, ValueError, TypeError) as error:
            raise Nonsense(f"{type(error).__name__}: {error}") from None
        except (ConnectionError, RuntimeError) as error:
            raise BrokenLine(str(error)) from None

    async def _answer(self, told: Told | None, sink: Sink | None) -> Answer:
        """What comes of an order. A head that is not as it should be raises what reading it raises."""
        chunks: list[bytes] = []
        total = 0
        while True:
            head, data = await received(self._out, CHUNK_BYTES)
            self.begun = True
            match head["told"]:
                case "progress":
                    if told and not self.off:
                        told(int(head["done"]), int(head["total"]))
                case "part":
                    total += len(data)
                    if total > self._most_bytes:
                        raise Nonsense(f"{total} bytes of a result")
                    if sink is None:
                        chunks.append(data)
                    elif not self.off:
                        await sink(data)
                case "done":
                    return Answer(b"".join(chunks), dict(head["facts"]), 0.0)
                case "problem" | "failed":
                    raise failed(head)
                case "cancelled":
                    raise CalledOff

    def call_off(self) -> None:
        """Tell it that nobody waits any more."""
        self.off = True
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._in.write(packed({"cancel": True}))

    def kill(self) -> None:
        """End the process, and let go of its pipes."""
        self._in.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


class Pool:
    """Workers and the line before them. size: how many processes."""

    def __init__(self, bench: Bench, size: int, metrics: Metrics) -> None:
        self._bench, self._size, self._metrics = bench, size, metrics
        self._limits = bench.limits
        self._idle: list[_Worker] = []
        self._alive: set[_Worker] = set()
        self._workers: set[_Worker] = set()  # those that start and that end, too
        self._line: list[_Ticket] = []
        self._numbers = itertools.count()
        self._jobs_running = 0
        self._mean_seconds = 1.0
        self._background: set[asyncio.Task[None]] = set()
        self._broken: str | None = None
        self._closing = False
        metrics.watch("upbrush_waiting", "Orders in line.", lambda: len(self._line))
        metrics.watch("upbrush_workers", "Workers that are up.", lambda: len(self._alive))
        metrics.watch("upbrush_workers_idle", "Workers with nothing to do.", lambda: len(self._idle))

    @property
    def ready(self) -> bool:
        """Whether there is a worker at all."""
        return bool(self._alive)

    @property
    def job_places(self) -> int:
        """How many orders of jobs may be painted at once."""
        return max(1, self._size - 1)

    async def start(self) -> None:
        """Start the workers; they come up one after the other, and orders may be given already."""
        for _ in range(self._size):
            self._spawn(self._keep())

    async def stop(self) -> None:
        """End everything, also what is being painted."""
        self._closing = True
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await asyncio.gather(*(self._end(worker) for worker in list(self._workers)))

    async def run(
        self, order: Order, load: Load, lane: Lane, *, told: Told | None = None, sink: Sink | None = None
    ) -> Answer:
        """Wait for a worker and have it do an order.

        load: gives the parts when their turn has come, so that what waits is not in memory. told: called with tiles
        done and in all. sink: takes the result piece by piece, where it is too large to hold.
        Raises Problem; when the waiting task is cancelled, what is being painted is called off.
        """
        seconds = self._limits.job_seconds if lane is Lane.JOB else self._limits.seconds
        while True:
            start = asyncio.get_running_loop().time()
            worker = await self._worker(lane)
            waited_ms = 1000 * (asyncio.get_running_loop().time() - start)
            try:
                parts = await load()
            except BaseException:
                self._give_back(worker)
                raise
            asked = asyncio.ensure_future(worker.ask(order, parts, told, sink))
            del parts
            try:
                answer = await asyncio.wait_for(asyncio.shield(asked), seconds)
            except BrokenLine as error:
                self._bury(worker)
                if not worker.begun and not isinstance(error, Nonsense):  # it was dead before the order came to it
                    continue
                logger.warning("a worker died over an order (%s)", error)
                raise _fatal(order) from None
            except TimeoutError:
                self._spawn(self._call_off(worker, asked))
                words = "send it as a job (POST /v1/jobs), or ask for less" if lane is not Lane.JOB else "ask for less"
                raise limit(f"the picture: took more than {seconds:g} seconds; {words}") from None
            except asyncio.CancelledError:
                self._spawn(self._call_off(worker, asked))
                raise
            except Problem:
                self._give_back(worker)
                raise
            except OSError:  # of the sink, as of a full disk: what is left in the pipe is nobody's
                self._bury(worker)
                raise
            self._count(asyncio.get_running_loop().time() - start - waited_ms / 1000)
            self._give_back(worker)
            self._metrics.painted(order.kind, waited_ms, answer.facts.get("ms", {}))
            return Answer(answer.data, answer.facts, waited_ms)

    @contextlib.asynccontextmanager
    async def place(self, lane: Lane) -> AsyncIterator[None]:
        """Wait in line, and have a worker stand idle meanwhile: for what another process does. Raises as `run`."""
        worker = await self._worker(lane)
        try:
            yield
        finally:
            self._give_back(worker)

    def _count(self, seconds: float) -> None:
        self._mean_seconds += 0.1 * (seconds - self._mean_seconds)

    async def _worker(self, lane: Lane) -> _Worker:
        """Wait in line. Raises Problem 429 where the line is full, 503 where no worker can start."""
        if self._broken is not None and not self._alive:
            raise Problem(503, "ReadyError", self._broken, 30)
        ahead = sum(ticket.lane is not Lane.JOB for ticket in self._line)
        if lane is not Lane.JOB and ahead >= self._limits.waiting:
            wait = min(MOST_RETRY_AFTER, math.ceil((ahead + 1) * self._mean_seconds / self._size))
            raise Problem(
                BUSY, "BusyError", f"{ahead} pictures wait already; try again in {wait} seconds", max(1, wait)
            )
        ticket = _Ticket(lane, next(self._numbers), asyncio.get_running_loop().create_future())
        heapq.heappush(self._line, ticket)
        self._deal()
        try:
            return await ticket.worker
        except asyncio.CancelledError:
            if ticket in self._line:
                self._line.remove(ticket)
                heapq.heapify(self._line)
            elif not ticket.worker.cancelled():
                self._give_back(ticket.worker.result())
            raise

    def _deal(self) -> None:
        """Give idle workers to those in front."""
        while self._idle and self._line:
            lane = self._line[0].lane
            if lane is Lane.JOB and self._jobs_running >= self.job_places:
                return
            ticket = heapq.heappop(self._line)
            if ticket.worker.done():  # nobody waits there any more
                continue
            worker = self._idle.pop()
            worker.lane = lane
            self._jobs_running += lane is Lane.JOB
            ticket.worker.set_result(worker)

    def _give_back(self, worker: _Worker) -> None:
        self._jobs_running -= worker.lane is Lane.JOB
        worker.lane = Lane.NOW
        if worker in self._alive:
            self._idle.append(worker)
        self._deal()

    def _bury(self, worker: _Worker) -> None:
        """A worker that died, or is not to be trusted any more: `_keep` starts another."""
        worker.kill()
        self._alive.discard(worker)
        self._give_back(worker)

    async def _call_off(self, worker: _Worker, asked: "asyncio.Future[Answer]") -> None:
        worker.call_off()
        try:
            await asyncio.wait_for(asked, CALL_OFF_SECONDS)
        except (TimeoutError, BrokenLine):
            self._bury(worker)
        except (CalledOff, Problem):
            self._give_back(worker)
        else:
            self._give_back(worker)

    async def _keep(self) -> None:
        """Keep one worker up: start it, wait until it dies, start another."""
        pause = 0.5
        while not self._closing:
            worker = await self._started()
            if worker is None:
                await asyncio.sleep(pause)
                pause = min(MOST_PAUSE_SECONDS, 2 * pause)
                continue
            pause = 0.5
            self._alive.add(worker)
            self._idle.append(worker)
            self._deal()
            code = await worker.process.wait()
            await self._end(worker)
            self._alive.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)
            if not self._closing:
                self._metrics.deaths.inc()
                logger.warning("a worker died (exit code %s) and is replaced", code)

    async def _started(self) -> _Worker | None:
        """A worker that is ready, or None where it does not start."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "upbrush.web.worker", json.dumps(self._bench.plain()),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=CHUNK_BYTES,
        )  # fmt: skip
        worker = _Worker(process, 8 * self._limits.result_pixels + CHUNK_BYTES)
        self._workers.add(worker)
        try:
            broken = await worker.ready()
        except (BrokenLine, TimeoutError) as error:
            broken = f"a worker does not start ({error}); the service's log tells why"
        if broken is None:
            self._broken = None
            return worker
        self._broken = broken
        logger.error("%s", broken)
        await self._end(worker)
        return None

    async def _end(self, worker: _Worker) -> None:
        """End a process and let go of all that is left of it."""
        worker.kill()
        await worker.process.wait()
        self._workers.discard(worker)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _fatal(order: Order) -> Problem:
    what = "a style's picture or the picture" if order.kind != "list" else "the zip"
    return Problem(
        UNFIT, "PictureError", f"{what}: brought down the process that read it; save it anew in another program"
    )
