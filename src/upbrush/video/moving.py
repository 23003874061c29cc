"""Animated GIF, WebP and PNG from segments that lost nothing: frame after frame, whatever their number."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.filter import Graph
from av.filter.context import FilterContext

from upbrush.errors import ConfigError
from upbrush.video import segments
from upbrush.video.encoding import Target

# muxer, encoder, pixel format without and with alpha, ticks a second
_KINDS = {
    "gif": ("gif", "gif", "pal8", "pal8", 100),
    "webp": ("webp", "libwebp_anim", "yuv420p", "bgra", 1000),
    "png": ("apng", "apng", "rgb24", "rgba", 90000),
}
_OPTIONS = {"webp": {"quality": "90", "compression_level": "4"}, "png": {"pred": "mixed"}}
_MOST_PX = {"gif": 65535, "webp": 16383, "png": 2**31 - 1}

Push = Callable[[av.VideoFrame], None]


def check(target: Target) -> None:
    """Raises ConfigError for a size that the format cannot have."""
    assert target.animation is not None
    most = _MOST_PX[target.animation]
    if max(target.width, target.height) > most:
        raise ConfigError(f"{target.path}: {target.width}x{target.height} is too large, at most {most} a side")


def write(target: Target, pieces: Sequence[Path], part: Path, plays: int) -> None:
    """Write a moving picture. plays: how often it is shown, 0 for ever."""
    assert target.animation is not None
    muxer, encoder, opaque, clear, second = _KINDS[target.animation]
    with av.open(str(part), "w", format=muxer, options=_container_options(target, pieces, plays)) as container:
        stream = container.add_stream(encoder, rate=target.rate, options=_OPTIONS.get(target.animation, {}))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = target.width, target.height
        stream.pix_fmt = clear if target.pixels.alpha else opaque
        stream.codec_context.time_base = stream.time_base = Fraction(1, second)
        shown = _frames(target, pieces)
        for frame in _in_palette(target, pieces, shown) if target.animation == "gif" else shown:
            assert frame.pts is not None
            assert frame.time_base is not None
            at = frame.pts * frame.time_base
            made = frame if frame.format.name == "pal8" else frame.reformat(format=stream.pix_fmt)
            made.pts, made.time_base = round(at * second), Fraction(1, second)
            container.mux(stream.encode(made))
        container.mux(stream.encode(None))


def _container_options(target: Target, pieces: Sequence[Path], plays: int) -> dict[str, str]:
    """Loops, and how long the last frame stays: from nothing that follows can that be seen."""
    *_, last = segments.packets(pieces[-1])
    stays = last.duration * target.time_base
    if target.animation == "gif":  # counts repetitions, -1 for none
        return {"loop": str(plays - 1 if plays > 1 else -plays), "final_delay": str(max(1, round(stays * 100)))}
    if target.animation == "webp":
        return {"loop": str(plays)}
    return {"plays": str(plays), "final_delay": str(stays.limit_denominator(65535))}


def _frames(target: Target, pieces: Sequence[Path]) -> Iterator[av.VideoFrame]:
    """Every frame of the segments, decoded."""
    for piece in pieces:
        context = av.CodecContext.create("ffv1", "r")
        context.width, context.height, context.pix_fmt = target.width, target.height, target.pixels.name
        context.extradata = segments.extradata(piece)
        for stored in segments.packets(piece):
            packet = av.Packet(stored.data)
            packet.pts = packet.dts = stored.pts
            packet.time_base = target.time_base
            for frame in context.decode(packet):
                frame.pts, frame.time_base = stored.pts, target.time_base
                yield frame
        list(context.decode(None))


def _in_palette(target: Target, pieces: Sequence[Path], shown: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Frames of 256 colours that suit all: one palette, so that nothing flickers, found in a pass of its own."""
    finding = Graph()
    entry = _entry(finding, target.width, target.height, target.time_base)
    clear = int(target.pixels.alpha)
    maker = finding.add("palettegen", f"max_colors=256:reserve_transparent={clear}:stats_mode=full")
    leave = finding.add("buffersink")
    entry.link_to(maker)
    maker.link_to(leave)
    finding.configure()
    for frame in _frames(target, pieces):
        finding.push(_timed(frame.reformat(format="bgra"), frame))
    finding.push(None)
    palette = finding.pull()
    assert isinstance(palette, av.VideoFrame)
    graph = Graph()
    entry = _entry(graph, target.width, target.height, target.time_base)
    colours = _entry(graph, 16, 16, target.time_base)
    user = graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle")
    leave = graph.add("buffersink")
    entry.link_to(user, 0, 0)
    colours.link_to(user, 0, 1)
    user.link_to(leave)
    graph.configure()
    palette.pts, palette.time_base = 0, target.time_base
    colours.push(palette)
    colours.push(None)
    for frame in shown:
        entry.push(_timed(frame.reformat(format="bgra"), frame))
        yield from _pulled(leave)
    entry.push(None)
    yield from _pulled(leave)


def _entry(graph: Graph, width: int, height: int, time_base: Fraction) -> FilterContext:
    """Where frames of BGRA go in."""
    return graph.add_buffer(width=width, height=height, format=av.VideoFormat("bgra"), time_base=time_base)


def _timed(made: av.VideoFrame, frame: av.VideoFrame) -> av.VideoFrame:
    made.pts, made.time_base = frame.pts, frame.time_base
    return made


def _pulled(leave: FilterContext) -> Iterator[av.VideoFrame]:
    while True:
        try:
            frame = leave.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, av.VideoFrame)
        yield frame
