"""Jobs are painted: huey keeps the queue, in SQLite or in Redis, and the pool paints picture by picture.

The queue forgets a job when it hands it out, so it alone would lose what is killed in the middle. The ledger does not:
who starts a service queues again whatever has not ended and nobody holds. A job that is queued twice is painted once,
because its lock has one holder; a picture whose result is there is not painted again.
"""

import asyncio
import concurrent.futures
import json
import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import Timeout
from huey import RedisHuey, SqliteHuey
from huey.api import Huey
from huey.consumer import Consumer
from huey.registry import Message

from upbrush.errors import ConfigError
from upbrush.web import ledger as ledgers
from upbrush.web.filming import Reel, Told, filmed
from upbrush.web.ledger import Job, Ledger, State
from upbrush.web.metrics import Metrics
from upbrush.web.orders import PICTURE, STYLE_FILE, VIDEO, Bench, Part
from upbrush.web.pool import Lane, Load, Pool, Sink
from upbrush.web.problems import Problem

logger = logging.getLogger(__name__)

JOBS_AT_ONCE = 4  # so that a short one need not wait for a long one
LOOK_SECONDS = 0.25  # between two looks at whether a job was called off, and words on how far it is
SWEEP_SECONDS = 60.0
MOST_RUNS = 5  # of a job; after as many that took the service down with them it is not begun again
AGAIN_SECONDS = 5.0  # until a picture is tried again that no worker could be had for


class JsonMessages:
    """Huey's messages as JSON: its own way is pickle, and who can write to the queue could then run code here."""

    def serialize(self, data: Any) -> bytes:
        """A message, or plain data."""
        return json.dumps(data).encode()

    def deserialize(self, data: bytes) -> Any:
        """The message that was written."""
        found = json.loads(data)
        return Message(*found) if isinstance(found, list) and len(found) == len(Message._fields) else found


class QuietConsumer(Consumer):  # type: ignore[misc]
    """Huey's consumer within our process: signals are for the server to handle."""

    def _set_signal_handlers(self) -> None:
        pass


def queue(folder: Path, redis: str | None) -> Huey:
    """The queue of a data folder. redis: an address, to have it there. Raises ConfigError where that fails."""
    if redis is None:
        return SqliteHuey(
            "upbrush", filename=str(folder / "queue.sqlite"), fsync=True, results=False, serializer=JsonMessages()
        )
    try:
        from redis.exceptions import RedisError
    except ImportError:
        raise ConfigError('redis: not installed; --redis needs pip install "upbrush[redis]"') from None
    try:
        found = RedisHuey("upbrush", url=redis, results=False, serializer=JsonMessages())
        found.storage.conn.ping()
    except (OSError, ValueError, RedisError) as error:
        raise ConfigError(f"{redis}: no Redis answers there ({error}); start it, or leave --redis out") from None
    return found


@dataclass
class _Run:
    """One job that is being painted."""

    job: Job
    state: State
    tiles: dict[int, tuple[int, int]] = field(default_factory=dict)


