"""Segments to a finished clip: put in one row, beside the copied tracks, whole or not there."""

import heapq
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from math import lcm
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from upbrush.errors import ClipError, ConfigError
from upbrush.video import moving, segments, tracks
from upbrush.video.clip import Clip
from upbrush.video.codecs import MPEG4_FAMILY
from upbrush.video.encoding import Target, add_video
from upbrush.video.timing import decoding_times
from upbrush.video.tracks import Cut

# Matroska would move everything so that no decoding time is negative, and pictures would no longer be at their times.
_AS_TIMED = {"avoid_negative_ts": "disabled", "fflags": "+bitexact"}  # and the same bytes for the same work
MOST_TICKS = 100_000_000  # a second
_FAST_START = {"movflags": "+faststart"}  # a browser can begin before it has all of the file


def check(target: Target, clip: Clip, drop: Sequence[str]) -> None:
    """See that encoder and container take what is to be written, before any work: the header is made, in memory.

    Raises ConfigError where they do not.
    """
    if target.animation:
        moving.check(target)
        return
    with ExitStack() as stack:
        source = _source(clip, stack)
        name = av.open(str(target.path), "w").format.name
        container = av.open(io.BytesIO(), "w", format=name, container_options=dict(_AS_TIMED))
        try:
            add_video(container, target)
            if source is not None:
                tracks.add(container, tracks.chosen(source, str(clip.path), drop), target.path)
            container.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            title, size = target.codec.title, f"{target.width}x{target.height}"
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"{target.path}: {title} of {size} cannot be written here ({reason}); choose another --codec or size"
            ) from None


def join(target: Target, pieces: Sequence[Path], clip: Clip, cut: Cut, drop: Sequence[str], note: str) -> None:
    """Write the finished clip under its name, over what is there.

    pieces: the segments in order. cut: what of the tracks goes with them.
    Raises ClipError where it cannot be written; segments are left as they are.
    """
    part = pieces[0].with_name(target.path.name)  # beside the segments, so that renaming is all that is left
    try:
        if target.animation:
            moving.write(target, pieces, part, clip.plays)
        else:
            _write(target, pieces, part, clip, cut, drop, note)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, target.path)
    except (OSError, av.error.FFmpegError) as error:
        part.unlink(missing_ok=True)
        raise unwritable(target.path, error) from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def unwritable(path: Path, error: BaseException) -> ClipError:
    """One line on why a clip was not written."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return ClipError(
        f"{path}: cannot be written ({reason}); whole segments are kept: make room, and run the same command again"
    )


def _write(
    target: Target, pieces: Sequence[Path], part: Path, clip: Clip, cut: Cut, drop: Sequence[str], note: str
) -> None:
    with ExitStack() as stack:
        source = _source(clip, stack)
        options = _options(target, source)
        container = stack.enter_context(av.open(str(part), "w", container_options=options))
        stream = add_video(container, target)
        copies: dict[int, Stream] = {}
        if source is not None:
            copies = tracks.add(container, tracks.chosen(source, str(clip.path), drop), target.path)
            tracks.describe(source, container, cut, note)
        container.start_encoding()
        _same_start(stream, pieces[0])
        painted = _painted(target, pieces, stream)
        copied = tracks.packets(clip, source, copies, cut) if source is not None else iter(())
        for _, packet in heapq.merge(painted, copied, key=lambda due: due[0]):
            container.mux_one(packet)


def _options(target: Target, source: InputContainer | None) -> dict[str, str]:
    """What the container is told. An .mp4 counts delays of tracks in its own ticks: 1 ms, if it is told nothing."""
    if target.path.suffix.lower() not in MPEG4_FAMILY:
        return _AS_TIMED
    bases = [stream.time_base for stream in source.streams.audio] if source is not None else []
    exact = lcm(target.time_base.denominator, *(base.denominator for base in bases if base is not None))
    scale = exact if exact <= MOST_TICKS else target.time_base.denominator
    return _AS_TIMED | _FAST_START | {"movie_timescale": str(scale)}


def _source(clip: Clip, stack: ExitStack) -> InputContainer | None:
    """The clip again, for its tracks; moving pictures have none."""
    if clip.moving_picture:
        return None
    return stack.enter_context(av.open(str(clip.path), metadata_errors="replace"))


def _same_start(stream: VideoStream, piece: Path) -> None:
    fresh, stored = bytes(stream.codec_context.extradata or b""), segments.extradata(piece)
    if fresh and stored and fresh != stored:
        raise ClipError(f"{piece}: was encoded otherwise than now; remove {piece.parent} and run the command again")


def _painted(
    target: Target, pieces: Sequence[Path], stream: VideoStream
) -> Iterator[tuple[Fraction, "av.Packet[Stream]"]]:
    """The packets of all segments with when they are due."""
    usual = max(1, round(1 / target.rate / target.time_base))
    due = iter(decoding_times([packet.pts for piece in pieces for packet in segments.packets(piece)], usual))
    for piece in pieces:
        for stored in segments.packets(piece):
            packet = av.Packet(stored.data)
            packet.pts, packet.dts, packet.duration = stored.pts, next(due), stored.duration
            packet.time_base, packet.stream, packet.is_keyframe = target.time_base, stream, stored.key
            assert packet.dts is not None
            yield packet.dts * target.time_base, packet
