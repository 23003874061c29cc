"""The fields of a form as an order: one place for what every route that paints takes."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Form, Request, UploadFile

from upbrush import sizes
from upbrush.errors import ConfigError
from upbrush.web.orders import VIDEO, Order, Part
from upbrush.web.problems import Problem

MOST_WORDS = 300
MOST_FILES = 16  # pictures of a style
Result = TypeVar("Result")

Words = Annotated[
    str | None,
    Form(
        max_length=MOST_WORDS,
        description="As on the command line: a name, a blend such as monet:.7,klimt:.3, random or random:7. Left out: "
        "the picture is restored as it is.",
        examples=["monet"],
    ),
]
Share = Form(ge=0, le=1, allow_inf_nan=False)


async def knobs(
    style: Words = None,
    strength: Annotated[float, Form(ge=0, le=1, description="0 restores, 1 repaints.", examples=[1])] = 1.0,
    fidelity: Annotated[float, Form(ge=0, le=1, description="1 is least error, 0 is sharpest.", examples=[0.5])] = 0.5,
    keep_colours: Annotated[bool, Form(description="Repaint strokes only.", examples=[False])] = False,
    scale: Annotated[float | None, Form(ge=1, le=16, description="How many times larger; 4 if left out.")] = None,
    size: Annotated[
        str | None,
        Form(max_length=40, description="3000x2000, long:3000, short:2000 or fit:3000x2000.", examples=["long:1024"]),
    ] = None,
    wrap: Annotated[bool, Form(description="The picture goes all the way round, 360°.")] = False,
    stereo: Annotated[Literal["side", "over"] | None, Form(description="Two eyes, painted apart.")] = None,
    format: Annotated[Literal["png", "jpeg", "webp"], Form(description="Of the result.", examples=["jpeg"])] = "png",
    quality: Annotated[int, Form(ge=1, le=100, description="Of JPEG and WebP.", examples=[95])] = 95,
) -> Order:
    """The knobs that every painting has. Raises ConfigError for a size that cannot be read.

    A coroutine that waits for nothing: FastAPI gives a plain function to a thread, which takes longer than all of this.
    """
    if size is not None or scale is not None:  # what cannot be read fails here; no picture is so large
        sizes.target_size(2**31, 2**31, scale, size)
    return Order(
        style=style, strength=strength, fidelity=fidelity, keep_colours=keep_colours, scale=scale, size=size,
        wrap=wrap, stereo=stereo, format=format, quality=quality,
    )  # fmt: skip


async def clip_knobs(
    container: Annotated[
        Literal["mp4", "mov", "mkv", "webm", "gif", "webp", "png"],
        Form(description="For kind=video: what the result is. gif, webp and png are moving pictures."),
    ] = "mp4",
    codec: Annotated[
        Literal["h264", "hevc", "av1", "vp9", "prores", "ffv1"] | None,
        Form(description="For kind=video; the clip's own if left out."),
    ] = None,
    crf: Annotated[int | None, Form(ge=0, le=63, description="For kind=video: lower is better and larger.")] = None,
    begin: Annotated[str | None, Form(max_length=20, description="For kind=video: as in 12.5 or 1m30s.")] = None,
    end: Annotated[str | None, Form(max_length=20, description="The first moment that is left out.")] = None,
    steady: Annotated[bool, Form(description="For kind=video: without, detail may shimmer.")] = True,
    reduce: Annotated[int | None, Form(ge=16, le=4096, description="Reduce a clip's longer side first.")] = None,
    on: Annotated[str | None, Form(max_length=30, description="A colour to lay a clip with alpha on.")] = None,
    drop: Annotated[
        list[Literal["audio", "subtitles", "attachments", "covers"]] | None,
        Form(description="Tracks of a clip that are left out."),
    ] = None,
) -> Order:
    """The knobs that only clips have, as an order that has no others."""
    told = {
        "codec": codec, "crf": crf, "begin": begin, "end": end, "steady": steady, "reduce_px": reduce, "ground": on,
        "drop": drop or [],
    }  # fmt: skip
    return Order(VIDEO, format=container, clip=told)


def parts(**files: list[UploadFile] | UploadFile | None) -> Callable[[], Awaitable[list[Part]]]:
    """What gives the files that were sent as parts of an order, by their roles. Raises ConfigError for too many."""
    sent = [(role, one if isinstance(one, list) else [one]) for role, one in files.items() if one]
    for role, several in sent:
        if len(several) > MOST_FILES:
            raise ConfigError(f"{role} is given {len(several)} times, at most {MOST_FILES} are taken")

    async def load() -> list[Part]:
        for _, several in sent:
            for file in several:
                await file.seek(0)
        return [Part(role, await file.read()) for role, several in sent for file in several]

    return load


async def unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Wait for work, unless the client goes away: then it is cancelled, and what was being painted is called off."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Problem(499, "RequestError", "the client went away")
        return task.result()
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(gone, task, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
