"""Where live painting is seen: a window, a stream, a file."""

import os
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

from upbrush.errors import ClipError, ConfigError
from upbrush.saving import eight_bits
from upbrush.video.clip import BT709, LIMITED, Colour, Frame, Pixels
from upbrush.video.conversion import Writer
from upbrush.video.live import TIME_BASE
from upbrush.video.sources import Address

_COLOUR = Colour(BT709, BT709, BT709, LIMITED)


class Window:
    """A window on this machine's screen. Closing it ends the painting. For the main thread only.

    Raises ConfigError where there is no screen, or Python has no tkinter.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter

            self._root = tkinter.Tk()
        except ImportError:
            raise ConfigError(
                "window: this Python has no tkinter; install it (Debian: python3-tk), or send a stream"
            ) from None
        except tkinter.TclError as error:
            raise ConfigError(
                f"window: there is no screen to open it on ({error}); send a stream, as in udp://…"
            ) from None
        self._open = True
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._closed)
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._photo: tkinter.PhotoImage | None = None

    def show(self, frame: Frame) -> bool:
        """Show a frame."""
        from PIL import ImageTk

        image = Image.fromarray(eight_bits(frame.pixels))
        if self._open:
            self._photo = ImageTk.PhotoImage(image, master=self._root)  # type: ignore[assignment]
            assert self._photo is not None
            self._label.configure(image=self._photo)
            self._root.update()
        return self._open

    def close(self) -> None:
        """Take it from the screen."""
        if self._open:
            self._closed()

    def _closed(self) -> None:
        self._open = False
        self._root.destroy()


class Sent:
    """A stream to an address, or a file: H.264 that waits for no later frame.

    address: of a stream. path: of a file instead; it is under another name until it is complete.
    """

    def __init__(self, address: Address, rate: int = 30, path: Path | None = None) -> None:
        self._address, self._rate, self._path = address, rate, path
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._writer = Writer(Pixels("yuv420p"), _COLOUR)
        self._last = -1

    def show(self, frame: Frame) -> bool:
        """Encode and send a frame. False where the other end has gone."""
        try:
            if self._stream is None:
                self._open(frame)
            assert self._container is not None
            assert self._stream is not None
            made = self._writer.frame(Frame(frame.pts, frame.duration, _even(eight_bits(frame.pixels))))
            self._last = made.pts = max(frame.pts, self._last + 1)
            made.time_base = TIME_BASE
            self._container.mux(self._stream.encode(made))
        except (BrokenPipeError, ConnectionResetError):
            self._container = None
            return False
        except (OSError, av.error.FFmpegError) as error:
            raise ClipError(f"{self._address.name}: cannot be sent to ({error.strerror or error})") from None
        return True

    def close(self) -> None:
        """Send the end."""
        if self._container is None or self._stream is None:
            return
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        except (OSError, av.error.FFmpegError) as error:
            if self._path is not None:
                raise ClipError(f"{self._path}: cannot be written ({error.strerror or error})") from None
            return
        if self._path is not None:
            os.replace(self._address.name, self._path)

    def _open(self, frame: Frame) -> None:
        height, width = _even(frame.pixels).shape[:2]
        options = {"flush_packets": "1"} if self._path is None else {}
        self._container = av.open(self._address.name, "w", format=self._address.format, container_options=options)
        stream = self._container.add_stream(
            "libx264", rate=self._rate, options={"preset": "veryfast", "tune": "zerolatency", "crf": "20"}
        )
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = self._rate  # who joins late waits about a second
        context = stream.codec_context
        context.time_base = stream.time_base = TIME_BASE
        context.color_range, context.colorspace = _COLOUR.range, _COLOUR.matrix
        context.color_primaries, context.color_trc = _COLOUR.primaries, _COLOUR.transfer
        self._stream = stream


def _even(pixels: np.ndarray) -> np.ndarray:
    """H.264 wants even sides: a last row or column is left out."""
    return pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]
