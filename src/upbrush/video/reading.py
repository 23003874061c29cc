"""Clips of FFmpeg's formats: what they are, and their frames in order."""

import heapq
import logging
import struct
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from upbrush.errors import ClipError, ConfigError
from upbrush.picture import MAX_PIXELS
from upbrush.video import animation
from upbrush.video.clip import Clip, Colour, Frame, Turn
from upbrush.video.conversion import Reader, pixels_of
from upbrush.video.damage import Damage
from upbrush.video.timing import read_time, ticks

logger = logging.getLogger(__name__)

USUAL_RATE = Fraction(25)  # where a clip does not say; only its time stamps count
# Containers whose time counts from zero; in others it starts anywhere, and everything is moved to zero.
ZERO_BASED = {"mov", "mp4", "matroska", "webm", "avi", "nut"}
BACK_SECONDS = (0, 1, 5, 30)  # how far before the wanted time a seek is tried, one after the other
ONE_A_PACKET = {"h264", "hevc", "prores", "ffv1", "mjpeg"}
HELD = 3  # frames that wait for earlier ones
MOST_FAILURES = 20  # one after the other: then a container is given up
FASTEST, SLOWEST = 1000, Fraction(1, 100)  # frames a second that a header is believed


@contextmanager
def told_as(name: str, camera: bool = False) -> Iterator[None]:
    """Turn what FFmpeg raises into one line that names the clip or the camera."""
    try:
        yield
    except FileNotFoundError:
        if camera:
            raise ClipError(f"{name}: there is no such camera; plug it in, or give another's number") from None
        raise ClipError(f"{name}: no such file; give the path of a clip") from None
    except av.error.FFmpegError as error:
        reason = error.strerror or str(error)
        if camera:
            raise ClipError(f"{name}: cannot be read ({reason}); see that no other program has it") from None
        raise ClipError(
            f"{name}: cannot be read ({reason}); it is cut short, damaged or no clip: get it anew"
        ) from None
    except OSError as error:
        raise ClipError(f"{name}: cannot be read ({error.strerror or error})") from None


def probe(path: Path) -> Clip:
    """Look at a clip's header and its first frame.

    Raises ClipError for what is no clip, has no video stream or no frame, or is too large.
    """
    if not path.exists():
        raise ClipError(f"{path}: no such file; give the path of a clip")
    if path.is_dir():
        raise ClipError(f"{path}: is a folder; expected a clip (upbrush paint paints folders of pictures)")
    if animation.is_moving_picture(path):
        return animation.probe(path)
    with told_as(str(path)), av.open(str(path), metadata_errors="replace") as container:
        stream = film(container, str(path))
        frame = next(iter(container.decode(stream)), None)
        if frame is None:
            raise ClipError(f"{path}: its video stream has no frame; it is empty or cut short: get it anew")
        return _described(path, container, stream, frame)


def film(container: InputContainer, name: str) -> VideoStream:
    """The stream that is painted: the best one that is no cover picture. Raises ClipError where there is none."""
    streams = [one for one in container.streams.video if not is_cover(one)]
    if not streams:
        kinds = sorted({one.type for one in container.streams if one.type != "video"})
        found = f"only {' and '.join(kinds)}" if kinds else "nothing"
        raise ClipError(f"{name}: has no video stream, {found}; give a clip (upbrush paint paints pictures)")
    best = container.streams.best("video")
    stream = best if isinstance(best, VideoStream) and best in streams else streams[0]
    if stream.codec_context is None:
        raise ClipError(f"{name}: its video is of a codec that cannot be read here; convert it first")
    stream.thread_type = "AUTO"
    return stream


