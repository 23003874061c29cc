"""The routes that paint at once: a picture in, a picture out."""

from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile

from upbrush import __version__
from upbrush.opening import readable
from upbrush.web.asking import knobs, parts, unless_gone
from upbrush.web.desk import AtDesk, Desk, refusals, sent, shown
from upbrush.web.filming import missing
from upbrush.web.orders import CLIPS, FORMATS, SUFFIXES, WRITTEN, Order
from upbrush.web.pool import Answer, Lane

routes = APIRouter(prefix="/v1", tags=["paint"])
_STAGES = ("style", "read", "paint", "write")
_PAINTED: dict[int | str, dict[str, Any]] = {
    200: {
        **sent("The painting.", *WRITTEN.values())[200],
        "headers": {
            "Server-Timing": {"description": "Milliseconds of each part.", "schema": {"type": "string"}},
            "Upbrush-Style": {"description": "What it was painted in.", "schema": {"type": "string"}},
            "Upbrush-Size": {"description": "As 512x384.", "schema": {"type": "string"}},
        },
    }
}
_MAP: dict[int | str, dict[str, Any]] = {
    200: {
        **sent("The map, to be laid over the painting: clear where nothing was invented.", "image/png")[200],
        "headers": {
            "Upbrush-Invented": {
                "description": "The share that was invented.",
                "schema": {"type": "number"},
            },
            "Upbrush-Level": {"description": "Mean level, of 255.", "schema": {"type": "number"}},
            "Upbrush-Top": {"description": "The level of the darkest colour.", "schema": {"type": "number"}},
        },
    }
}
_ABOUT = shown(
    200, "What it is, and takes.",
    service={
        "version": __version__, "model": "0123456789ab", "scale": 4, "engine": "onnxruntime",
        "formats": {"in": list(FORMATS), "out": list(WRITTEN), "clips": list(CLIPS)},
        "limits": {"bytes": 67108864, "pixels": 50000000, "waiting": 64, "keep_hours": 24}, "jobs": True,
    },
)  # fmt: skip
Picture = Annotated[UploadFile, File(description="PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF, HEIC or PPM.")]
StylePictures = Annotated[list[UploadFile] | None, File(description="Pictures of the style; of several, the mean.")]
StyleFile = Annotated[UploadFile | None, File(description="A .style file.")]
Preview = Annotated[
    int | None, Form(ge=16, le=512, description="The long side that the picture is brought down to first, in pixels.")
]
Knobs = Annotated[Order, Depends(knobs)]


@dataclass(frozen=True)
class About:
    """What a service is and takes."""

    version: str
    model: str
    scale: int
    engine: str
    formats: dict[str, list[str]]
    limits: dict[str, int | float]
    jobs: bool


@routes.get("", responses=_ABOUT | refusals())
def tell_about(desk: AtDesk) -> About:
    """What this service is, and how much it takes."""
    limits = desk.limits
    told = {
        "bytes": limits.file_bytes, "job_bytes": limits.job_bytes, "pixels": limits.pixels,
        "result_pixels": limits.result_pixels, "seconds": limits.seconds, "waiting": limits.waiting,
        "jobs_per_client": limits.jobs_a_client, "pictures_per_job": limits.pictures_a_job,
        "own_styles": limits.own_styles, "keep_hours": limits.keep_hours, "clip_bytes": limits.clip_bytes,
        "clip_frames": limits.clip_frames, "clip_seconds": limits.clip_seconds,
    }  # fmt: skip
    settings = desk.settings
    clips = [] if missing() else list(CLIPS)
    formats = {"in": list(readable(FORMATS)), "out": list(WRITTEN), "clips": clips}
    engine = settings.bench.engine
    return About(
        __version__,
        settings.identity,
        settings.scale,
        "onnxruntime" if engine == "auto" else engine,
        formats,
        told,
        True,
    )


@routes.post("/paint", response_class=Response, responses={**_PAINTED, **refusals(415, 429, 500, 503)})
async def paint(
    request: Request,
    desk: AtDesk,
    picture: Picture,
    order: Knobs,
    style_picture: StylePictures = None,
    style_file: StyleFile = None,
    preview: Preview = None,
) -> Response:
    """Enlarge a picture: restored, or repainted in a style. Metadata is kept.

    With `preview` the picture is made small first, and goes before others: for sliders.
    """
    order = replace(order, preview=preview)
    answer = await _done(request, desk, order, picture, style_picture, style_file)
    return _picture(answer, WRITTEN[order.format], order.format)


@routes.post("/invented", response_class=Response, responses={**_MAP, **refusals(415, 429, 500, 503)})
async def tell_invented(
    request: Request,
    desk: AtDesk,
    picture: Picture,
    order: Knobs,
    style_picture: StylePictures = None,
    style_file: StyleFile = None,
    preview: Preview = None,
) -> Response:
    """Show what painting would invent: detail that the small picture does not determine. Six times the work."""
    order = replace(order, kind="invented", preview=preview)
    answer = await _done(request, desk, order, picture, style_picture, style_file)
    found = _picture(answer, "image/png", "png")
    for name in ("invented", "level", "top"):
        found.headers[f"upbrush-{name}"] = f"{float(answer.facts[name]):g}"
    return found


async def _done(
    request: Request,
    desk: Desk,
    order: Order,
    picture: UploadFile,
    style_pictures: list[UploadFile] | None,
    style_file: UploadFile | None,
) -> Answer:
    load = parts(picture=picture, style_picture=style_pictures, style_file=style_file)
    lane = Lane.NOW if order.preview is None else Lane.PREVIEW
    return await unless_gone(request, desk.pool.run(order, load, lane))


def _picture(answer: Answer, media_type: str, suffix: str) -> Response:
    facts = answer.facts
    stages = {"queue": answer.waited_ms} | {name: float(facts["ms"].get(name, 0)) for name in _STAGES}
    headers = {
        "content-disposition": f'inline; filename="painted.{SUFFIXES[suffix]}"',
        "server-timing": ", ".join(f"{name};dur={ms:.1f}" for name, ms in stages.items()),
        "upbrush-size": f"{int(facts['width'])}x{int(facts['height'])}",
    }
    if facts["style"] is not None:
        headers["upbrush-style"] = quote(str(facts["style"]))
    return Response(answer.data, media_type=media_type, headers=headers)
