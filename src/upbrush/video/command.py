"""`upbrush video` as the command line has it: words in, one clip out."""

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from upbrush.console import (
    INTERRUPTED,
    SOME_FAILED,
    EngineName,
    Fidelity,
    KeepColours,
    Memory,
    Model,
    Overwrite,
    Quiet,
    Scale,
    Seed,
    Strength,
    Threads,
    complain,
    need,
)
from upbrush.errors import ClipError, ConfigError, PictureError
from upbrush.video.asked import Asked

if TYPE_CHECKING:
    from upbrush.painter import Painter
    from upbrush.video.clip import Clip
    from upbrush.video.encoding import Target
    from upbrush.video.work import Job, Told

PARTS = "audio, subtitles, attachments or covers"


StyleWords = Annotated[
    str | None, typer.Option("--style", "-s", help="As upbrush paint has it; or along the clip: 0s:monet,4s:klimt")
]
CodecName = Annotated[
    str | None, typer.Option(help="h264, hevc, av1, vp9, prores or ffv1; the clip's own if left out.")
]
Preview = Annotated[
    int | None, typer.Option(min=1, max=100, help="Paint so many frames on one page beside OUT, and stop.")
]
FaceNetwork = Annotated[
    Path | None, typer.Option(envvar="UPBRUSH_FACES", help="YuNet, the face detector, or its folder: for --only.")
]
Reduced = Annotated[int | None, typer.Option(min=16, help="Reduce the clip's longer side to so many pixels first.")]