def is_cover(stream: VideoStream) -> bool:
    """Is it a picture that goes with the sound, and no film?"""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _described(path: Path, container: InputContainer, stream: VideoStream, frame: av.VideoFrame) -> Clip:
    pixels = pixels_of(frame.format)
    if frame.width * frame.height > MAX_PIXELS:
        raise ClipError(f"{path}: {frame.width}x{frame.height} are more than {MAX_PIXELS:,} pixels; reduce it first")
    turn = _turn(frame)
    width, height = (frame.height, frame.width) if turn.swapped else (frame.width, frame.height)
    rate = stream.average_rate or stream.guessed_rate or USUAL_RATE
    if not SLOWEST <= rate <= FASTEST:
        rate = stream.guessed_rate or USUAL_RATE
    time_base = stream.time_base or 1 / rate
    seconds = float(stream.duration * time_base) if stream.duration else _tagged(stream)
    if seconds is None and container.duration:
        seconds = container.duration / av.time_base
    begins = 0 if ZERO_BASED & set(container.format.name.split(",")) else container.start_time or 0
    aspect = stream.sample_aspect_ratio
    if aspect and turn.swapped:
        aspect = 1 / aspect
    colour = Colour(frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range)
    if frame.format.name.startswith("yuvj"):
        colour = Colour(colour.primaries, colour.transfer, colour.matrix, 2)
    return Clip(
        path, width, height, time_base, Fraction(rate), pixels, colour.settled(frame.height, pixels.rgb),
        stream.codec_context.codec.canonical_name, round(Fraction(begins, av.time_base) / time_base),
        frames=stream.frames or (round(seconds * rate) if seconds else None), seconds=seconds, turn=turn,
        aspect=aspect if aspect and aspect != 1 else None, interlaced=frame.interlaced_frame,
    )  # fmt: skip


def _tagged(stream: VideoStream) -> float | None:
    """How long a track of a Matroska file is: the file's own length may be that of its sound."""
    try:
        return float(read_time(stream.metadata.get("DURATION", "")))
    except ConfigError:
        return None


def _turn(frame: av.VideoFrame) -> Turn:
    """What the display matrix asks for, as far as it turns by quarters."""
    try:
        data = frame.side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item]
    except KeyError:
        return Turn()
    numbers = struct.unpack("=9i", bytes(data)[:36])
    a, b, c, d = (round(numbers[index] / 65536) for index in (0, 1, 3, 4))
    if (abs(a), abs(b), abs(c), abs(d)) == (0, 1, 1, 0):
        return Turn(True, mirrored=c < 0, flipped=b < 0)
    if (abs(a), abs(b), abs(c), abs(d)) == (1, 0, 0, 1):
        return Turn(False, mirrored=a < 0, flipped=d < 0)
    logger.warning("is turned by an angle that is no quarter; painted as it is stored")
    return Turn()


def frames(
    clip: Clip, begin: Fraction = Fraction(0), end: Fraction | None = None, skip: int = 0, damage: Damage | None = None
) -> Iterator[Frame]:
    """The frames of a clip in the order they are shown, upright.

    begin, end: seconds since the clip's start, the end not included. skip: so many of these frames are decoded and not
    given. damage: told what is missing or flawed. Time stamps grow strictly; those that a damaged clip repeats are
    moved on by one tick. What cannot be decoded is left out and logged; a clip that ends early simply ends. Raises
    ClipError where nothing can be read.
    """
    if clip.moving_picture:
        yield from animation.frames(clip, begin, end, skip)
        return
    reader, last, count = Reader(clip.pixels, clip.colour), None, 0
    first_tick, damage = ticks(begin, clip.time_base), damage or Damage()
    usual = _usual(clip)
    with told_as(str(clip.path)), closing(_since(clip, first_tick, damage)) as since:
        for pts, frame in since:
            if pts < first_tick:
                if damage.packets:
                    damage.packets -= 1
                continue
            if last is not None and pts <= last:
                pts = last + 1
            if end is not None and pts * clip.time_base >= end:
                damage.packets = None  # those of frames that are not wanted are among them
                return
            last, count = pts, count + 1
            damage.frame(pts, frame.is_corrupt)
            if count <= skip:
                continue
            if (frame.width, frame.height, frame.format.name) != _stored(clip):
                frame = frame.reformat(*_stored(clip))
            pixels, alpha = reader.arrays(frame)
            upright = None if alpha is None else clip.turn.upright(alpha)
            yield Frame(pts, frame.duration or usual, clip.turn.upright(pixels), upright)


