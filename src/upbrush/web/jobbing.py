"""The routes of jobs: many pictures, or a large one, painted while nobody waits."""

import asyncio
import contextlib
import io
import json
import shutil
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Request, Response, UploadFile
from fastapi import Path as InPath
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from upbrush.errors import ConfigError
from upbrush.web import ledger as ledgers
from upbrush.web.asking import clip_knobs, parts, unless_gone
from upbrush.web.desk import AtDesk, Desk, Fault, refusals, sent, shown
from upbrush.web.filming import HEAD_BYTES, Reel, check_installed, filmed, suffix_of
from upbrush.web.ledger import Job, State
from upbrush.web.orders import CLIPS, PICTURE, SUFFIXES, VIDEO, WRITTEN, Order, Part
from upbrush.web.painting import Knobs, StyleFile, StylePictures
from upbrush.web.pool import Lane
from upbrush.web.problems import Problem, limit, unknown

routes = APIRouter(prefix="/v1/jobs", tags=["jobs"])
LOOK_SECONDS = 0.25
MOST_NAME = 120  # characters of what a client calls a picture
_CHUNK = 1 << 20
_ID = InPath(pattern="^[0-9a-f]{32}$", examples=["0123456789abcdef0123456789abcdef"])


def job_of(desk: AtDesk, id: Annotated[str, _ID]) -> Job:
    """The job that is asked about: looked for before the answer begins."""
    return desk.ledger.job(id)


AtJob = Annotated[Job, Depends(job_of)]


@dataclass(frozen=True)
class Tiles:
    """How far the pictures are that are being painted now; of a clip, its frames."""

    done: int
    total: int


@dataclass(frozen=True)
class Result:
    """One picture of a job. name: what the client called it, to be shown. url, bytes: of the painting."""

    number: int
    name: str
    state: Literal["waiting", "done", "failed"]
    error: Fault | None
    url: str | None
    bytes: int | None


@dataclass(frozen=True)
class Told:
    """A job. progress: 0…1. made, keep_until: times in UTC. events, zip: where to go on."""

    id: str
    kind: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    pictures: int
    done: int
    failed: int
    progress: float
    tiles: Tiles
    made: str
    keep_until: str | None
    error: Fault | None
    events: str
    zip: str


@dataclass(frozen=True)
class ToldWhole(Told):
    """A job with its pictures."""

    results: list[Result]


_PLACE = "/v1/jobs/0123456789abcdef0123456789abcdef"
_WAITING = {
    "id": "0123456789abcdef0123456789abcdef", "kind": "paint", "state": "waiting", "pictures": 1, "done": 0,
    "failed": 0, "progress": 0, "tiles": {"done": 0, "total": 0}, "made": "2026-11-23T00:21:00Z", "keep_until": None,
    "error": None, "events": f"{_PLACE}/events", "zip": f"{_PLACE}/results.zip",
}  # fmt: skip
_RUNNING = _WAITING | {"state": "running", "progress": 0.25, "tiles": {"done": 1, "total": 4}}
_DONE = _WAITING | {"state": "done", "done": 1, "progress": 1, "keep_until": "2026-11-24T00:22:00Z"}
_UNPAINTED = {"number": 1, "name": "a.jpg", "state": "waiting", "error": None, "url": None, "bytes": None}
_BEGUN = _WAITING | {"results": [_UNPAINTED]}
_BEGUN_CLIP = _WAITING | {"kind": "video", "results": [_UNPAINTED | {"name": "a.mp4"}]}
_ENDED = _DONE | {"results": [_UNPAINTED | {"state": "done", "url": f"{_PLACE}/results/1", "bytes": 123456}]}
_ACCEPTED = shown(202, "The job has begun to wait.", pictures=_BEGUN, clips=_BEGUN_CLIP)
_TOLD = shown(200, "How far it is.", waiting=_BEGUN, done=_ENDED)
_STREAM = "".join(
    f"event: {name}\ndata: {json.dumps(told)}\n\n" for name, told in (("progress", _RUNNING), ("done", _DONE))
)
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events until it has ended.", "content": {"text/event-stream": {"example": _STREAM}}}
}
_FORMS = {
    "pictures": {"kind": "paint", "picture": ["a.jpg", "b.jpg"], "style": "monet", "format": "jpeg"},
    "zip": {"kind": "paint", "zip": "pictures.zip", "style": "random:7"},
    "clips": {"kind": "video", "clip": ["a.mp4"], "style": "monet", "container": "mp4", "crf": 20},
}
_ASKED = {
    "requestBody": {
        "content": {"multipart/form-data": {"examples": {name: {"value": form} for name, form in _FORMS.items()}}}
    }
}
_RESULTS = sent("All that is painted.", "application/zip")
_PAINTING = sent("The painting.", *sorted({*WRITTEN.values(), *CLIPS.values()}))
_PART = {206: _PAINTING[200] | {"description": "A part of it."}, 416: {"description": "There is no such part."}}
ClipKnobs = Annotated[Order, Depends(clip_knobs)]