def video(
    source: Annotated[str, typer.Argument(metavar="IN", help="A clip, camera:0, a stream's address, a named pipe.")],
    out: Annotated[str, typer.Option("--out", "-o", help="A clip; or window, or a stream's address, to go live.")],
    style: StyleWords = None,
    strength: Strength = None,
    fidelity: Fidelity = 0.5,
    keep_colours: KeepColours = False,
    scale: Scale = None,
    size: Annotated[str | None, typer.Option(help="1920x1080, long:1920, short:1080 or fit:1920x1080.")] = None,
    codec: CodecName = None,
    crf: Annotated[int | None, typer.Option(min=0, help="Quality: lower is better and larger.")] = None,
    preview: Preview = None,
    begin: Annotated[str | None, typer.Option("--from", help="As in 12.5, 1m30s or 1:02:03.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="The first moment that is left out.")] = None,
    mask: Annotated[Path | None, typer.Option(help="A picture or clip: paint where white, restore elsewhere.")] = None,
    only: Annotated[str | None, typer.Option(help="faces, or the background: what the style is for.")] = None,
    faces: FaceNetwork = None,
    steady: Annotated[bool, typer.Option("--steady/--no-steady", help="Without: detail may shimmer.")] = True,
    wrap: Annotated[bool, typer.Option("--wrap", help="The clip is equirectangular, 360°: no seam.")] = False,
    stereo: Annotated[str | None, typer.Option(help="side or over: how a clip holds two eyes.")] = None,
    reduce: Reduced = None,
    ground: Annotated[str | None, typer.Option("--on", help="A colour to lay a clip with alpha on.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help=f"Leave out {PARTS}; may be given again.")] = None,
    memory: Memory = "1GB",
    threads: Threads = None,
    engine: EngineName = "auto",
    model: Model = None,
    overwrite: Overwrite = False,
    seed: Seed = None,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Enlarge a clip: restored, or repainted with --style, one look a shot.

    Time stamps, sound, subtitles, colour tags and bit depth are kept. A run that was stopped, however it was, goes on
    where it was by the same command.
    """
    need("video", "av", "cv2")
    os.environ.setdefault("SVT_LOG", "1")  # libsvtav1 would fill the screen; 1 is errors only
    from upbrush.video import sources

    asked = Asked(
        source, out, style, strength, fidelity, keep_colours, scale, size, codec, crf, begin, end, mask, only, faces,
        steady, wrap, stereo, reduce, ground, tuple(drop or ()), seed,
    )  # fmt: skip
    live = sources.is_live(source) or sources.is_window(out) or sources.is_stream(out)
    painter, hands = opened(engine, model, threads, memory, late=live or preview is not None)
    if live:
        from upbrush.video.live_command import go_live

        go_live(asked, painter, overwrite, quiet)
        return
    job = planned(asked, painter, overwrite or preview is not None)
    if preview is not None:
        _preview(job, painter, preview, overwrite, quiet)
    else:
        _paint(job, painter, hands, quiet)


def opened(
    engine: str = "auto", model: Path | None = None, threads: int | None = None, memory: str = "1GB", late: bool = False
) -> "tuple[Painter, int]":
    """The painter of a clip, and how many frames it is to paint at once. late: each frame as soon as can be.

    The memory is shared out among the frames, the threads too.
    """
    from upbrush.engine import open_engine
    from upbrush.folders.split import cores
    from upbrush.painter import Painter
    from upbrush.sizes import memory_bytes
    from upbrush.video.work import hands_for

    if late or engine not in ("auto", "onnxruntime"):  # the others' calls wait for each other
        return Painter(open_engine(engine, model, threads), memory=memory), 1
    allowed = memory_bytes(memory)
    hands, each = hands_for(threads or cores(), allowed)
    return Painter(open_engine(engine, model, each), memory=allowed // hands), hands


def planned(asked: Asked, painter: "Painter", overwrite: bool) -> "Job":
    """Everything that can be wrong is found here, before any painting."""
    from upbrush.sizes import target_size
    from upbrush.video import encoding, joining, masks, reading, work
    from upbrush.video.choosing import chosen
    from upbrush.video.timing import read_time
    from upbrush.video.tracks import Cut

    target_path = Path(asked.out)
    _refuse_unfit(Path(asked.source), target_path, overwrite)
    clip = reading.probe(Path(asked.source))
    prepared = work.Prepared(asked.reduce_px, _colour(asked.ground))
    seen = prepared.clip(clip)
    cut = Cut(read_time(asked.begin) if asked.begin else Fraction(0), read_time(asked.end) if asked.end else None)
    if cut.end is not None and cut.end <= cut.begin:
        raise ConfigError(f"--to {asked.end} is not later than --from {asked.begin or 0}; nothing would be left")
    knobs, timeline = chosen(asked, painter)
    size = target_size(seen.width, seen.height, asked.scale, asked.size, painter.engine.scale)
    exact = asked.size is not None and asked.size[:1].isdigit()
    target = encoding.plan(target_path, seen, size, codec=asked.codec, crf=asked.crf, exact=exact)
    _see_eyes(seen, target, asked.stereo)
    knobs = replace(knobs, scale=None, size=f"{target.width}x{target.height}")
    mask = masks.open_mask(asked.mask, asked.only, asked.faces)
    job = work.Job(
        clip, target, knobs, {}, prepared, timeline, mask, asked.steady, cut, asked.drop,
    )  # fmt: skip
    joining.check(target, clip, asked.drop)
    return replace(job, plan=_plan(asked, job, painter))


def _see_eyes(clip: "Clip", target: "Target", stereo: str | None) -> None:
    """Raises ClipError, ConfigError where a frame or its painting cannot be halved."""
    import numpy as np

    from upbrush import panorama
    from upbrush.picture import Picture

    try:
        panorama.eyes(Picture(np.empty((clip.height, clip.width, 3), np.uint8)), stereo)
    except PictureError as error:
        raise ClipError(f"{clip.path}: {error}") from None
    panorama.eye_target((target.height, target.width), stereo)


def _plan(asked: Asked, job: "Job", painter: "Painter") -> dict[str, Any]:
    """All that the painted frames depend on: segments of another plan are not gone on from."""
    import av

    from upbrush import __version__
    from upbrush.video import masks
    from upbrush.video.segments import fingerprint

    knobs, timeline = job.knobs, job.timeline
    keys = (
        []
        if timeline is None
        else [(key.seconds, key.style and key.style.code.tobytes().hex()) for key in timeline.keys]
    )
    return {
        "upbrush": __version__,
        "ffmpeg": av.library_versions,
        "model": painter.engine.identity,
        "engine": getattr(painter.engine, "name", type(painter.engine).__name__),
        "clip": fingerprint(job.clip.path),
        "target": repr(job.target),
        "style": None if knobs.style is None else knobs.style.code.tobytes().hex(),
        "styles": keys,
        "knobs": [knobs.strength, knobs.fidelity, knobs.keep_colours, knobs.size, knobs.wrap, knobs.stereo],
        "mask": None if asked.mask is None else fingerprint(asked.mask),
        "only": asked.only,
        "faces": None if not asked.only or asked.faces is None else fingerprint(masks.detector(asked.faces)),
        "steady": job.steady,
        "prepared": repr(job.prepared),
        "cut": repr(job.cut),
    }


def _colour(word: str | None) -> tuple[int, int, int] | None:
    from PIL import ImageColor

    if word is None:
        return None
    try:
        red, green, blue, *_ = ImageColor.getrgb(word)
    except ValueError:
        raise ConfigError(f"--on {word}: is not a colour; expected one such as white, black or #204060") from None
    return red, green, blue


def _refuse_unfit(source: Path, target: Path, overwrite: bool) -> None:
    """The output can be written, and replaces nothing that is wanted."""
    if target.is_dir() or not target.suffix:
        better = target / "clip.mp4" if target.is_dir() else Path(f"{target}.mp4")
        raise ConfigError(f"{target}: expected the name of a clip, as in {better}")
    if not target.parent.is_dir():
        raise ClipError(f"{target}: its folder does not exist; make {target.parent} first")
    if target.exists() and source.exists() and target.samefile(source):
        raise ConfigError(f"{target}: would be replaced by its own painting; choose another output")
    if target.exists() and not overwrite:
        raise ClipError(f"{target}: is there already; choose another name, or give --overwrite")


def _paint(job: "Job", painter: "Painter", hands: int, quiet: bool) -> None:
    from upbrush.screen import Notes
    from upbrush.video import work
    from upbrush.video.meter import meter

    try:
        with meter(quiet) as tick, Notes(tick) as notes:
            notes.picture = str(job.clip.path)
            if job.clip.interlaced:
                complain(f"{job.clip.path}: is interlaced and painted as it is stored; deinterlace it first")
            told = work.run(job, painter, tick.frames, hands)
    except KeyboardInterrupt:
        complain("stopped; whole segments are kept, the same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None
    if told.missing > told.short or told.short > 1 or told.flawed:
        complain(f"{job.clip.path}: {_damage(told)}; {job.target.path} has what there is")
        raise typer.Exit(SOME_FAILED)
    if not quiet:
        rate = told.painted / told.seconds if told.seconds else 0.0
        size = f"{job.target.width}x{job.target.height}"
        complain(f"{job.target.path}: {told.frames} frames of {size}, {told.painted} painted now, {rate:.2f} a second")


def _damage(told: "Told") -> str:
    """What is wrong with a clip, in words."""
    lost, said = told.missing - told.short, []
    if told.short > 1:
        said.append(f"ends after {told.frames} of {told.frames + told.missing} frames")
    if lost:
        said.append(f"{lost} frame{'s are' if lost > 1 else ' is'} missing before its end")
    if told.flawed:
        said.append(f"{told.flawed} frame{'s are' if told.flawed > 1 else ' is'} not whole")
    return f"{', '.join(said)}, it is cut short or damaged"


def _preview(job: "Job", painter: "Painter", count: int, overwrite: bool, quiet: bool) -> None:
    from upbrush import picture
    from upbrush.screen import Notes
    from upbrush.video.meter import meter
    from upbrush.video.preview import preview

    path = job.target.path.with_suffix(".preview.png")
    if path.exists() and not overwrite:
        raise ClipError(f"{path}: is there already; remove it, or give --overwrite")
    with meter(quiet) as tick, Notes(tick) as notes:
        notes.picture = str(job.clip.path)
        page = preview(job, painter, count, tick.frames)
    picture.write(picture.from_image(page), path, overwrite=overwrite)
    typer.echo(f"look at {path}; the same command without --preview paints the clip")
