"""Clips drawn by code: what tests of `upbrush video` are made of."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image


def scene(index, height=24, width=32, hue=0, dtype=np.uint8, alpha=False):
    """A slope with a bar that moves a pixel a frame: (H, W, 3 or 4). hue: another scene altogether."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    picture = np.stack([x / width, y / height, 0.5 + 0 * x], axis=2)[..., np.roll(np.arange(3), hue)]
    picture = picture if hue % 2 == 0 else 1 - picture
    left = index % (width - 6)
    picture[height // 3 : height // 2, left : left + 6] = [0.95, 0.15, 0.15]
    if alpha:
        disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 2.2) ** 2
        picture = np.dstack((picture, disc))
    return np.rint(picture * np.iinfo(dtype).max).astype(dtype)


def write_clip(
    path: Path, frames, *, times=None, time_base=Fraction(1, 12800), rate=25, codec="libx264", pixels="yuv420p",
    tags=None, options=None, turn=None, aspect=None, sound=False, subtitles=(),
) -> Path:  # fmt: skip
    """Write frames, (H, W, 3 or 4) uint8 or uint16. tags: FFmpeg's (primaries, transfer, matrix, range).

    times: ticks; by default at the rate. sound: a track of PCM as long as the clip, or of so many seconds. subtitles:
    (second, seconds, text).
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        context = stream.codec_context
        context.time_base = stream.time_base = time_base
        if tags:
            context.color_primaries, context.color_trc, context.colorspace, context.color_range = tags
        if turn is not None:
            stream.set_display_rotation(turn)
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        music = container.add_stream("pcm_s16le", rate=8000, layout="mono") if sound else None
        words = container.add_mux_stream("subrip") if subtitles else None
        for index, array in enumerate(frames):
            layout = ("rgb24", "rgba") if array.dtype == np.uint8 else ("rgb48le", "rgba64le")
            frame = av.VideoFrame.from_ndarray(array, format=layout[array.shape[2] - 3])
            matrix = {"dst_colorspace": tags[2], "dst_color_range": tags[3]} if tags else {}
            frame = frame.reformat(format=pixels, **matrix)
            if tags:
                frame.colorspace, frame.color_range = tags[2], tags[3]
            frame.pts = times[index] if times else round(index / rate / time_base)
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if music:
            _sing(container, music, len(frames) / rate if sound is True else sound)
        for second, seconds, text in subtitles:
            packet = av.Packet(text.encode())
            packet.stream, packet.time_base = words, Fraction(1, 1000)
            packet.pts = packet.dts = round(second * 1000)
            packet.duration = round(seconds * 1000)
            container.mux(packet)
    return path


def _sing(container, music, seconds):
    wave = (8000 * np.sin(np.arange(round(seconds * 8000)) / 7)).astype(np.int16)
    for start in range(0, len(wave), 400):
        sound = av.AudioFrame.from_ndarray(wave[None, start : start + 400], format="s16", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = 8000, start, Fraction(1, 8000)
        container.mux(music.encode(sound))
    container.mux(music.encode(None))


def shots(*lengths, **more):
    """Frames of several scenes, one after the other."""
    return [scene(index, hue=number, **more) for number, count in enumerate(lengths) for index in range(count)]


def times_of(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def pictures_of(path: Path) -> list[np.ndarray]:
    """Every frame, as 8 bits."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def packets_of(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """(seconds, bytes) of every packet of the tracks of a kind."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        if not streams:
            return []
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(streams) if packet.size]


def tags_of(path: Path) -> tuple[int, int, int, int]:
    """FFmpeg's numbers of primaries, transfer, matrix and range."""
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return context.color_primaries, context.color_trc, context.colorspace, context.color_range


def write_animation(path: Path, frames, durations_ms, loop=0) -> Path:
    """An animated GIF, WebP or PNG by Pillow."""
    first, *rest = [Image.fromarray(frame) for frame in frames]
    more = {"lossless": True} if path.suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=rest, duration=durations_ms, loop=loop, **more)
    return path