@routes.post("", status_code=202, responses=_ACCEPTED | refusals(415, 429, 500, 501, 503, 507), openapi_extra=_ASKED)
async def begin(
    request: Request,
    response: Response,
    desk: AtDesk,
    order: Knobs,
    clip_order: ClipKnobs,
    picture: list[UploadFile] | None = None,
    zip: UploadFile | None = None,
    clip: list[UploadFile] | None = None,
    style_picture: StylePictures = None,
    style_file: StyleFile = None,
    kind: Annotated[Literal["paint", "invented", "video"], Form(description="What is done with each.")] = "paint",
) -> ToldWhole:
    """Paint many pictures, one zip of pictures, a large one, or clips; the answer tells where to ask for them."""
    _check_sent(desk, kind, picture, zip, clip)
    coming = await asyncio.to_thread(desk.ledger.begin, desk.client(request))
    try:
        load = parts(style_picture=style_picture, style_file=style_file)
        if (
            order.style is not None or style_picture or style_file
        ):  # made now, once: `random` is one style, and an own one may be deleted
            made = await unless_gone(request, desk.pool.run(replace(order, kind="style"), load, Lane.NOW))
            await asyncio.to_thread((coming / "style").write_bytes, made.data)
        names = await _taken(desk, coming, clip or picture or [], zip)
        order = replace(order, kind=kind, style=None)
        if clip:
            order = replace(order, format=clip_order.format, clip=clip_order.clip)
            await unless_gone(request, _check_clips(desk, coming, order, len(clip)))
        client = desk.client(request)
        job = await asyncio.to_thread(
            lambda: desk.ledger.commit(coming, order, names, packed=zip is not None, client=client)
        )
    finally:
        await asyncio.to_thread(desk.ledger.forget, coming)  # nothing is there any more where it became a job
    await asyncio.to_thread(desk.runner.add, job)
    response.headers["location"] = f"/v1/jobs/{job.id}"
    return await asyncio.to_thread(_whole, desk, job)


def _check_sent(
    desk: Desk, kind: str, pictures: list[UploadFile] | None, packed: UploadFile | None, clips: list[UploadFile] | None
) -> None:
    """Raises ConfigError or Problem for a job that cannot be."""
    if kind == VIDEO:
        if not clips or pictures or packed:
            raise ConfigError("a job of kind=video is given clip, once or often, and nothing else; send that")
        check_installed()
    elif clips or bool(pictures) == bool(packed):
        raise ConfigError("a job is given picture (once or often) or zip; send one of them (clip goes with kind=video)")
    files = clips or pictures or []
    if len(files) > desk.limits.pictures_a_job:
        raise limit(f"the job: has {len(files)} pictures, at most {desk.limits.pictures_a_job} are taken")
    most, what = (desk.limits.clip_bytes, "clip") if clips else (desk.limits.file_bytes, "picture")
    for number, file in enumerate(files, 1):
        if (file.size or 0) > most:
            raise limit(f"{what} {number}: is larger than {most:,} bytes; shrink it first")


