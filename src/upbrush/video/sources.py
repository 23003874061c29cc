"""What a name of a clip stands for: a file, a camera, a stream, a window; pure but for a look at the file's kind."""

import re
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from upbrush.errors import ConfigError

_CAMERA = re.compile(r"camera:(.+)", re.IGNORECASE)
_DEVICE = re.compile(r"(lavfi|v4l2|avfoundation|dshow|x11grab|gdigrab|fbdev|alsa):(.+)", re.IGNORECASE | re.DOTALL)
_STREAM = re.compile(r"(udp|rtp|rtsp|rtsps|rtmp|rtmps|srt|tcp|unix|http|https):", re.IGNORECASE)
_FILES = ("http:", "https:")  # addresses that are mostly files
WINDOW = "window"


@dataclass(frozen=True)
class Address:
    """What FFmpeg is given. format: its name of the device or container, None where it finds out.

    title: what people call it, of a camera.
    """

    name: str
    format: str | None = None
    title: str | None = None


def is_live(name: str) -> bool:
    """Is it something that goes on by itself, and whose newest frame is the one that counts?"""
    if name == "-" or _CAMERA.fullmatch(name) or _DEVICE.fullmatch(name):
        return True
    if _STREAM.match(name):
        return True
    return _is_pipe(Path(name))


def is_file_afar(name: str) -> bool:
    """Is it an address that is mostly a file's, and whose frames would not wait to be painted?"""
    return name.lower().startswith(_FILES)


def is_stream(name: str) -> bool:
    """Is it an address to send to, or a named pipe?"""
    return bool(_STREAM.match(name)) or _is_pipe(Path(name))


def is_window(name: str) -> bool:
    """Is it the screen?"""
    return name.lower() == WINDOW


def address(name: str) -> Address:
    """What FFmpeg calls an input. Raises ConfigError for a camera on a system whose cameras are not known here."""
    camera = _CAMERA.fullmatch(name)
    if camera:
        return replace(_camera(camera[1]), title=name)
    device = _DEVICE.fullmatch(name)
    if device:
        kind, graph = device[1].lower(), device[2]
        if kind == "lavfi" and "realtime" not in graph:  # it draws as fast as it can, which is no camera
            graph = f"{graph},realtime"
        return Address(graph, kind)
    return Address("pipe:0" if name == "-" else name)


def sent_to(name: str) -> Address:
    """What FFmpeg calls an output, with the container that suits a stream where no suffix tells it."""
    if name.lower().startswith(("rtmp:", "rtmps:")):
        return Address(name, "flv")
    if name.lower().startswith("rtp:"):
        return Address(name, "rtp_mpegts")
    if name.lower().startswith(("rtsp:", "rtsps:")):
        return Address(name, "rtsp")
    if name.lower().startswith(_FILES):
        return Address(name, "mpjpeg")
    return Address(name, "mpegts")


def _camera(which: str) -> Address:
    platform: str = sys.platform  # checkers would take what they run on for all there is
    if platform.startswith("linux"):
        return Address(f"/dev/video{which}" if which.isdigit() else which, "v4l2")
    if platform == "darwin":
        return Address(which, "avfoundation")
    if platform == "win32":
        return Address(f"video={which}", "dshow")
    raise ConfigError(f"camera:{which}: cameras of {platform} are not known here; name FFmpeg's device, as in v4l2:…")


def _is_pipe(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):
        return False
