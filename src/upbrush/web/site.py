"""The studio's page and the model's files, as they lie there."""

import json
import os
from functools import cache
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from upbrush.engine import FILES
from upbrush.web.desk import AtDesk, refusals
from upbrush.web.problems import unknown

STUDIO = Path(__file__).parent / "studio"
# Said here, because what the system thinks of suffixes differs from one machine to the next.
_KINDS = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8", ".json": "application/json", ".svg": "image/svg+xml",
    ".png": "image/png", ".webp": "image/webp", ".ico": "image/x-icon", ".wasm": "application/wasm",
    ".gz": "application/gzip", ".md": "text/plain; charset=utf-8", ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json", ".onnx": "application/octet-stream", ".woff2": "font/woff2",
}  # fmt: skip
_KEPT = {"cache-control": "no-cache"}  # a browser may keep it, and asks each time whether it is still so

routes = APIRouter(include_in_schema=False)


class Site(StaticFiles):
    """A folder of files, with kinds that do not depend on the machine."""

    def file_response(
        self, full_path: "os.PathLike[str] | str", stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """One file, or that it has not changed."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        if response.status_code != 304:
            response.headers["content-type"] = _KINDS.get(Path(full_path).suffix, "application/octet-stream")
        response.headers.update(_KEPT)
        return response


@routes.api_route("/model/model.json", methods=["GET", "HEAD"], response_class=Response, responses=refusals(404))
def send_facts(request: Request, desk: AtDesk) -> Response:
    """What the page must know of the model to paint by itself: its identity, its styles."""
    return _sent(request, _facts(Path(desk.settings.bench.model_dir)), "application/json")


@routes.api_route("/examples/{name}", methods=["GET", "HEAD"], response_class=Response, responses=refusals(404))
def send_example(request: Request, name: str) -> Response:
    """A picture to begin with, for who has none at hand; or the list of them."""
    from upbrush.web import static

    pictures = static.examples()
    if name == static.LIST:
        return _sent(request, json.dumps(list(pictures)).encode(), "application/json")
    if name not in pictures:
        raise unknown(f"there is no example {name!r}, only {', '.join(pictures)}")
    return _sent(request, pictures[name], "image/png")


@routes.api_route("/model/{name}.onnx", methods=["GET", "HEAD"], response_class=Response, responses=refusals(404))
def send_model(desk: AtDesk, name: str) -> Response:
    """One of the model's three files."""
    if name not in FILES:
        raise unknown(f"the model has no {name!r}, only {', '.join(FILES)}")
    path = Path(desk.settings.bench.model_dir) / f"{name}.onnx"
    return FileResponse(path, media_type="application/octet-stream", headers=_KEPT)


def _sent(request: Request, content: bytes, kind: str) -> Response:
    """What is made here, or that it has not changed."""
    tag = f'"{sha256(content).hexdigest()[:32]}"'
    headers = {"etag": tag, **_KEPT}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


@cache
def _facts(model_dir: Path) -> bytes:
    from upbrush.web import static

    return static.facts(model_dir)
