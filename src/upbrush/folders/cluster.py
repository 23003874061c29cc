"""A plan painted on a Ray cluster: actors that keep the model, each with a worker process of its own, fed by Ray Data.

Only names travel: an actor reads a picture where it is and writes its painting where it belongs, so that neither goes
by way of the machine that asked. An actor paints by a crew of one process, as a single machine does with several: the
same bytes come out, and a picture that kills its process does not kill the actor, which Ray would try for ever.
"""

import logging
import math
import multiprocessing
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields, replace
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

from upbrush import errors, saving
from upbrush.errors import ConfigError, UpbrushError
from upbrush.folders import places
from upbrush.folders.crew import Crew
from upbrush.folders.easel import Materials
from upbrush.folders.ledger import Ledger
from upbrush.folders.task import Asked, Done, Task

MOST_ROWS = 64  # pictures that are given to an actor at once, and done again where it is lost with its machine
BLOCKS_EACH = 8  # for each actor at least, so that the last ones end together
ROUNDS = 3  # how often what was given out and never heard of again is given out anew
CONNECT_SECONDS = 5.0
# Ray speaks gRPC, and so HTTP/2, whose first frame from either side holds settings: none of ours.
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
SETTINGS = b"\4"
GIVEN = ("name", "source", "settings", "stamp", "member", "offset", "length")
SECONDS_TO_END = 10.0  # of the driver, which takes leave of the cluster
logger = logging.getLogger(__name__)
_spawn = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Pool:
    """What actors take and how many there are. cpus: cores, and threads of the engine, of each. gpus: may be a part.

    most: None is as many as the cluster has room for, also when it grows.
    """

    cpus: int = 1
    gpus: float = 0.0
    most: int | None = None


def paint(ledger: Ledger, materials: Materials, address: str, pool: Pool) -> Iterator[Done]:
    """Paint all that waits in the ledger on a cluster and say how each went.

    What is lost with a machine is given out again, by Ray and, where Ray gives up, by us. Raises ConfigError where the
    cluster cannot be joined or its head is lost, UpbrushError where its machines cannot open the model.
    """
    out = materials.out if places.is_address(materials.out) else os.path.abspath(materials.out)
    materials = replace(materials, out=out, threads=pool.cpus)  # an actor's own folder is another
    with _driver(address, materials, pool) as pipe:
        for turn in range(1, ROUNDS + 1):
            waiting = ledger.counts().waiting
            if not waiting:
                return
            if turn > 1:
                logger.warning("%d pictures were given out and not heard of again: once more", waiting)
            yield from _turn(ledger, waiting, pipe, address)
        for task in ledger.waiting():
            yield Done(task.name, f"{task.words}: given out {ROUNDS} times and never heard of again; see Ray's logs")


def _turn(ledger: Ledger, waiting: int, pipe: Connection, address: str) -> Iterator[Done]:
    """Give all that waits out once. Raises ConfigError where the driver ends."""
    try:
        pipe.send(waiting)
        for table in _tables(ledger.waiting(), _heard(pipe)):
            pipe.send(table)
        pipe.send(None)
        while done := _heard(pipe):
            yield done
    except (EOFError, OSError):
        raise ConfigError(
            f"--ray {address}: the head of the cluster was lost; nothing painted is lost, the same command goes on "
            "from there when the cluster is back, or without --ray"
        ) from None


def _heard(pipe: Connection) -> Any:
    """The driver's next answer that is not a word to the user."""
    while isinstance(answer := pipe.recv(), str):
        logger.warning("%s", answer)
    if isinstance(answer, UpbrushError):
        raise answer
    return answer


@contextmanager
def _driver(address: str, materials: Materials, pool: Pool) -> Iterator[Connection]:
    """A process that speaks with Ray: where the head is lost, Ray ends the process that does so, without a word."""
    pipe, theirs = _spawn.Pipe()
    driver = _spawn.Process(target=_drive, args=(theirs, address, materials, pool), daemon=True)
    driver.start()
    theirs.close()  # so that its end is heard
    try:
        yield pipe
    finally:
        pipe.close()
        driver.terminate()
        driver.join(SECONDS_TO_END)
        driver.kill()


def _drive(pipe: Connection, address: str, materials: Materials, pool: Pool) -> None:
    """What the driver does: it is told how many pictures wait, says how many it wants a table, and paints them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; we are ended with care
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with open(os.devnull, "wb") as nowhere:  # what Ray prints; its own logs have it, and more
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    ours = logging.getLogger("upbrush")
    ours.propagate = False
    ours.addHandler(_Told(pipe))
    with suppress(KeyboardInterrupt, EOFError, BrokenPipeError, ConnectionResetError):
        try:
            with connected(address):
                while waiting := pipe.recv():
                    start = min(_room(pool), waiting, pool.most or waiting)
                    pipe.send(max(1, min(MOST_ROWS, math.ceil(waiting / (start * BLOCKS_EACH)))))
                    tables = []
                    while (table := pipe.recv()) is not None:
                        tables.append(table)
                    _paint(tables, start, materials, pool, pipe)
                    pipe.send(None)
        except UpbrushError as error:
            pipe.send(error)
        except (ValueError, TypeError, RuntimeError) as error:  # nobody sees what this process prints
            lost = "nothing painted is lost, the same command goes on from there"
            pipe.send(ConfigError(f"--ray {address}: Ray fails here ({_first_line(error)}); {lost}, or without --ray"))


class _Told(logging.Handler):
    """Words to the user, sent to the process that speaks with him."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        """Send them."""
        self._pipe.send(record.getMessage())


@contextmanager
def connected(address: str) -> Iterator[None]:
    """A cluster, for as long as this lasts. address: as of `ray.init`: host:port, ray://host:port, auto or local."""
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=True)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError, OSError) as error:
        raise ConfigError(f"--ray {address}: no cluster there ({_first_line(error)}); {HINT}") from None
    try:
        yield
    finally:
        ray.shutdown()


