"""Frames to packets: what is written, and an encoder that is the same for every segment."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from upbrush.errors import ClipError, ConfigError
from upbrush.video.clip import FULL, LIMITED, RGB, Clip, Colour, Frame, Pixels
from upbrush.video.codecs import (
    ANIMATIONS,
    CODECS,
    CONTAINERS,
    MPEG4_FAMILY,
    UNLISTED,
    Codec,
    described,
    even_sides,
    fitting,
    named,
    usual,
)
from upbrush.video.conversion import Writer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """How a clip is written. codec, pixels: of the segments; for moving pictures these lose nothing, and are made into
    the picture at the end. crf: None for codecs without.
    """  # noqa: D205

    path: Path
    codec: Codec
    pixels: Pixels
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    colour: Colour
    crf: int | None = None
    aspect: Fraction | None = None
    animation: str | None = None


@dataclass(frozen=True)
class Packet:
    """What an encoder made of a frame. pts, duration: in the target's ticks."""

    pts: int
    duration: int
    key: bool
    data: bytes


def plan(
    path: Path, clip: Clip, size: tuple[int, int], *, codec: str | None = None, crf: int | None = None,
    exact: bool = False,
) -> Target:  # fmt: skip
    """Say how a clip will be written, before any work.

    size: (width, height) of the output; exact: may it not be moved on to sides that the codec takes? codec: as a user
    names it. Raises ConfigError for a codec, crf or size that the
    output cannot have, ClipError for alpha that it cannot keep.
    """
    suffix = path.suffix.lower()
    shape = (clip.rate, clip.time_base)
    if suffix in ANIMATIONS:
        if codec is not None or crf is not None:
            raise ConfigError(f"{path}: a {suffix} has no codec and no crf to choose; drop them, or write an .mp4")
        pixels = described("bgra" if clip.pixels.alpha else "bgr0")
        colour = Colour(matrix=RGB, range=FULL)
        return Target(path, CODECS["ffv1"], pixels, *size, *shape, colour, None, None, ANIMATIONS[suffix])
    held = _held(path)
    chosen = named(codec) if codec is not None else usual(suffix, clip.codec, clip.pixels, held)
    if chosen.name not in held:
        raise ConfigError(f"{path}: a {suffix} file cannot hold {chosen.title}; it holds {', '.join(held) or 'none'}")
    pixels = described(fitting(chosen, clip.pixels))
    if clip.pixels.alpha and not pixels.alpha:
        raise ClipError(
            f"{clip.path}: has alpha, which {chosen.title} here cannot keep; write ProRes (.mov), FFV1 (.mkv), a .webp "
            "or .png, or lay it on a colour, as with --on white"
        )
    if crf is not None and (chosen.crf is None or not 0 <= crf <= chosen.worst_crf):
        told = f"0…{chosen.worst_crf}, {chosen.crf} is usual" if chosen.crf is not None else "none; drop it"
        raise ConfigError(f"crf {crf} is not for {chosen.title}: it has {told}")
    even = even_size(size, chosen, pixels)
    if even != size and exact:
        raise ConfigError(
            f"{path}: {chosen.title} with shared colours needs even sides, found {size[0]}x{size[1]}; ask for --size "
            f"{even[0]}x{even[1]}, or for --codec ffv1 in an .mkv"
        )
    quality = chosen.crf if crf is None else crf
    colour = _colour(clip, pixels)
    return Target(path, chosen, pixels, *even, *shape, colour, quality, clip.aspect)


