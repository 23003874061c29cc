"""`upbrush video` live: a camera or a stream in, a window or a stream out."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from upbrush.console import INTERRUPTED, complain
from upbrush.errors import ClipError, ConfigError

if TYPE_CHECKING:
    from upbrush.painter import Painter
    from upbrush.video.asked import Asked
    from upbrush.video.live import Screen


def go_live(asked: "Asked", painter: "Painter", overwrite: bool, quiet: bool) -> None:
    """Paint the newest frames until the source ends, the window is closed, --to has passed, or Ctrl-C."""
    from upbrush.video import live, masks, sources, work
    from upbrush.video.brush import Brush
    from upbrush.video.choosing import chosen
    from upbrush.video.steady import Steady
    from upbrush.video.timing import read_time

    _refuse(asked)
    knobs, timeline = chosen(asked, painter)
    mask = masks.open_mask(asked.mask, asked.only, asked.faces)
    brush = Brush(painter, knobs, live.TIME_BASE, timeline=timeline, mask=mask, late=True)
    steady = Steady(knobs.strength > 0, wrap=asked.wrap, stereo=asked.stereo) if asked.steady else None
    if sources.is_file_afar(asked.source):
        complain(
            f"{asked.source}: is painted as it comes, like a camera, and frames are let go; to paint every frame, "
            "download it first"
        )
    screen = _screen(asked, overwrite)
    newest = live.Newest(sources.address(asked.source), paced=not sources.is_live(asked.source))
    seen = live.Seen()
    seconds = None if asked.end is None else float(read_time(asked.end))
    try:
        live.go(newest, screen, brush, steady, work.Prepared(asked.reduce_px), seen, seconds)
    except KeyboardInterrupt:
        complain(f"stopped; {seen.told}")
        raise typer.Exit(INTERRUPTED) from None
    if not seen.latencies:
        raise ClipError(f"{asked.source}: gave no frame; see that it is there and sends a picture")
    if not quiet:
        complain(seen.told)


def _refuse(asked: "Asked") -> None:
    """What makes no sense for something that has no end."""
    unfit = {
        "--from": asked.begin,
        "--codec": asked.codec,
        "--crf": asked.crf,
        "--drop": asked.drop,
        "--on": asked.ground,
    }
    for option, value in unfit.items():
        if value is not None and value != ():
            raise ConfigError(f"{option} is for clips, {asked.source} to {asked.out} is live; drop it")


def _screen(asked: "Asked", overwrite: bool) -> "Screen":
    from upbrush.video import screens, sources

    if sources.is_window(asked.out):
        return screens.Window(f"upbrush {asked.source}")
    if sources.is_stream(asked.out):
        return screens.Sent(sources.sent_to(asked.out))
    path = Path(asked.out)
    if not path.suffix or not path.parent.is_dir():
        raise ConfigError(f"{path}: expected window, a stream's address, or the name of a clip, as in {path}.mkv")
    if path.exists() and not overwrite:
        raise ClipError(f"{path}: is there already; choose another name, or give --overwrite")
    return screens.Sent(sources.Address(str(path.with_name(f".{path.name}.part{path.suffix}"))), path=path)
