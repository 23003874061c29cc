"""What every route works with, and how a service is set up."""

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request

from upbrush.web.ledger import Ledger
from upbrush.web.metrics import Metrics
from upbrush.web.orders import Bench, Limits
from upbrush.web.pool import Pool
from upbrush.web.problems import Problem
from upbrush.web.runner import Runner
from upbrush.web.shelf import Shelf


@dataclass(frozen=True)
class Settings:
    """How a service is set up; plain data, so that replicas elsewhere can be set up alike.

    data: the folder for everything that is kept. identity, scale: the model's. workers: how many processes paint.
    token: the word that clients must have, None lets everyone. hosts: names that a browser may call it by; None takes
    any. redis: the address of the queue, None for SQLite in the data folder. tls: the name that a proxy which speaks
    TLS serves it by, None where there is no such proxy.
    """

    data: Path
    bench: Bench
    identity: str
    scale: int
    workers: int
    token: str | None = None
    hosts: tuple[str, ...] | None = None
    redis: str | None = None
    tls: str | None = None

    @property
    def limits(self) -> Limits:
        """How much one may ask."""
        return self.bench.limits


@dataclass(frozen=True, eq=False)
class Desk:
    """What the routes work with."""

    settings: Settings
    pool: Pool
    shelf: Shelf
    ledger: Ledger
    metrics: Metrics
    runner: Runner
    salt: bytes

    @property
    def limits(self) -> Limits:
        """How much one may ask."""
        return self.settings.limits

    def client(self, request: Request) -> str:
        """Who asks, as a hash that tells nothing to others: for counting jobs."""
        host = request.client.host if request.client else "?"
        return hmac.new(self.salt, host.encode(), hashlib.sha256).hexdigest()[:16]


async def desk_of(request: Request) -> Desk:
    """What the application was made with. A coroutine, as `asking.knobs` is."""
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(desk_of)]


@dataclass(frozen=True)
class Fault:
    """What went wrong. type: as in `upbrush.errors`. message: one line, in the command line's words."""

    type: str
    message: str


@dataclass(frozen=True)
class Faulty:
    """The answer to what cannot be done."""

    error: Fault


_WORDS = {
    401: ("TokenError", "this service wants a token: Authorization: Bearer WORD"),
    403: ("StyleError", "monet is built in and stays; only own styles can be deleted"),
    404: ("NotFoundError", "no style is called 'manet'; GET /v1/styles lists the names"),
    408: ("RequestError", "nothing came for 30 seconds; send the request anew"),
    409: ("StyleError", "a style is called 'my-cat' already; choose another name"),
    413: ("LimitError", "the picture: has 9000x9000 pixels, more than 50,000,000; shrink it first"),
    415: ("PictureError", "the picture: is none of PNG, JPEG, WEBP, or damaged from the start"),
    422: ("StyleError", "no style is called 'manet'; did you mean monet?"),
    429: ("BusyError", "64 pictures wait already; try again in 9 seconds"),
    501: ("ConfigError", 'av: not installed on the service; clips need pip install "upbrush[video]"'),
    503: ("ReadyError", "no worker is up yet; try again in a few seconds"),
    507: ("LimitError", "there is no room on the service's disk; try again later"),
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer beside what it is for, for OpenAPI. 400, 401, 403, 408, 413 and 422 always may."""
    every = sorted({400, 401, 403, 408, 413, 422, *statuses})

    def told(status: int) -> dict[str, Any]:
        kind, message = _WORDS.get(status, ("RequestError", "the request could not be read"))
        example = {"error": {"type": kind, "message": message}}
        return {"model": Faulty, "description": kind, "content": {"application/json": {"example": example}}}

    return {status: told(status) for status in every}


def sent(what: str, *kinds: str) -> dict[int | str, dict[str, Any]]:
    """What a route answers that sends bytes of one of these media types, for OpenAPI."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"description": what, "content": dict.fromkeys(kinds, binary)}}


def shown(status: int, what: str, **examples: Any) -> dict[int | str, dict[str, Any]]:
    """What a route answers in JSON, by examples, for OpenAPI."""
    told = {name: {"value": value} for name, value in examples.items()}
    return {status: {"description": what, "content": {"application/json": {"examples": told}}}}


def with_nulls(value: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """An example with the fields that are null, which FastAPI leaves out of its document."""
    schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if isinstance(value, list):
        return [with_nulls(one, schema.get("items", {}), schemas) for one in value]
    if isinstance(value, dict) and "properties" in schema:
        return {name: with_nulls(value.get(name), one, schemas) for name, one in schema["properties"].items()}
    return value


def check_ready(desk: Desk) -> None:
    """Raises Problem 503 where nobody can paint yet."""
    if not desk.pool.ready:
        raise Problem(503, "ReadyError", "no worker is up yet; try again in a few seconds", 2)
