"""A study in the browser: a few pages, a few routes, and nothing that tells whose a picture is.

What leaves this room: texts, pictures under names that say nothing, and numbers of questions. What never does: methods,
sources, which question is a check, and what others answered. Nothing about who asks is stored or logged.
"""

import hmac
import logging
import socket
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import uvicorn
from fastapi import APIRouter, Body, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from upbrush.survey import plan
from upbrush.survey.store import Answer, Full, Person, Store
from upbrush.survey.study import PAGES, PICTURES, Study

logger = logging.getLogger(__name__)

MOST_BODY_BYTES = 16_384
MOST_COMMENT = 2000
SECONDS_A_QUESTION = 6  # for telling beforehand how long it takes
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/survey.css": ("survey.css", "text/css; charset=utf-8"),
    "/survey.js": ("survey.js", "text/javascript; charset=utf-8"),
    "/closer.js": ("closer.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class Desk:
    """What the routes work with.

    invitation: the word that who begins must have, None lets everyone. kiosk: whether one device serves several people.
    most_people: how many may begin.
    """

    study: Study
    words: dict[str, str]
    folder: Path
    store: Store
    invitation: str | None = None
    kiosk: bool = False
    most_people: int | None = None


def desk_of(request: Request) -> Desk:
    """What the application was made with."""
    desk: Desk = request.app.state.desk
    return desk


def person_of(request: Request, authorization: Annotated[str, Header(max_length=200)] = "") -> Person:
    """Who asks, by the token of the header `Authorization: Bearer …`."""
    person = desk_of(request).store.person(authorization.removeprefix("Bearer "))
    if person is None:
        raise HTTPException(401, "nobody has this token; begin anew")
    return person


AtDesk = Annotated[Desk, Depends(desk_of)]
Who = Annotated[Person, Depends(person_of)]
routes = APIRouter()


@routes.get("/api/study")
def tell_study(desk: AtDesk) -> dict[str, Any]:
    """What a person reads before beginning."""
    study = desk.study
    pairs, ratings = study.votes + study.repeats + len(study.checks), len(study.rated) * len(study.methods)
    return {
        "id": study.id,
        "words": desk.words,
        "pairs": pairs,
        "ratings": ratings,
        "minutes": -(-(pairs + ratings) * SECONDS_A_QUESTION // 60),
        "ties": study.ties,
        "kiosk": desk.kiosk,
    }


@routes.post("/api/begin")
def begin(desk: AtDesk, invitation: Annotated[str, Body(embed=True, max_length=200)] = "") -> dict[str, Any]:
    """Take a person in, who has agreed to what the page says."""
    if desk.invitation is not None and not hmac.compare_digest(invitation.encode(), desk.invitation.encode()):
        raise HTTPException(403, desk.words["invited_only"])

    def drawn(number: int, seen: plan.Seen) -> list[plan.Trial]:
        return plan.draw(desk.study, seen, np.random.default_rng([desk.study.seed, number]))

    try:
        token = desk.store.begin(drawn, desk.most_people)
    except Full:
        raise HTTPException(403, desk.words["full"]) from None
    person = desk.store.person(token)
    assert person is not None
    return {"token": token} | _state(desk, person)


@routes.get("/api/state")
def tell_state(desk: AtDesk, person: Who) -> dict[str, Any]:
    """Where the person is."""
    return _state(desk, person)


@routes.post("/api/answer")
def answer(
    desk: AtDesk,
    person: Who,
    position: Annotated[int, Body(ge=0, le=100_000)],
    choice: Annotated[str, Body(max_length=8)],
    seconds: Annotated[float, Body(ge=0, le=86_400, allow_inf_nan=False)],
    scale: Annotated[float, Body(ge=0, le=100, allow_inf_nan=False)],
) -> dict[str, Any]:
    """Keep an answer; only when it is on the disk the next question is told."""
    if choice == "tie" and not desk.study.ties:
        raise HTTPException(400, "this study has no ties")
    try:
        desk.store.answer(person, position, Answer(choice, round(seconds, 2), round(scale, 1)))
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return _state_now(desk, person)


@routes.post("/api/finish")
def finish(
    desk: AtDesk,
    person: Who,
    satisfaction: Annotated[int, Body(ge=1, le=5)],
    comment: Annotated[str, Body(max_length=MOST_COMMENT)] = "",
) -> dict[str, Any]:
    """Keep what is asked at the end."""
    try:
        desk.store.finish(person, satisfaction, comment.strip())
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return _state_now(desk, person)


@routes.delete("/api/me")
def forget(desk: AtDesk, person: Who) -> dict[str, Any]:
    """Delete everything of who asks."""
    desk.store.delete(person.id)
    return {"deleted": True}


@routes.get("/picture/{name}")
def send_picture(desk: AtDesk, name: str) -> Response:
    """One picture of the study. No date and no tag: the order in which files were made is nobody's business."""
    if name not in desk.study.files:
        raise HTTPException(404, "there is no such picture")
    content = (desk.folder / PICTURES / name).read_bytes()
    return Response(content, media_type="image/webp", headers={"cache-control": "private, max-age=86400, immutable"})


def _state_now(desk: Desk, person: Person) -> dict[str, Any]:
    """The state after a change; who was deleted meanwhile begins anew."""
    found = desk.store.by_number(person.number)
    if found is None:
        raise HTTPException(401, "these answers were deleted; begin anew")
    return _state(desk, found)


def _state(desk: Desk, person: Person) -> dict[str, Any]:
    """What the page needs for the next question, and of the one after it the pictures, to load them ahead."""
    position, total = len(person.answers), len(person.plan)
    if position >= total:
        return {"phase": "done" if person.finished else "end", "position": total, "total": total, "number": person.id}
    trial = person.plan[position]
    shown = _shown(desk.study, trial)
    soon = _shown(desk.study, person.plan[position + 1]) if position + 1 < total else {}
    return {
        "phase": "rate" if trial.kind == plan.RATE else "pair",  # checks and repeats look like any other pair
        "position": position,
        "total": total,
        "soon": [url for url in soon.values() if url],
    } | shown


def _shown(study: Study, trial: plan.Trial) -> dict[str, str | None]:
    """The pictures of a question, by their place on the page."""
    if trial.kind == plan.CHECK:
        check = study.checks[trial.item]
        item = study.items[check.item]
        files = {plan.SHARP: item.pictures[check.method], plan.WORSE: check.worse}
    else:
        item = study.items[trial.item]
        files = dict(enumerate(item.pictures))
    right = None if trial.right is None else files[trial.right]
    names = {"left": files[trial.left], "right": right, "reference": item.reference}
    return {place: f"/picture/{name}" if name else None for place, name in names.items()}


class Guard:
    """Adds the headers that keep the browser in bounds, and refuses bodies that are too large before they are read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        room = MOST_BODY_BYTES

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = {name for name, _ in message["headers"]}
                ours = _HEADERS | {"cache-control": "no-store"}
                added = [(name.encode(), value.encode()) for name, value in ours.items() if name.encode() not in kept]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        async def counted() -> Message:
            nonlocal room
            message = await receive()
            room -= len(message.get("body", b""))
            if room < 0:
                raise HTTPException(413, f"at most {MOST_BODY_BYTES} bytes are taken")
            return message

        # A page of another site may neither answer nor begin in the name of who looks at it.
        foreign = headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none")
        if scope["method"] not in ("GET", "HEAD") and foreign:
            refused = JSONResponse({"error": "answers come from the survey's own page only"}, 403)
            await refused(scope, receive, guarded)
            return
        if not length.isdigit() or int(length) > MOST_BODY_BYTES:
            refused = JSONResponse({"error": f"at most {MOST_BODY_BYTES} bytes are taken"}, 413)
            await refused(scope, receive, guarded)
            return
        await self._app(scope, counted, guarded)


def create_app(desk: Desk, hosts: list[str] | None = None) -> FastAPI:
    """The application over a study. hosts: names that a browser may call it by; None takes any."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk
    app.include_router(routes)
    for route, (file, kind) in _FILES.items():
        app.add_api_route(route, _page((PAGES / file).read_bytes(), kind), methods=["GET"])
    if hosts is not None:  # another site must not reach a server on this machine under a name of its own
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)
    app.add_middleware(Guard)
    app.add_exception_handler(StarletteHTTPException, _tell_http)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.add_exception_handler(sqlite3.Error, _tell_disk)
    return app


def _page(content: bytes, kind: str) -> Callable[[], Response]:
    def page() -> Response:
        return Response(content, media_type=kind)

    return page


def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code)


def _tell_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"][1:]))
    return JSONResponse({"error": f"{place or 'the request'}: {first['msg']}"}, 422)


def _tell_disk(request: Request, error: Exception) -> Response:
    logger.error("an answer could not be written (%s); see that there is room on the disk", error)
    return JSONResponse({"error": "the answer could not be written; it is tried again"}, 503)


def run(app: FastAPI, listening: socket.socket) -> None:
    """Serve until the program is told to stop. Nothing about who asks is logged."""
    settings = uvicorn.Config(
        app, access_log=False, log_level="warning", server_header=False, proxy_headers=False, limit_concurrency=256,
        timeout_graceful_shutdown=3, lifespan="off",
    )  # fmt: skip
    uvicorn.Server(settings).run(sockets=[listening])
