"""A process that reads and paints one clip that a stranger sent: `python -m upbrush.web.projector REEL`.

As `web.worker`, for a clip. It has to write, so its files have a bound and not none, and it goes behind all others: a
clip takes hours, a preview does not.
"""

import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upbrush.errors import UpbrushError
from upbrush.web.confine import confine
from upbrush.web.filming import HEAD_BYTES, Reel, suffix_of
from upbrush.web.problems import UNKNOWN_FORMAT, Problem, limit, problem_of
from upbrush.web.worker import Line, Progress

if TYPE_CHECKING:
    from upbrush.video.work import Job

# Formats whose files name no others: see `filming`. FFmpeg's names of its demuxers.
FORMATS = "mov,matroska,avi,mpegts,mpeg,flv,ogg,asf"
NICE = 10


def main() -> int:
    """Paint the clip, and tell how it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the service, which ends this one, too
    sys.dont_write_bytecode = True
    os.environ.setdefault("SVT_LOG", "1")
    reel = Reel.of(sys.argv[1])
    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get among the messages
    limits = reel.bench.limits
    confine(None if reel.bench.engine == "cuda" else limits.worker_bytes, limits.clip_result_bytes)
    if hasattr(os, "nice"):
        os.nice(NICE)
    line = Line(sys.stdin.buffer, outgoing)
    try:
        facts = _done(reel, Progress(line))
    except (Problem, UpbrushError) as error:
        found = error if isinstance(error, Problem) else problem_of(error)
        line.tell({"told": "problem", "status": found.status, **found.fields(), "message": _plain(reel, found.message)})
    except MemoryError:
        line.tell({"told": "problem", "status": 413, **limit("the clip: does not fit into memory; reduce it").fields()})
    except Exception:  # noqa: BLE001 our own mistake: the service logs it and tells no more than that
        line.tell({"told": "failed", "trace": traceback.format_exc()[-20_000:]})
    else:
        line.tell({"told": "done", "facts": facts})
    return 0


def _done(reel: Reel, told: Progress) -> dict[str, Any]:
    from upbrush.video import work
    from upbrush.video.command import opened

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders write there what is in strangers' files
    bench = reel.bench
    painter, hands = opened(bench.engine, Path(bench.model_dir), bench.quick or bench.threads, bench.memory)
    job = _planned(reel, painter)
    size = {"width": job.target.width, "height": job.target.height, "frames": job.frames}
    if not reel.checked:
        return size

    def progressed(done: int, total: int | None) -> None:
        if done > bench.limits.clip_frames:  # whatever the header promised
            raise _too_long(done, bench.limits.clip_frames)
        told(done, max(done, total or 0))

    went = work.run(job, painter, progressed, hands)
    return size | {"frames": went.frames, "missing": went.missing}


def _planned(reel: Reel, painter: Any) -> "Job":
    """All that can be wrong with a clip, found before any painting."""
    from upbrush.video.asked import Asked
    from upbrush.video.command import planned

    order, limits, folder = reel.order, reel.bench.limits, Path(reel.folder)
    folder.mkdir(exist_ok=True)
    style = None
    if reel.style is not None:
        style = str(shutil.copyfile(reel.style, folder / "style.style"))
    asked = Asked(
        str(_named(reel)), str(reel.target), style, order.strength if style else None, order.fidelity,
        bool(style) and order.keep_colours, order.scale, order.size, wrap=order.wrap, stereo=order.stereo,
        **{**order.clip, "drop": tuple(order.clip.get("drop", ()))},
    )  # fmt: skip
    job = planned(asked, painter, overwrite=True)
    _check_pixels(job.clip.width, job.clip.height, limits.pixels)
    if (job.frames or 0) > limits.clip_frames:
        raise _too_long(job.frames or 0, limits.clip_frames)
    if job.target.width * job.target.height > limits.result_pixels:
        size = f"{job.target.width}x{job.target.height}"
        raise limit(f"the clip: would become {size}, more than {limits.result_pixels:,} pixels; enlarge it less")
    return job


def _named(reel: Reel) -> Path:
    """The clip under a name that tells its kind, where it is one of those that FFmpeg may open."""
    import av

    clip = Path(reel.clip)
    with open(clip, "rb") as file:
        suffix = suffix_of(file.read(HEAD_BYTES))
    if suffix:
        named = Path(reel.folder) / f"clip{suffix}"
        if not named.exists():
            os.link(clip, named)
        return named
    try:
        with av.open(str(clip), metadata_errors="replace", options={"format_whitelist": FORMATS}) as container:
            for stream in container.streams.video:
                if stream.codec_context is not None:
                    _check_pixels(stream.width, stream.height, reel.bench.limits.pixels)
    except (OSError, ValueError) as error:  # FFmpeg's are both
        reason = getattr(error, "strerror", None) or error
        words = f"the clip: cannot be read ({reason}); it is damaged, or of a format that is not taken"
        raise Problem(UNKNOWN_FORMAT, "ClipError", words) from None
    return clip


def _check_pixels(width: int, height: int, most: int) -> None:
    if width * height > most:
        raise limit(f"the clip: has {width}x{height} pixels, more than {most:,}; reduce it first")


def _too_long(frames: int, most: int) -> Problem:
    return limit(f"the clip: has {frames:,} frames, more than {most:,}; send a part of it, as with begin and end")


def _plain(reel: Reel, message: str) -> str:
    """A message without our own paths."""
    named = [str(Path(reel.folder) / f"clip{suffix}") for suffix in (".gif", ".png", ".webp")]
    for path in (*named, reel.clip):
        message = message.replace(path, "the clip")
    return message.replace(str(reel.target), "the result").replace(reel.folder, "the service's folder")


if __name__ == "__main__":
    sys.exit(main())