HINT = "give host:port of its head, auto for the one that this machine is in, or local to start one here"


def check_reachable(address: str, encrypted: bool = False) -> None:
    """Knock first: Ray would wait for minutes at a door that nobody opens, or where somebody else lives.

    encrypted: whether the cluster speaks TLS, so that who answers cannot be told. Raises ConfigError.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        if address not in ("auto", "local"):
            raise ConfigError(f"--ray {address}: is no address; {HINT}")
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS) as door:
            door.sendall(HELLO)
            answer = door.recv(4)
    except TimeoutError:
        answer = b""
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(f"--ray {address}: cannot be reached ({saving.reason(error)}); {HINT}") from None
    if answer[3:4] != SETTINGS and not encrypted:
        raise ConfigError(f"--ray {address}: what answers there is not Ray; {HINT}")


def _paint(tables: list[Any], start: int, materials: Materials, pool: Pool, pipe: Connection) -> None:
    """Have actors paint tables of tasks. start: how many there are at first. How each went is sent into the pipe."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext
    from ray.data.exceptions import ExecutionTimeoutError, SystemException

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    done = ray.data.from_arrow(tables).map_batches(
        Painters,
        fn_constructor_args=(materials,),
        batch_format="pyarrow",
        batch_size=len(tables[0]) if pool.gpus else None,  # a table as it was made; Ray insists on a number for GPUs
        compute=ActorPoolStrategy(min_size=1, max_size=pool.most, initial_size=start),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus or None,
    )
    try:
        for table in done.iter_batches(batch_size=None, batch_format="pyarrow"):
            for known in table.to_pylist():  # type: ignore[union-attr]  # it is of pyarrow, as was asked for
                pipe.send(Done(**known | {"notes": tuple(known["notes"])}))
    except (ray.exceptions.RayError, SystemException, ExecutionTimeoutError) as error:
        cause = _ours(error)
        if cause is not None:
            raise cause from None
        logger.warning("the cluster gave up (%s)", _first_line(error))


def _room(pool: Pool) -> int:
    """Actors that the cluster has room for now."""
    import ray

    there: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    counts = [there.get("CPU", 1) / pool.cpus]
    if pool.gpus:
        counts.append(there.get("GPU", 0) / pool.gpus)
    if min(counts) < 1:
        logger.warning("the cluster has no room for an actor now; it begins when there is some")
    return max(1, int(min(counts)))


def _tables(tasks: Iterator[Task], rows: int) -> list[Any]:
    import pyarrow

    found = []
    while some := list(islice(tasks, rows)):
        columns = zip(
            *(
                (one.name, _from_anywhere(one.source), one.asked.text(), one.stamp, one.member, one.offset, one.length)
                for one in some
            ),
            strict=True,
        )
        table = pyarrow.table(dict(zip(GIVEN, map(list, columns), strict=True)))
        at = GIVEN.index("settings")  # mostly one text for all
        found.append(table.set_column(at, "settings", table.column(at).dictionary_encode()))
    return found


def _from_anywhere(place: str) -> str:
    return place if places.is_address(place) else os.path.abspath(place)


class Painters:
    """What an actor is: a crew of one, kept from one table to the next."""

    def __init__(self, materials: Materials) -> None:
        self._crew = Crew(materials, 1)

    def __call__(self, table: Any) -> Any:
        """Paint a table of tasks; gives a table of how they went."""
        import pyarrow

        tasks = []
        for row in table.to_pylist():
            asked = Asked.of(row["settings"])
            tasks.append(
                Task(row["name"], row["source"], asked, row["stamp"], row["member"], row["offset"], row["length"])
            )
        columns = zip(*(astuple(done) for done in self._crew.paint(tasks)), strict=True)
        named = dict(zip((field.name for field in fields(Done)), map(list, columns), strict=True))
        kinds = {"error": pyarrow.string(), "notes": pyarrow.list_(pyarrow.string())}
        return pyarrow.table({name: pyarrow.array(values, kinds.get(name)) for name, values in named.items()})


def _ours(error: BaseException) -> UpbrushError | None:
    """The error of ours that one of Ray's tells of: it travels as the words of a traceback."""
    told = re.findall(r"^\s*(?:upbrush\.errors\.)(\w+): (.+)$", str(error), re.MULTILINE)
    if not told:
        return None
    name, words = told[-1]
    kind = getattr(errors, name)
    assert issubclass(kind, UpbrushError)
    found: UpbrushError = kind(words.strip())
    return found


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
