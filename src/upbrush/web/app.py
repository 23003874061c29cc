"""The application: routes, what guards them, and how errors are told."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from upbrush import __version__
from upbrush.errors import UpbrushError
from upbrush.web import jobbing, painting, site, styling
from upbrush.web.desk import AtDesk, Desk, Settings, check_ready, refusals, sent, with_nulls
from upbrush.web.guard import COOKIE, Guard, is_guarded, session_of
from upbrush.web.ledger import Ledger
from upbrush.web.metrics import CONTENT_TYPE, Metrics
from upbrush.web.pool import Pool
from upbrush.web.problems import Problem, problem_of
from upbrush.web.runner import Runner, queue
from upbrush.web.shelf import Shelf

logger = logging.getLogger(__name__)

DESCRIPTION = """Enlarge pictures four times, restored as they are or repainted in the style of another, on your own
machine. Every answer that is not what was asked for is `{"error": {"type": …, "message": …}}`, in the words of the
command line."""
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The token that the service was started with."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "From POST /v1/session."},
}
MOST_BESIDE = 32  # files of a form that are no pictures of a job: of a style, and a few too many
_COUNTERS = sent("Counters.", "text/plain")
routes = APIRouter()


@routes.get("/healthz", tags=["service"])
def tell_health() -> dict[str, bool]:
    """Whether the process lives."""
    return {"ok": True}


@routes.get("/readyz", tags=["service"], responses=refusals(503))
def tell_ready(desk: AtDesk) -> dict[str, bool]:
    """Whether somebody can paint."""
    check_ready(desk)
    return {"ready": True}


@routes.get(
    "/metrics", tags=["service"], response_class=Response, responses=sent("Counters.", "text/plain") | refusals()
)
def tell_metrics(desk: AtDesk) -> Response:
    """Counters, for Prometheus."""
    return Response(desk.metrics.text(), headers={"content-type": CONTENT_TYPE})


@routes.post("/v1/session", status_code=204, tags=["service"], responses=refusals())
def begin_session(request: Request, response: Response, desk: AtDesk) -> None:
    """Have the browser keep the token, out of reach of scripts: pictures and events cannot send it as a header."""
    if desk.settings.token is not None:
        secure = desk.settings.tls is not None or request.url.scheme == "https"
        response.set_cookie(COOKIE, session_of(desk.settings.token), httponly=True, samesite="strict", secure=secure)


@routes.delete("/v1/session", status_code=204, tags=["service"], responses=refusals())
def end_session(response: Response) -> None:
    """Have the browser forget the token."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def create_app(settings: Settings) -> FastAPI:
    """The application over a data folder. Workers start with it and end with it.

    Raises ConfigError where the queue cannot be had.
    """
    metrics = Metrics()
    pool = Pool(settings.bench, settings.workers, metrics)
    ledger = Ledger(settings.data, settings.limits)
    runner = Runner(settings.bench, ledger, pool, queue(settings.data, settings.redis), metrics)
    shelf = Shelf(settings.bench.shelf_dir, Path(settings.bench.model_dir))
    desk = Desk(settings, pool, shelf, ledger, metrics, runner, ledger.salt())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await pool.start()
        await runner.start()
        yield
        await runner.stop()
        await pool.stop()

    app = FastAPI(
        title="upbrush", version=__version__, description=DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        form_limits={"max_files": settings.limits.pictures_a_job + MOST_BESIDE},  # beyond, Starlette's words
    )  # fmt: skip
    app.state.desk = desk
    app.openapi = _described(app.openapi)  # type: ignore[method-assign]
    for part in (routes, painting.routes, styling.routes, jobbing.routes, site.routes):
        app.include_router(part)
    if site.STUDIO.is_dir():
        app.mount("/", site.Site(directory=site.STUDIO, html=True))
    app.add_middleware(
        Guard, limits=settings.limits, metrics=metrics, room=ledger.room, token=settings.token, hosts=settings.hosts
    )
    app.add_exception_handler(Problem, _tell_problem)
    app.add_exception_handler(UpbrushError, _tell_error)
    app.add_exception_handler(StarletteHTTPException, _tell_http)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.add_exception_handler(OSError, _tell_disk)
    return app


def _described(undescribed: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """FastAPI's document, with what it has no words for."""

    @cache
    def described() -> dict[str, Any]:
        document = undescribed()
        parts = document["components"]
        parts["securitySchemes"] = _SECURITY
        for path, operations in document["paths"].items():
            for operation in operations.values():
                if is_guarded(path):
                    operation["security"] = [{}, *({name: []} for name in _SECURITY)]  # {}: where there is no token
                for answer in operation["responses"].values():
                    for told in answer.get("content", {}).values():
                        for example in told.get("examples", {}).values():
                            example["value"] = with_nulls(example["value"], told["schema"], parts["schemas"])
        return document

    return described


def _answer(request: Request, problem: Problem) -> Response:
    desk: Desk = request.app.state.desk
    desk.metrics.refused.labels(problem.kind).inc()
    return JSONResponse({"error": problem.fields()}, problem.status, problem.headers)


def _tell_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _answer(request, error)


def _tell_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, UpbrushError)
    return _answer(request, problem_of(error))


def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    detail: Any = error.detail
    if isinstance(detail, dict):  # of ours, from the guard
        found = Problem(error.status_code, detail["type"], detail["message"])
    else:
        kind = "NotFoundError" if error.status_code == 404 else "RequestError"
        words = "nothing is at this address; GET /openapi.json tells what there is" if detail == "Not Found" else detail
        found = Problem(error.status_code, kind, str(words))
    answer = _answer(request, found)
    answer.headers.update(error.headers or {})
    return answer


def _tell_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    return _answer(request, Problem(422, "RequestError", f"{place or 'the request'}: {first['msg']}"))


def _tell_disk(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    logger.error("the data folder cannot be used (%s)", error)
    reason = error.strerror or "an error of input or output"
    return _answer(request, Problem(507, "LimitError", f"the service's disk refuses ({reason}); try again later"))
