"""The routes of styles: what there is, what one looks like, own ones made and deleted."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, File, Form, Path, Request, Response, UploadFile

from upbrush import styles
from upbrush.web.asking import Words, parts, unless_gone
from upbrush.web.desk import AtDesk, refusals, sent, shown
from upbrush.web.orders import Order
from upbrush.web.painting import StyleFile
from upbrush.web.pool import Lane
from upbrush.web.problems import unknown
from upbrush.web.shelf import MOST_NAME_LENGTH, Entry, name_of

routes = APIRouter(prefix="/v1/styles", tags=["styles"])
_KINDS = {b"RIFF": "image/webp", b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
Name = Annotated[str, Path(max_length=2 * MOST_NAME_LENGTH, examples=["monet"])]
Told = Annotated[str, Form(max_length=styles.MOST_WORD_LENGTH)]


@dataclass(frozen=True)
class Shown:
    """A style. name: what it is asked for by. title: what it calls itself. preview, file: where they are."""

    name: str
    title: str
    artist: str
    source: str
    licence: str
    preview: str
    file: str
    own: bool


@dataclass(frozen=True)
class Styles:
    """All styles, the library's first."""

    styles: list[Shown]


_EXAMPLE = {
    "name": "monet", "title": "monet", "artist": "Claude Monet (1840–1926)", "source": "a painting",
    "licence": "public domain work; this code CC0", "preview": "/v1/styles/monet/preview",
    "file": "/v1/styles/monet", "own": False,
}  # fmt: skip
_OWN = {
    "name": "my-cat", "title": "My cat", "artist": "", "source": "", "licence": "",
    "preview": "/v1/styles/my-cat/preview", "file": "/v1/styles/my-cat", "own": True,
}  # fmt: skip
_MADE = shown(201, "The style as it is listed.", own=_OWN) | refusals(409, 415, 429, 500, 503, 507)
_LISTED = shown(200, "All styles.", library={"styles": [_EXAMPLE]})
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The .style file.", "content": {"application/json": {"schema": {"type": "object"}}}}
}
_PREVIEW = {**sent("The picture.", *_KINDS.values()), 304: {"description": "It has not changed (If-None-Match)."}}


@routes.get("", responses={**_LISTED, **refusals()})
def list_styles(desk: AtDesk) -> Styles:
    """List the styles that can be named: the library's, and own ones."""
    return Styles([_shown(entry) for entry in desk.shelf.entries()])


@routes.post("", status_code=201, responses=_MADE)
async def make_style(
    request: Request,
    response: Response,
    desk: AtDesk,
    name: Annotated[str, Form(min_length=1, max_length=MOST_NAME_LENGTH, examples=["My cat"])],
    picture: Annotated[list[UploadFile] | None, File(description="Pictures of the style, up to 16.")] = None,
    style_file: StyleFile = None,
    style: Words = None,
    artist: Told = "",
    source: Told = "",
    licence: Told = "",
) -> Shown:
    """Keep a style of one's own: made of pictures, from a .style file, or of words such as a blend."""
    name_of(name)  # before work is done for it
    order = Order("style", style, words={"name": name, "artist": artist, "source": source, "licence": licence})
    load = parts(picture=picture, style_file=style_file)
    answer = await unless_gone(request, desk.pool.run(order, load, Lane.NOW))
    made = styles.loads(answer.data, "the style")
    entry = await asyncio.to_thread(desk.shelf.add, made, desk.limits.own_styles)
    told = _shown(entry)
    response.headers["location"] = told.file
    return told


@routes.get("/{name}", response_class=Response, responses=_FILE | refusals(404))
def send_style(desk: AtDesk, name: Name) -> Response:
    """Get a style as a .style file, which `upbrush paint --style` takes, too."""
    entry = desk.shelf.find(name)
    file = f"attachment; filename=\"style.style\"; filename*=UTF-8''{quote(entry.name)}.style"
    content = styles.dumps(entry.style)
    return Response(content, media_type="application/json", headers={"content-disposition": file})


@routes.get("/{name}/preview", response_class=Response, responses=_PREVIEW | refusals(404))
def send_preview(request: Request, desk: AtDesk, name: Name) -> Response:
    """Get a photograph painted in the style."""
    content = desk.shelf.find(name).style.preview
    kind = next((kind for start, kind in _KINDS.items() if content and content.startswith(start)), None)
    if content is None or kind is None:
        raise unknown(f"style {name!r} has no preview")
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


@routes.delete("/{name}", status_code=204, responses=refusals(404))
def delete_style(desk: AtDesk, name: Name) -> None:
    """Delete a style of one's own."""
    desk.shelf.remove(name)


def _shown(entry: Entry) -> Shown:
    style, place = entry.style, f"/v1/styles/{quote(entry.name)}"
    return Shown(
        entry.name, style.name, style.artist, style.source, style.licence, f"{place}/preview", place, entry.own
    )
