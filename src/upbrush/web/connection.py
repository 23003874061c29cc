"""What a connection may do before the application hears of it: uvicorn's protocol on h11, with bounds.

h11 bounds what it reads ahead; uvicorn waits for ever for the rest of a request, and lets anyone have all connections.
"""

import asyncio
import contextlib
import socket
import sys
from typing import cast

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from upbrush.web.guard import HEADERS, MOST_HEAD_BYTES, refuse
from upbrush.web.orders import Limits
from upbrush.web.problems import BUSY, Problem

RETRY_SECONDS = 5


def bounded(limits: Limits) -> type[asyncio.Protocol]:
    """The protocol of connections with these limits, for uvicorn's `http`."""
    return type("Bounded", (Bounded,), {"limits": limits})


class Bounded(H11Protocol):
    """One connection.

    The head of a request must have come `head_seconds` after its first byte; on a new connection, after that was made.
    Its body is the guard's to watch. What is too much is told in the usual form.
    """

    limits: Limits
    _made = 0.0
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        line = transport.get_extra_info("socket")
        if line is not None and hasattr(socket, "TCP_USER_TIMEOUT"):  # who takes nothing of its answer is let go, too
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * self.limits.stall_seconds))
        self._made = self.loop.time()
        every = cast("set[Bounded]", self.connections)
        of_client = {other for other in every if other.client and self.client and other.client[0] == self.client[0]}
        words = f"you have {len(of_client) - 1} connections already; close some, or use them again"
        self._make_way(of_client, self.limits.connections_a_client, Problem(BUSY, "BusyError", words, RETRY_SECONDS))
        words = f"{len(every) - 1} are connected already; try again soon"
        self._make_way(every, self.limits.connections, Problem(503, "BusyError", words, RETRY_SECONDS))
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Something was sent."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._unwatch()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, or too much of it. Called where h11's error is handled, which knows more than `msg`."""
        error = sys.exception()
        if getattr(error, "error_status_hint", 400) == 431:
            self._refuse(Problem(431, "LimitError", f"the request's head: is larger than {MOST_HEAD_BYTES:,} bytes"))
        else:
            self._refuse(Problem(400, "RequestError", f"this is no HTTP request ({error})"))

    def _make_way(self, among: "set[Bounded]", most: int, problem: Problem) -> None:
        """Where too many are connected, let go of the oldest that asks nothing; where all ask, refuse this one."""
        if len(among) <= most:
            return
        silent = [other for other in among if other is not self and not other._asks]
        if silent:
            oldest = min(silent, key=lambda other: other._made)
            self.connections.discard(oldest)  # now: many may come before it hears of it
            oldest.transport.abort()
        else:
            self.app = _refusing(problem)

    @property
    def _asks(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        """Have the clock run while no request is being answered; what is sent in between does not set it back."""
        if self._asks:
            self._unwatch()
        elif self._clock is None:
            self._clock = self.loop.call_later(self.limits.head_seconds, self._late)

    def _unwatch(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _late(self) -> None:
        self._clock = None
        if self._asks:
            return  # one that was sent ahead is being answered
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            words = f"the request had not come after {self.limits.head_seconds:g} seconds; send it anew"
            self._refuse(Problem(408, "RequestError", words))
        else:
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Answer without the application, and close."""
        if self._asks:
            self.cycle.disconnected = True  # whoever reads its body is not to wait for more, nor to answer
            self.cycle.message_event.set()
        with contextlib.suppress(h11.LocalProtocolError):  # an answer had begun
            status, headers, body = problem.answer()
            kept = {**HEADERS, **headers, "connection": "close"}
            words = [(name.encode(), value.encode()) for name, value in kept.items()]
            for event in (h11.Response(status_code=status, headers=words), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _refusing(problem: Problem) -> ASGIApp:
    """An application that only tells of a problem."""

    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(problem, send, {**HEADERS, "connection": "close"})

    return refusing