async def _check_clips(desk: Desk, coming: Path, order: Order, count: int) -> None:
    """Look at the clips, each in a process that may die. Raises Problem for one that cannot be painted."""
    style = coming / "style"
    for number in range(1, count + 1):
        clip = coming / "in" / str(number)
        with open(clip, "rb") as file:
            suffix_of(file.read(HEAD_BYTES))
        words = None if not style.exists() else str(style)
        reel = Reel(desk.settings.bench, order, str(clip), str(coming / "film"), words, checked=False)
        async with desk.pool.place(Lane.NOW):
            await filmed(reel)
        await asyncio.to_thread(shutil.rmtree, coming / "film", ignore_errors=True)


async def _taken(desk: Desk, coming: Path, pictures: list[UploadFile], packed: UploadFile | None) -> list[str]:
    """Put what was sent into the job's folder; gives what the client calls its pictures."""

    def store(file: UploadFile, name: str) -> None:
        desk.ledger.check_room(file.size or 0)
        with open(coming / "in" / name, "xb") as target:
            shutil.copyfileobj(file.file, target, _CHUNK)

    if packed is None:
        for number, file in enumerate(pictures, 1):
            await asyncio.to_thread(store, file, str(number))
        return [_name(file.filename or f"picture {number}") for number, file in enumerate(pictures, 1)]
    await asyncio.to_thread(store, packed, "zip")

    async def load() -> list[Part]:
        return [Part(PICTURE, path=str(coming / "in" / "zip"))]

    found = await desk.pool.run(Order("list"), load, Lane.NOW)
    return [_name(str(name)) for name in found.facts["names"]]


def _name(text: str) -> str:
    """What a client calls a picture, fit to be shown and to stand in a zip."""
    last = text.replace("\\", "/").rpartition("/")[2]
    return "".join(letter if letter.isprintable() and letter not in '<>:"|?*' else "_" for letter in last)[-MOST_NAME:]


@routes.get("/{id}", responses=_TOLD | refusals(404))
def tell(desk: AtDesk, job: AtJob) -> ToldWhole:
    """Tell how far a job is, picture by picture."""
    return _whole(desk, job)


@routes.get("/{id}/events", response_class=EventSourceResponse, responses=_EVENTS | refusals(404))
async def tell_events(desk: AtDesk, job: AtJob) -> AsyncIterator[ServerSentEvent]:
    """Tell at once how far a job is, and whenever it gets further; ends with it. Ask again at any time."""
    last: tuple[int, int] | None = None
    while True:
        stamp = await asyncio.to_thread(desk.ledger.stamp, job.id)
        if stamp != last:
            last = stamp
            told = await asyncio.to_thread(_told, desk, job)
            yield ServerSentEvent(event=told.state if told.state in ledgers.ENDED else "progress", data=told)
            if told.state in ledgers.ENDED:
                return
        await asyncio.sleep(LOOK_SECONDS)
        if last == (0, 0) and desk.ledger.called_off(job.id):  # forgotten meanwhile
            return


@routes.delete("/{id}", response_model=None, responses={200: {"model": ToldWhole}, 204: {}, **refusals(404)})
def stop(desk: AtDesk, job: AtJob) -> ToldWhole | Response:
    """Stop a job that has not ended: what is painted stays (200). Forget one that has, with its results (204)."""
    if desk.ledger.state(job.id).state in ledgers.ENDED:
        desk.ledger.delete(job.id)
        return Response(status_code=204)
    desk.ledger.call_off(job.id)
    desk.runner.end_waiting(job)
    return _whole(desk, job)


