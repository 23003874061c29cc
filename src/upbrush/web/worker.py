"""A process that opens and paints what strangers send: `python -m upbrush.web.worker SETTINGS`.

The service starts it and talks to it by pipes. Whatever a file does to it, the service goes on and starts another. When
the service ends, however it ends, the pipe does, too, and so does this, even in the middle of a picture.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO

from upbrush.errors import UpbrushError
from upbrush.web.confine import confine
from upbrush.web.frames import CHUNK_BYTES, order_of, packed, receive
from upbrush.web.orders import Bench
from upbrush.web.problems import Problem, problem_of

TOLD_SECONDS = 0.1  # between two words on how far it is
PIPE_BYTES = 1 << 20  # a painting goes into it whole, and the next order is begun while the service still reads


class Cancelled(BaseException):
    """Nobody waits for this picture any more."""


class Line:
    """The worker's end of the pipes: orders are read by a thread, so that one can be called off while it is done."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self.orders: queue.Queue[tuple[dict[str, Any], bytes]] = queue.Queue()
        self.cancelled = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while (message := receive(self._incoming)) is not None:
            if "cancel" in message[0]:
                self.cancelled.set()
            else:
                self.cancelled.clear()
                self.orders.put(message)
        os._exit(0)  # the service has gone; nobody needs what is being painted

    def tell(self, head: dict[str, Any], data: bytes | memoryview = b"") -> None:
        """Send one message."""
        try:
            self._outgoing.write(packed(head, data))
            self._outgoing.write(data)
            self._outgoing.flush()
        except OSError:
            os._exit(0)


class Progress:
    """Tells how far a picture is, now and then, and stops where it was called off."""

    def __init__(self, line: Line) -> None:
        self._line, self._last = line, 0.0

    def __call__(self, done: int, total: int) -> None:
        """After each tile."""
        if self._line.cancelled.is_set():
            raise Cancelled
        now = time.monotonic()
        if now - self._last >= TOLD_SECONDS:
            self._last = now
            self._line.tell({"told": "progress", "done": done, "total": total})


def main() -> int:
    """Do orders until there is nobody to give them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the service, which ends this one, too
    sys.dont_write_bytecode = True
    bench = Bench.of(json.loads(sys.argv[1]))
    outgoing = os.fdopen(os.dup(1), "wb")
    _widen(outgoing.fileno())
    os.dup2(2, 1)  # whatever a library prints must not get among the messages
    confine(None if bench.engine == "cuda" else bench.limits.worker_bytes)  # CUDA maps far more than it uses
    line = Line(sys.stdin.buffer, outgoing)
    try:
        from upbrush.web.work import Workshop

        workshop = Workshop(bench)
        workshop.warm_up()
    except UpbrushError as error:
        line.tell({"told": "broken", "message": str(error)})
        return 2
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders write there what is in strangers' files
    line.tell({"told": "ready", "identity": workshop.identity})
    while True:
        head, data = line.orders.get()
        line.tell({"told": "begun"})
        order, parts = order_of(head, data)
        del head, data
        try:
            done = workshop.do(order, parts, Progress(line))
        except Cancelled:
            line.tell({"told": "cancelled"})
        except (Problem, UpbrushError) as error:
            found = error if isinstance(error, Problem) else problem_of(error)
            line.tell({"told": "problem", "status": found.status, **found.fields()})
        except Exception:  # noqa: BLE001 our own mistake: the service logs it and tells no more than that
            line.tell({"told": "failed", "trace": traceback.format_exc()[-20_000:]})
        else:
            view = memoryview(done.data)
            for start in range(0, len(view), CHUNK_BYTES):
                line.tell({"told": "part"}, view[start : start + CHUNK_BYTES])
            line.tell({"told": "done", "facts": done.facts})
            del view, done


def _widen(pipe: int) -> None:
    """Have a pipe hold more, where the system can."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):  # more than this user may have
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


if __name__ == "__main__":
    sys.exit(main())
