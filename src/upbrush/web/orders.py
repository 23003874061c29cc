"""What is asked of the service, as plain data that travels as JSON; and how much may be asked."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from upbrush.errors import ConfigError

# What is decoded: the fewer formats, the fewer decoders that a hostile file can reach.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "PPM")
SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp"}
WRITTEN = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
CLIPS = {
    "mp4": "video/mp4", "mov": "video/quicktime", "mkv": "video/x-matroska", "webm": "video/webm",
    "gif": "image/gif", "webp": "image/webp", "png": "image/png",
}  # fmt: skip
VIDEO = "video"  # the kind of an order for a clip
PICTURE, STYLE_PICTURE, STYLE_FILE = "picture", "style_picture", "style_file"  # what a part of an order is


@dataclass(frozen=True)
class Limits:
    """How much one may ask.

    file_bytes, job_bytes: of what is sent at once, to paint and as a job. pixels: of one picture, looked at before it
    is decoded. result_pixels: of one painting. seconds: for one painting that is waited for. job_seconds: for one
    painting of a job. waiting: paintings that may wait in line. jobs_waiting: jobs that may wait or run. jobs_a_client:
    as many of one client's. pictures_a_job: in one job. own_styles: kept on the shelf. keep_hours: how long a job's
    results are kept. kept_bytes: of all jobs that have ended; beyond, the oldest go. stall_seconds: how long a client
    may send nothing while it sends. upload_rate: bytes a second that it has to keep after these. head_seconds: until a
    request's head has come. connections: at once. connections_a_client: as many of one address. free_bytes: that stay
    free on the disk. worker_bytes: the address space of a worker, None for all there is. clip_bytes, clip_frames: of
    one clip that is sent. clip_result_bytes: of each file that is written for it. clip_seconds: for painting it.
    """

    file_bytes: int = 64 << 20
    job_bytes: int = 1 << 30
    pixels: int = 50_000_000
    result_pixels: int = 200_000_000
    seconds: float = 120
    job_seconds: float = 3600
    waiting: int = 64
    jobs_waiting: int = 100
    jobs_a_client: int = 8
    pictures_a_job: int = 1000
    own_styles: int = 200
    keep_hours: float = 24
    kept_bytes: int = 20 << 30
    stall_seconds: float = 30
    upload_rate: int = 32 << 10
    head_seconds: float = 10
    connections: int = 512
    connections_a_client: int = 128
    free_bytes: int = 1 << 30
    worker_bytes: int | None = 8 << 30
    clip_bytes: int = 512 << 20
    clip_frames: int = 20_000
    clip_result_bytes: int = 4 << 30
    clip_seconds: float = 6 * 3600

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"limit {name} is {value}, expected more than 0, and an end")


def limits_of(changes: Sequence[str]) -> Limits:
    """Limits with some changed, as in "pixels=20000000". Raises ConfigError for what cannot be read."""
    known = {one.name: one for one in fields(Limits)}
    found: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.4)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"--limit {change}: no limit is called {name!r}; {hint}")
        try:
            found[name] = float(text) if known[name].type is float else int(text)
        except ValueError:
            raise ConfigError(f"--limit {change}: {text!r} is no number; as in {name}={known[name].default}") from None
    return Limits(**found)


@dataclass(frozen=True)
class Order:
    """What is to be done with a picture: see `Painter.paint`.

    kind: "paint", "invented" (the map of what was invented), "style" (a style of the pictures), "list" (what a zip
    holds) or "video" (a clip). style: words, None where a part of the order is the style, or where there is none.
    format: of the result; of a clip, one of CLIPS. preview: the long side that the picture is brought down to before it
    is painted. words: name, artist, source and licence of a new style. clip: what only clips are asked for with, by the
    names of `video.asked.Asked`.
    """

    kind: str = "paint"
    style: str | None = None
    strength: float = 1.0
    fidelity: float = 0.5
    keep_colours: bool = False
    scale: float | None = None
    size: str | None = None
    wrap: bool = False
    stereo: str | None = None
    format: str = "png"
    quality: int = 95
    preview: int | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    clip: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Part:
    """One file of an order: bytes that are sent, or a file of the data folder that the worker reads.

    role: PICTURE, STYLE_PICTURE or STYLE_FILE. entry: which picture of a zip, from 0; None where the file is one.
    """

    role: str
    data: bytes = b""
    path: str | None = None
    entry: int | None = None


@dataclass(frozen=True)
class Bench:
    """How a worker is set up.

    model_dir, shelf: folders. threads: of a painting. quick: of a preview, which is soon over and should be so sooner;
    None takes as many. memory: about what painting may take.
    """

    model_dir: str
    shelf: str
    engine: str = "auto"
    threads: int | None = None
    quick: int | None = None
    memory: str = "1GB"
    limits: Limits = field(default_factory=Limits)

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Bench":
        """From plain data."""
        return cls(**{**plain, "limits": Limits(**plain["limits"])})

    @property
    def shelf_dir(self) -> Path:
        """Where own styles are."""
        return Path(self.shelf)