def even_size(size: tuple[int, int], codec: Codec, pixels: Pixels) -> tuple[int, int]:
    """The nearest size, not smaller, that an encoder takes."""
    columns, rows = even_sides(codec, pixels)
    return -(-size[0] // columns) * columns, -(-size[1] // rows) * rows


def _colour(clip: Clip, pixels: Pixels) -> Colour:
    """The tags of the output: the clip's own; a clip of RGB that becomes YUV is written as players expect it."""
    if pixels.rgb:
        return Colour(clip.colour.primaries, clip.colour.transfer, RGB, FULL)
    if clip.pixels.rgb:
        return Colour(clip.colour.primaries, clip.colour.transfer, 1, LIMITED)
    return clip.colour


def _held(path: Path) -> list[str]:
    """The codecs here that the output's container holds and this FFmpeg can write."""
    if path.suffix.lower() not in CONTAINERS:  # others move times, or have none: the tests prove these
        raise ConfigError(
            f"{path}: clips are not written as {path.suffix}; expected {', '.join(CONTAINERS)}, .gif, .webp or .png"
        )
    supported = av.open(str(path), "w").supported_codecs  # makes no file before something is written
    listed = [codec for codec in CODECS.values() if codec.encoder in supported]
    return [codec.name for codec in listed or [CODECS[name] for name in UNLISTED] if _is_built(codec)]


def _is_built(codec: Codec) -> bool:
    try:
        av.Codec(codec.encoder, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def add_video(container: OutputContainer, target: Target) -> VideoStream:
    """Add the stream that a target is encoded in. Raises ConfigError where FFmpeg has no such encoder."""
    codec = target.codec
    options = dict(codec.options)
    if target.crf is not None:
        options["crf"] = str(target.crf)
    if codec.name == "prores":
        options["profile"] = "3" if target.pixels.chroma == (2, 1) else "4"  # HQ and 4444
    stream = container.add_stream(codec.encoder, rate=target.rate, options=options)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = target.width, target.height, target.pixels.name
    stream.time_base = target.time_base
    context = stream.codec_context
    context.time_base, context.framerate = target.time_base, target.rate
    context.thread_count = 4  # fixed: some encoders make other bytes with another number
    context.color_range, context.colorspace = target.colour.range, target.colour.matrix
    context.color_primaries, context.color_trc = target.colour.primaries, target.colour.transfer
    if target.aspect is not None:
        context.sample_aspect_ratio = target.aspect
    if codec.name == "hevc" and target.path.suffix.lower() in MPEG4_FAMILY:
        context.codec_tag = "hvc1"  # what Apple's players ask for
    return stream


class Encoder:
    """One encoder for one segment: it knows nothing of what came before, so segments can be made again alone."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._sink = av.open(str(target.path), "w", format=container_format(target))
        self._stream = add_video(self._sink, target)
        self._writer = Writer(target.pixels, target.colour)
        self._durations: dict[int, int] = {}

    @property
    def extradata(self) -> bytes:
        """What a decoder must know first; complete once a packet has come."""
        return bytes(self._stream.codec_context.extradata or b"")

    def encode(self, frame: Frame) -> list[Packet]:
        """Give one frame, get the packets that are ready."""
        made = self._writer.frame(frame)
        made.pts, made.time_base = frame.pts, self.target.time_base
        self._durations[frame.pts] = frame.duration
        return self._taken(self._stream.encode(made))

    def flush(self) -> list[Packet]:
        """The packets that the encoder still holds."""
        return self._taken(self._stream.encode(None))

    def close(self) -> None:
        """Give its memory back: container and stream hold each other, and would stay until they are looked for."""
        self._sink.close()

    def _taken(self, packets: "Iterable[av.Packet[VideoStream]]") -> list[Packet]:
        taken = []
        for packet in packets:
            pts = packet.pts
            assert pts is not None, "an encoder gave a packet without a time"
            if packet.time_base != self.target.time_base:
                pts = round(pts * packet.time_base / self.target.time_base)
            taken.append(Packet(pts, self._durations.pop(pts, 1), packet.is_keyframe, bytes(packet)))
        return taken


def container_format(target: Target) -> str | None:
    """FFmpeg's name of the container, where the suffix does not tell it."""
    return "matroska" if target.animation else None