@routes.get("/{id}/results.zip", response_class=Response, responses=_RESULTS | refusals(404))
def send_results(desk: AtDesk, job: AtJob) -> Response:
    """Get everything that is painted, as one zip."""
    numbers = list(desk.ledger.done(job))
    if not numbers:
        raise unknown("the job has no results, or not yet")
    headers = {"content-disposition": f'attachment; filename="{job.id[:8]}.zip"'}
    return StreamingResponse(_zipped(desk, job, numbers), media_type="application/zip", headers=headers)


@routes.get("/{id}/results/{number}", response_class=Response, responses=_PAINTING | _PART | refusals(404))
def send_result(desk: AtDesk, job: AtJob, number: Annotated[int, InPath(ge=1, le=100_000)]) -> Response:
    """Get one painting."""
    suffix, media_type = _format(job)
    headers = {"content-disposition": f'inline; filename="painted-{number}.{suffix}"'}
    return FileResponse(desk.ledger.result(job, number), media_type=media_type, headers=headers)


def _format(job: Job) -> tuple[str, str]:
    """Suffix and media type of a job's results."""
    format = "png" if job.order.kind == "invented" else job.order.format
    return (format, CLIPS[format]) if job.order.kind == VIDEO else (SUFFIXES[format], WRITTEN[format])


def _told(desk: Desk, job: Job) -> Told:
    return _summary(desk, job, desk.ledger.state(job.id), desk.ledger.done(job))


def _whole(desk: Desk, job: Job) -> ToldWhole:
    state, done = desk.ledger.state(job.id), desk.ledger.done(job)
    told = _summary(desk, job, state, done)

    def result(number: int) -> Result:
        failed = state.failed.get(number)
        name = job.names[number - 1]
        if number in done:
            return Result(number, name, "done", None, f"/v1/jobs/{job.id}/results/{number}", done[number])
        return Result(number, name, "failed" if failed else "waiting", Fault(**failed) if failed else None, None, None)

    return ToldWhole(**vars(told), results=[result(number) for number in job.numbers])


def _summary(desk: Desk, job: Job, state: State, done: dict[int, int]) -> Told:
    count, failed = len(job.names), len(set(state.failed) - set(done))
    tiles = [told for number, told in state.tiles.items() if number not in done and number not in state.failed]
    share = sum(part / total for part, total in tiles if total)
    told = Tiles(sum(part for part, _ in tiles), sum(total for _, total in tiles))
    until = desk.ledger.keep_until(state)
    place = f"/v1/jobs/{job.id}"
    return Told(
        job.id, job.order.kind, state.state, count, len(done), failed,  # type: ignore[arg-type]
        round(min(1.0, (len(done) + failed + share) / count), 4), told, _time(job.made),
        None if until is None else _time(until), Fault(**state.error) if state.error else None,
        f"{place}/events", f"{place}/results.zip",
    )  # fmt: skip


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class _Pieces(io.RawIOBase):
    """A file that is written to and gives what it was given, piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What has come since it was asked last."""
        found, self._pieces = b"".join(self._pieces), []
        return found


def _zipped(desk: Desk, job: Job, numbers: list[int]) -> Iterator[bytes]:
    """Paintings as a zip that is never whole anywhere: they are packed already, and may be many."""
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_STORED) as packed:
        for number in numbers:
            stem = Path(job.names[number - 1]).stem.strip(". ") or "picture"
            info = zipfile.ZipInfo(f"{number:04}-{stem}.{_format(job)[0]}", datetime.now(UTC).timetuple()[:6])
            with contextlib.suppress(Problem, FileNotFoundError):  # deleted meanwhile
                path = desk.ledger.result(job, number)
                with open(path, "rb") as source, packed.open(info, "w", force_zip64=True) as target:
                    while data := source.read(_CHUNK):
                        target.write(data)
                        yield pieces.taken()
    yield pieces.taken()
