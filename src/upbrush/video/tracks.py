"""What goes with the pictures of a clip: sound, subtitles, fonts, covers, chapters, words; copied as it is."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.stream import Stream

from upbrush.errors import ConfigError
from upbrush.video.clip import Clip
from upbrush.video.codecs import TRANSPORT
from upbrush.video.reading import film, is_cover

logger = logging.getLogger(__name__)

DROPPABLE = ("audio", "subtitles", "attachments", "covers")
_KINDS = {"audio": "audio", "subtitle": "subtitles", "attachment": "attachments", "video": "covers"}
# What a player finds in MPEG-TS: FFmpeg would write anything, as data that nobody knows.
CARRIED = {
    "aac", "aac_latm", "ac3", "dts", "dvb_subtitle", "dvb_teletext", "eac3", "mp1", "mp2", "mp3", "opus", "truehd",
}  # fmt: skip
# How far before a cut packets are looked at: a subtitle that is still shown began there, and seeks are not exact.
EARLIER_SECONDS = 60
# What a muxer writes about itself, or is no longer true.
_NOT_KEPT = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "number_of_frames"}


@dataclass(frozen=True)
class Cut:
    """What part of a clip is kept, in seconds of its own time; `begin` is the new zero."""

    begin: Fraction = Fraction(0)
    end: Fraction | None = None

    @property
    def whole(self) -> bool:
        """Is nothing cut off?"""
        return not self.begin and self.end is None


def chosen(container: InputContainer, name: str, drop: Sequence[str]) -> list[Stream]:
    """The streams to copy: all but the film, those dropped and those that no container takes."""
    unknown = [word for word in drop if word not in DROPPABLE]
    if unknown:
        raise ConfigError(f"--drop {unknown[0]}: is not one of {', '.join(DROPPABLE)}")
    painted = film(container, name)
    kept, left_out = [], []
    for stream in container.streams:
        kind = _KINDS.get(stream.type)
        if stream == painted or kind in drop:
            continue
        if kind is None or (stream.type == "video" and not is_cover(stream)):  # type: ignore[arg-type]
            left_out.append(f"stream {stream.index} ({stream.type})")
        else:
            kept.append(stream)
    if left_out:
        logger.warning("left out: %s", ", ".join(left_out))
    return kept


def add(container: OutputContainer, streams: Sequence[Stream], path: Path) -> dict[int, Stream]:
    """Add a copy of each stream. Returns them by the index of the original.

    Raises ConfigError for one that the container cannot hold.
    """
    added = {}
    for stream in streams:
        name = stream.codec_context.name if stream.codec_context else stream.type
        try:
            if path.suffix.lower() in TRANSPORT and _standard_name(stream) not in CARRIED:
                raise ValueError(name)
            if stream.type == "attachment":
                copy: Stream = container.add_attachment(
                    stream.name or stream.metadata.get("filename", "attachment"),
                    stream.metadata.get("mimetype", "application/octet-stream"), stream.data,  # type: ignore[attr-defined]
                )  # fmt: skip
            else:
                copy = container.add_stream_from_template(stream, opaque=True)
        except ValueError:
            kind = _KINDS[stream.type]
            raise ConfigError(
                f"{path}: a {path.suffix} file cannot hold {kind} of {name}; write an .mkv, or give --drop {kind}"
            ) from None
        copy.metadata.update({key: word for key, word in stream.metadata.items() if key.lower() not in _NOT_KEPT})
        copy.disposition = stream.disposition
        added[stream.index] = copy
    return added


def _standard_name(stream: Stream) -> str | None:
    """The name of a track's codec, whoever decodes it."""
    return stream.codec_context.codec.canonical_name if stream.codec_context else None


def describe(source: InputContainer, container: OutputContainer, cut: Cut, note: str) -> None:
    """Copy words and chapters. note: how the clip was made, put where nobody else wrote."""
    container.metadata.update({key: word for key, word in source.metadata.items() if key not in _NOT_KEPT})
    container.metadata.setdefault("comment", note)
    kept = []
    for chapter in source.chapters():
        base = chapter["time_base"] or Fraction(1, 1000)
        start, stop = chapter["start"] * base, chapter["end"] * base
        if stop <= cut.begin or (cut.end is not None and start >= cut.end):
            continue
        start = max(start, cut.begin) - cut.begin
        stop = (stop if cut.end is None else min(stop, cut.end)) - cut.begin
        kept.append({**chapter, "start": round(start / base), "end": round(stop / base)})
    if kept:
        container.set_chapters(kept)  # type: ignore[arg-type]


def packets(
    clip: Clip, source: InputContainer, copies: dict[int, Stream], cut: Cut
) -> Iterator[tuple[Fraction, "av.Packet[Stream]"]]:
    """Every packet of the copied streams with when it is due, as it is but for its time: (seconds, packet)."""
    streams = [stream for stream in source.streams if stream.index in copies and stream.type != "attachment"]
    if not streams:
        return
    zero = clip.start * clip.time_base
    if cut.begin > EARLIER_SECONDS:  # else all of it is read: sound need not lie where its pictures do
        source.seek(int((zero + cut.begin - EARLIER_SECONDS) * av.time_base))
    finished: set[int] = set()
    for packet in source.demux(streams):
        if packet.size == 0 or (packet.dts is None and packet.pts is None):
            continue
        base = packet.time_base
        shown = packet.pts if packet.pts is not None else packet.dts
        assert shown is not None  # one of the two is there
        stream, start = packet.stream, shown * base - zero
        if not cut.whole and stream.type != "video" and not _within(packet, start, cut):
            if cut.end is not None and start >= cut.end:
                finished.add(stream.index)
                if finished >= {one.index for one in streams}:
                    return
            continue
        offset = round((zero + cut.begin) / base)
        if packet.pts is not None:
            packet.pts = packet.pts - offset if stream.type != "video" else packet.pts
        if packet.dts is not None:
            packet.dts = packet.dts - offset if stream.type != "video" else packet.dts
        if stream.type == "subtitle" and packet.pts is not None and packet.pts < 0:  # was there already at the cut
            packet.duration = (packet.duration or 0) + packet.pts
            packet.pts = packet.dts = 0
        due = packet.dts if packet.dts is not None else packet.pts
        assert due is not None
        packet.stream = copies[stream.index]
        yield due * base, packet


def _within(packet: "av.Packet[Stream]", start: Fraction, cut: Cut) -> bool:
    """Is a packet of the part that is kept? Sound begins in it; a subtitle may have begun before."""
    if cut.end is not None and start >= cut.end:
        return False
    if packet.stream.type == "subtitle":
        return start + (packet.duration or 0) * packet.time_base > cut.begin
    return start >= cut.begin
