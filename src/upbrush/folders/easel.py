"""Where one picture after the other is painted: the model is opened once, styles are made once, errors become words."""

import errno
import io
import logging
import os
import platform
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from upbrush import picture, saving, styles
from upbrush.engine import open_engine
from upbrush.errors import ConfigError, OutOfMemoryError, PictureError, StyleError, UpbrushError, WeightsError
from upbrush.folders import places
from upbrush.folders.task import Done, Task
from upbrush.knobs import Knobs
from upbrush.painter import Painter
from upbrush.styles import Style

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # what ends a run: no picture after this one can be written either
MOST_STYLES = 256  # kept at once
CANNOT_PAINT = (PictureError, ConfigError, OutOfMemoryError, StyleError)


@dataclass(frozen=True)
class Materials:
    """What an easel is set up with. It travels to other processes and machines.

    engine, model, threads, memory: as on the command line. out: the output folder. styles: by the words that ask for
    them, those that are made already. identity: the model's, where it was asked for; another's pictures would differ.
    """

    out: str
    engine: str = "auto"
    model: str | None = None
    threads: int | None = None
    memory: str = "1GB"
    styles: Mapping[str, Style] = field(default_factory=dict)
    identity: str = ""

    def painter(self) -> Painter:
        """Open the model. Raises WeightsError and ConfigError."""
        model = None if self.model is None else Path(self.model)
        engine = open_engine(self.engine, model, self.threads)
        if self.identity and engine.identity != self.identity:
            raise WeightsError(
                f"{platform.node()}: has model {engine.identity}, the run is of {self.identity}; install the same "
                "upbrush everywhere, or give --model in a place that all machines see"
            )
        return Painter(engine, memory=self.memory)


class Easel:
    """Paints tasks, one after the other. Raises WeightsError and ConfigError where the model cannot be opened."""

    def __init__(self, materials: Materials) -> None:
        self._materials, self._painter = materials, materials.painter()
        self._styles: OrderedDict[str, Style] = OrderedDict()
        self.name = f"{platform.node()}:{os.getpid()}"

    def paint(self, task: Task, data: bytes | None = None) -> Done:
        """Read, paint and write one picture. What is wrong with it is told, not raised.

        data: what `fetched` brought. Raises WeightsError: a model that does not work works for no picture.
        """
        begun = time.perf_counter()
        done = partial(Done, task.name, worker=self.name)
        with _Heard() as heard:
            try:
                pixels, size = self._painted(task, data)
            except CANNOT_PAINT as error:
                done = partial(done, error=named(error, task, self._target(task)), full=_is_full(error))
            except MemoryError:
                done = partial(done, error=f"{task.words}: does not fit into memory; enlarge it less")
            else:
                done = partial(done, pixels=pixels, bytes=size)
        return done(seconds=time.perf_counter() - begun, ended=time.time(), notes=tuple(heard.words))

    def _painted(self, task: Task, data: bytes | None) -> tuple[int, int]:
        """Pixels and bytes of the result."""
        asked = task.asked
        style = None if asked.style is None else self._style(asked.style)
        strength = asked.strength if asked.strength is not None else 0.0 if style is None else 1.0
        knobs = Knobs(
            style, strength, asked.fidelity, asked.keep_colours, asked.scale, asked.size,
            asked.wrap, asked.stereo,
        )  # fmt: skip
        painted = knobs.paint(self._painter, picture.read(_source(task, data)), None)
        write = partial(picture.write, painted, note=knobs.note(self._painter.engine.identity), quality=asked.quality)
        return painted.width * painted.height, _written(self._target(task), write)

    def _target(self, task: Task) -> str:
        return places.join(self._materials.out, task.name)

    def _style(self, words: str) -> Style:
        if words in self._materials.styles:
            return self._materials.styles[words]
        if words not in self._styles:
            self._styles[words] = style_of(words, self._painter)
            if len(self._styles) > MOST_STYLES:
                self._styles.popitem(last=False)
        self._styles.move_to_end(words)
        return self._styles[words]


def style_of(words: str, painter: Painter) -> Style:
    """The style that words mean; they may be an address, too. Raises StyleError and PictureError."""
    if not places.is_address(words):
        return styles.resolve(words, painter.engine)
    name = PurePosixPath(words)
    data = places.read(words)
    if name.suffix == styles.SUFFIX:
        raise StyleError(f"{words}: a .style file is read from this machine's disks only; give its picture, or copy it")
    pixels = styles.plain_pixels(picture.read(_Named(data, words)))
    return styles.make([pixels], painter.engine, name.stem or "a picture", source=words[-styles.MOST_WORD_LENGTH :])


def named(error: UpbrushError, task: Task, target: str) -> str:
    """An error's words with the picture's name in front, unless they begin with that or the output's already."""
    text = str(error)
    return text if text.startswith((f"{task.words}: ", f"{target}: ")) else f"{task.words}: {text}"


class _Named(io.BytesIO):
    """Bytes that messages call by a name."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


class _Heard(logging.Handler):
    """What the rooms log about the picture that is being painted."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.words.append(record.getMessage())

    def __enter__(self) -> "_Heard":
        logging.getLogger("upbrush").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("upbrush").removeHandler(self)


def fetched(task: Task) -> bytes | None:
    """What is far away, brought ahead of its painting; None for a file of this machine, and where it cannot be had."""
    if not places.is_address(task.source):
        return None
    with suppress(PictureError, ConfigError):  # it is tried again when it is painted, and told then
        return places.read(task.source, task.offset, task.length if task.member else None)
    return None


def _source(task: Task, data: bytes | None) -> Path | io.BytesIO:
    if data is None and not task.member and not places.is_address(task.source):
        return Path(task.source)
    if data is None:
        data = places.read(task.source, task.offset, task.length if task.member else None)
    return _Named(data, task.words)


def _written(target: str, write: Callable[..., None]) -> int:
    """Write a picture whole or not at all, over what is there: whether it may be replaced, the plan has said."""
    if places.is_address(target):
        whole = _Named(b"", target)
        write(whole, format=PurePosixPath(target).suffix)
        places.write(target, whole.getvalue())
        return len(whole.getbuffer())
    path = Path(target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(saving.failure(target, error)) from None
    write(path, overwrite=True)
    return path.stat().st_size


def _is_full(error: BaseException) -> bool:
    cause = error.__context__
    return isinstance(cause, OSError) and cause.errno in FULL