class Runner:
    """Takes jobs from the queue and has them painted."""

    def __init__(self, bench: Bench, ledger: Ledger, pool: Pool, huey: Huey, metrics: Metrics) -> None:
        self._bench, self._ledger, self._pool, self._huey, self._metrics = bench, ledger, pool, huey, metrics
        self._filming = asyncio.Lock()  # one clip at a time: it takes all cores that nobody else wants
        self._task = huey.task(name="paint_job")(self._taken)
        self._consumer = QuietConsumer(
            huey, workers=JOBS_AT_ONCE, periodic=False, check_worker_health=False, max_delay=0.25
        )
        self._running: set[concurrent.futures.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """Queue again what was interrupted, and begin."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._consumer.start)
        self._sweeping = self._loop.create_task(self._sweep())

    async def stop(self) -> None:
        """Stop; what is being painted goes on when a service starts again."""
        self._closing = True
        assert self._sweeping is not None
        self._sweeping.cancel()
        self._consumer.stop()
        for one in list(self._running):
            one.cancel()
        await asyncio.to_thread(self._consumer.stop, graceful=True)

    def add(self, job: Job) -> None:
        """Queue a job; where the queue cannot be had now, the next look finds it."""
        try:
            self._task(job.id)
        except Exception:
            logger.exception("a job could not be queued, and is tried again in %g seconds", SWEEP_SECONDS)

    def end_waiting(self, job: Job) -> None:
        """End a job that was called off before anybody began it."""
        try:
            with self._ledger.lock(job):
                state = self._ledger.state(job.id)
                if state.state not in ledgers.ENDED:
                    self._ledger.write_state(job, replace(state, state=ledgers.CANCELLED, ended=time.time()))
                    self._ledger.drop_work(job)
                    self._metrics.jobs.labels(ledgers.CANCELLED).inc()
        except (Timeout, FileNotFoundError):  # somebody paints it, and will see
            pass

    def recover(self) -> int:
        """Queue what has not ended, is in no queue, and is held by nobody; gives how many."""
        queued = {task.args[0] for task in self._huey.pending() if task.args}
        lost = [job for job in self._ledger.jobs() if job.id not in queued and self._is_lost(job)]
        for job in sorted(lost, key=lambda job: job.made):
            self.add(job)
        return len(lost)

    def _is_lost(self, job: Job) -> bool:
        if self._ledger.state(job.id).state in ledgers.ENDED:
            return False
        try:
            with self._ledger.lock(job):
                return True
        except (Timeout, FileNotFoundError):
            return False

    async def _sweep(self) -> None:
        """Now and then: recover what a service left that died, forget what has been kept for its time."""
        while True:
            try:
                found = await asyncio.to_thread(self.recover)
                if found:
                    logger.info("%d jobs go on that were interrupted", found)
                await asyncio.to_thread(self._ledger.sweep)
            except Exception:
                logger.exception("jobs could not be looked through")
            await asyncio.sleep(SWEEP_SECONDS)

    def _taken(self, id: str) -> None:
        """What huey's threads call: one job, to its end."""
        if self._closing or self._loop is None:
            return
        running = asyncio.run_coroutine_threadsafe(self._run(id), self._loop)
        self._running.add(running)
        try:
            running.result()
        except concurrent.futures.CancelledError:
            logger.info("job %s… is interrupted", id[:6])
        finally:
            self._running.discard(running)

    async def _run(self, id: str) -> None:
        """Paint a job, unless somebody else does, or it has ended."""
        try:
            job = await asyncio.to_thread(self._ledger.job, id)
            if job.order.kind == VIDEO and self._filming.locked():
                return  # it goes on waiting, and nobody behind it does; `recover` finds it when the clip is done
            lock = self._ledger.lock(job)
            lock.acquire()
        except (Problem, Timeout, FileNotFoundError):
            return
        try:
            state = await asyncio.to_thread(self._ledger.state, id)
            if state.state not in ledgers.ENDED:
                await self._begin(job, state)
        finally:
            lock.release()
        if job.order.kind == VIDEO:
            await asyncio.to_thread(self.recover)

    async def _begin(self, job: Job, state: State) -> None:
        """Paint a job, or give up one that was begun too often: whoever begins it is counted before, on the disk."""
        if state.runs >= MOST_RUNS:
            words = f"the service ended {state.runs} times in the middle of this job, which is not begun again"
            state.error = {"type": "InternalError", "message": f"{words}; send its pictures in smaller jobs"}
            await self._end(job, state, ledgers.FAILED)
            return
        run = _Run(job, replace(state, state=ledgers.RUNNING, runs=state.runs + 1))
        await asyncio.to_thread(self._ledger.write_state, job, run.state)
        try:
            await self._paint(run)
        except asyncio.CancelledError:  # the service was told to stop, which is no fault of the job's
            run.state.runs -= 1
            self._ledger.write_state(job, run.state)
            raise

    async def _end(self, job: Job, state: State, ended: str) -> None:
        """Write down how a job ended."""
        state.state, state.ended, state.tiles = ended, time.time(), {}
        await asyncio.to_thread(self._ledger.write_state, job, state)
        await asyncio.to_thread(self._ledger.drop_work, job)
        self._metrics.jobs.labels(ended).inc()

    async def _paint(self, run: _Run) -> None:
        job, state = run.job, run.state
        there = await asyncio.to_thread(self._ledger.done, job)
        left = [number for number in job.numbers if number not in there and number not in state.failed]
        if job.order.kind == VIDEO:
            work = [asyncio.ensure_future(self._clip(run, number)) for number in left]
        else:
            places = asyncio.Semaphore(self._pool.job_places)
            work = [asyncio.ensure_future(self._picture(run, number, places)) for number in left]
        watching = asyncio.ensure_future(self._watch(run))
        try:
            if work:
                await asyncio.wait({watching, *work}, return_when=asyncio.FIRST_COMPLETED)
                await self._all_done(watching, work)
            called_off = self._ledger.called_off(job.id)
        except OSError as error:
            called_off = False
            state.error = {"type": "LimitError", "message": f"a painting could not be kept ({error.strerror})"}
        finally:
            for task in (watching, *work):
                task.cancel()
            await asyncio.gather(watching, *work, return_exceptions=True)
        painted = await asyncio.to_thread(self._ledger.done, job)
        if not painted and state.error is None and state.failed:
            state.error = next(iter(state.failed.values()))
        ended = ledgers.CANCELLED if called_off else ledgers.FAILED if state.error else ledgers.DONE
        await self._end(job, state, ended)

    async def _all_done(self, watching: "asyncio.Task[None]", work: "list[asyncio.Task[None]]") -> None:
        """Wait for every picture, or for the job to be called off. Raises what a picture raises."""
        while left := {task for task in work if not task.done()}:
            await asyncio.wait({watching, *left}, return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                if task.done():
                    task.result()
            if watching.done():
                watching.result()
                return
        for task in work:
            task.result()

    async def _watch(self, run: _Run) -> None:
        """Tell now and then how far it is; ends when the job is called off."""
        while not await asyncio.to_thread(self._ledger.called_off, run.job.id):
            run.state.tiles = dict(run.tiles)
            await asyncio.to_thread(self._ledger.write_state, run.job, run.state)
            await asyncio.sleep(LOOK_SECONDS)

    async def _picture(self, run: _Run, number: int, places: asyncio.Semaphore) -> None:
        """Paint one picture of a job, into its file."""
        job, ledger = run.job, self._ledger

        async def load() -> list[Part]:
            path, entry = ledger.picture(job, number)
            style = ledger.style(job)
            return [
                Part(PICTURE, path=str(path), entry=entry),
                *([Part(STYLE_FILE, path=str(style))] if style is not None else []),
            ]

        def told(done: int, total: int) -> None:
            run.tiles[number] = (done, total)

        async with places:
            try:
                with ledger.open_part(job, number) as file:  # not in a thread: called off meanwhile, it stayed open

                    def keep(data: bytes) -> None:
                        ledger.check_room(len(data))
                        file.write(data)

                    async def sink(data: bytes) -> None:
                        await asyncio.to_thread(keep, data)

                    while not await self._tried(run, number, load, told, sink):
                        await asyncio.sleep(AGAIN_SECONDS)
                if number not in run.state.failed:
                    await asyncio.to_thread(ledger.close_part, job, number)
            finally:
                run.tiles.pop(number, None)
                ledger.drop_part(job, number)

    async def _clip(self, run: _Run, number: int) -> None:
        """Paint one clip of a job; one that was begun goes on behind its last whole segment."""
        job, ledger = run.job, self._ledger

        def told(done: int, total: int) -> None:
            ledger.check_room()  # its process writes by itself, and ends with what is raised here
            run.tiles[number] = (done, total)

        async with self._filming:
            style = ledger.style(job)
            reel = Reel(
                self._bench, job.order, str(ledger.picture(job, number)[0]), str(ledger.film(job, number)),
                None if style is None else str(style),
            )  # fmt: skip
            try:
                if not await asyncio.to_thread(ledger.take_film, job, number, reel.target):
                    await filmed(reel, told)
                    await asyncio.to_thread(ledger.take_film, job, number, reel.target)
            except Problem as problem:
                self._metrics.refused.labels(problem.kind).inc()
                run.state.failed[number] = problem.fields()
            finally:
                run.tiles.pop(number, None)

    async def _tried(self, run: _Run, number: int, load: Load, told: Told, sink: Sink) -> bool:
        """Paint or fail: False where it is to be tried again, because nobody could paint it."""
        try:
            await self._pool.run(run.job.order, load, Lane.JOB, told=told, sink=sink)
        except Problem as problem:
            if problem.status == 503:
                return False
            self._metrics.refused.labels(problem.kind).inc()
            run.state.failed[number] = problem.fields()
        return True