def _usual(clip: Clip) -> int:
    return max(1, round(1 / clip.rate / clip.time_base))


def _stored(clip: Clip) -> tuple[int, int, str]:
    size = (clip.height, clip.width) if clip.turn.swapped else (clip.width, clip.height)
    return (*size, clip.pixels.name)


def _since(clip: Clip, first_tick: int, damage: Damage) -> Generator[tuple[int, av.VideoFrame], None, None]:
    """(tick, frame) in order, from one that is not later than the first wanted, where there is such a one.

    Where a container has no index a seek lands anywhere, and what it meets first may hang on a key frame before: then
    it is begun farther back, and in the end at the beginning.
    """
    for back in (*BACK_SECONDS, None):
        tick = 0 if back is None else first_tick - ticks(Fraction(back), clip.time_base)
        with av.open(str(clip.path), metadata_errors="replace") as container:
            stream = film(container, str(clip.path))
            whole = tick <= 0 or not _sought(container, stream, tick + clip.start)
            exact = whole and not first_tick and _one_a_packet(container, stream, clip)
            damage.packets = 0 if exact else None
            timed = _timed(clip, _decoded(container, stream, damage), whole)
            first = next(timed, None)
            if whole or (first is not None and first[0] <= first_tick):
                if first is not None:
                    yield first
                    yield from timed
                return


def _sought(container: InputContainer, stream: VideoStream, tick: int) -> bool:
    """Seek. False where that cannot be: then all of it is read."""
    try:
        container.seek(tick, stream=stream)
    except av.error.FFmpegError:
        return False
    return True


def _one_a_packet(container: InputContainer, stream: VideoStream, clip: Clip) -> bool:
    """Has each frame one packet, and none is lost but in decoding? Then a jump in time is meant."""
    return "mov" in container.format.name.split(",") and clip.codec in ONE_A_PACKET and not clip.interlaced


def _timed(clip: Clip, decoded: Iterator[av.VideoFrame], whole: bool) -> Iterator[tuple[int, av.VideoFrame]]:
    """(tick, frame) in order of time: where packets are damaged, decoders give a frame too early.

    whole: read from the beginning; behind a seek nobody knows when frames are that say nothing before the first one
    that does.
    """
    held: list[tuple[int, int, av.VideoFrame]] = []  # by time, then as they came
    last: int | None = None
    for number, frame in enumerate(decoded):
        if frame.pts is None and last is None and not whole:
            continue
        pts = frame.pts - clip.start if frame.pts is not None else (0 if last is None else last + _usual(clip))
        last = pts
        heapq.heappush(held, (pts, number, frame))
        if len(held) > HELD:
            pts, _, frame = heapq.heappop(held)
            yield pts, frame
    while held:
        pts, _, frame = heapq.heappop(held)
        yield pts, frame


def _decoded(container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[av.VideoFrame]:
    """Every frame that can be decoded; damaged packets are left out and counted."""
    left_out = failures = 0
    packets = container.demux(stream)
    while failures < MOST_FAILURES:
        try:
            packet = next(packets, None)
        except av.error.InvalidDataError:  # the container is damaged here: what follows may be found again
            left_out, failures = left_out + 1, failures + 1
            packets = container.demux(stream)
            continue
        if packet is None:
            break
        failures = 0
        if damage.packets is not None and packet.size and not packet.is_discard:
            damage.packets += 1
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            left_out += 1
    if left_out:
        logger.warning("%d damaged packet%s left out", left_out, "s" * (left_out > 1))
