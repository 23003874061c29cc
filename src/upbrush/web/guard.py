"""What stands between the network and the routes: who may ask, how much, and what a browser may do with the answer."""

import asyncio
import contextlib
import hashlib
import hmac
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from upbrush.web.metrics import Metrics
from upbrush.web.orders import Limits
from upbrush.web.problems import Problem, limit, no_room

logger = logging.getLogger(__name__)

COOKIE = "upbrush-session"
MOST_HEAD_BYTES = 64 << 10
SLACK_BYTES = 1 << 20  # for what a form has beside its files
HEADERS = {
    # The page runs WebAssembly, whose threads are workers; everything is our own and nothing inline.
    "content-security-policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self'; "
        "img-src 'self' blob: data:; media-src 'self' blob:; font-src 'self'; connect-src 'self' blob: data:; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # The three together are what a browser asks for before it gives WebAssembly threads.
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}
_PORT = re.compile(r":\d+$")
_METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
_GUARDED = ("/v1", "/metrics")


def session_of(token: str) -> str:
    """What a browser keeps in place of the token."""
    return hashlib.sha256(f"upbrush session {token}".encode()).hexdigest()


def is_guarded(path: str) -> bool:
    """Whether what is at a path wants the token, where there is one."""
    return any(path == place or path.startswith(f"{place}/") for place in _GUARDED)


class Guard:
    """The outermost layer of the application.

    room: how many bytes the disk may take. token: the word that clients must have, None lets all. hosts: names that
    the service may be called by, None takes any. Adds headers; refuses pages of other sites, bodies that are too large
    or come too slowly, and who has no token; counts answers; tells what nobody expected in the usual form.
    """

    def __init__(
        self, app: ASGIApp, *, limits: Limits, metrics: Metrics, room: Callable[[], int], token: str | None = None,
        hosts: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        self._app, self._limits, self._metrics, self._room = app, limits, metrics, room
        self._token, self._hosts = token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        guarded = self._with_headers(scope, send)
        try:
            self._check(scope, headers)
        except Problem as problem:
            self._metrics.refused.labels(problem.kind).inc()
            await refuse(problem, guarded)
            return
        try:
            await self._app(scope, self._counted(scope, receive), guarded)
        except Exception:  # our own mistake: the log tells what, the client gets a word
            logger.exception("a request failed, which is a fault of upbrush")
            with contextlib.suppress(RuntimeError):  # an answer had begun
                await refuse(
                    Problem(500, "InternalError", "something went wrong; the service's log tells what"), guarded
                )

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        """Raises Problem for what is refused before anything of it is read."""
        if sum(len(name) + len(value) for name, value in headers.items()) > MOST_HEAD_BYTES:  # came in one piece
            raise Problem(431, "LimitError", f"the request's head: is larger than {MOST_HEAD_BYTES:,} bytes")
        host = _PORT.sub("", headers.get("host", ""))
        if self._hosts is not None and host not in self._hosts:
            # A page whose name was made to point to this machine (DNS rebinding) is not let in.
            raise Problem(400, "RequestError", f"this service is not called {host[:60]!r}; use {self._hosts[0]}")
        if scope["method"] not in ("GET", "HEAD") and _is_foreign(headers):
            raise Problem(403, "RequestError", "requests come from this service's own pages, or from programs")
        if self._token is not None and is_guarded(scope["path"]) and not self._is_known(headers):
            raise Problem(401, "TokenError", "this service wants a token: Authorization: Bearer WORD")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._most(scope):
            raise limit(f"the request: has {length[:20]} bytes, more than {self._most(scope):,}; send less at once")
        if scope["method"] == "POST" and int(length) >= self._room():
            raise no_room()

    def _is_known(self, headers: dict[str, str]) -> bool:
        assert self._token is not None
        scheme, _, word = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(word.strip().encode(), self._token.encode()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), session_of(self._token).encode())

    def _most(self, scope: Scope) -> int:
        limits = self._limits
        return (limits.job_bytes if scope["path"] == "/v1/jobs" else limits.file_bytes) + SLACK_BYTES

    def _counted(self, scope: Scope, receive: Receive) -> Receive:
        """The body as it comes, while it is not too large, does not stall or trickle, and the disk has room for it.

        Only what is waited for counts: the first `stall_seconds` are free, then `upload_rate` has to be kept.
        """
        most, whole, limits = self._most(scope), False, self._limits
        came, waited, now = 0, 0.0, asyncio.get_running_loop().time

        async def counted() -> Message:
            nonlocal came, waited, whole
            if whole:  # what comes now is the client's leaving, and may take long
                return await receive()
            start, left = now(), limits.stall_seconds + came / limits.upload_rate - waited
            try:
                message = await asyncio.wait_for(receive(), max(0.0, min(limits.stall_seconds, left)))
            except TimeoutError:
                words = f"nothing came for {limits.stall_seconds:g} seconds, or less than {limits.upload_rate:,} bytes"
                raise _http(Problem(408, "RequestError", f"{words} a second; send the request anew")) from None
            waited += now() - start
            size = len(message.get("body", b""))
            came += size
            whole = not message.get("more_body", False)
            if came > most:
                raise _http(limit(f"the request: has more than {most:,} bytes; send less at once"))
            if size and self._room() <= 0:  # a length need not be told, and others write, too
                raise _http(no_room())
            return message

        return counted

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = {name for name, _ in message["headers"]}
                ours = HEADERS | {"cache-control": "no-store"}
                added = [(name.encode(), value.encode()) for name, value in ours.items() if name.encode() not in kept]
                message = {**message, "headers": [*message["headers"], *added]}
                route = scope.get("route")
                path = getattr(route, "path", "/") if route is not None else "other"
                method = scope["method"] if scope["method"] in _METHODS else "other"  # a counter for each would fill us
                self._metrics.requests.labels(method, path, str(message["status"])).inc()
            await send(message)

        return guarded


def _http(problem: Problem) -> HTTPException:
    """As an exception that FastAPI lets through while it reads a form."""
    return HTTPException(problem.status, problem.fields(), problem.headers)


def _is_foreign(headers: dict[str, str]) -> bool:
    """Whether a page of another site asks, by what browsers say of it."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "")


async def refuse(problem: Problem, send: Send, more: Mapping[str, str] | None = None) -> None:
    """Answer with a problem. more: headers beside its own."""
    status, headers, body = problem.answer()
    start = [(name.encode(), value.encode()) for name, value in {**headers, **(more or {})}.items()]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
