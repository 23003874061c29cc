"""What a worker does with an order: read what a stranger sent, paint it, write it; nothing about pipes or the web."""

import hashlib
import io
import time
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from upbrush import picture, saving, sizes, styles
from upbrush.engine import open_engine
from upbrush.errors import ConfigError, PictureError, StyleError
from upbrush.knobs import Knobs
from upbrush.opening import opened, readable
from upbrush.painter import Painter
from upbrush.picture import Picture
from upbrush.styles import Style
from upbrush.web.orders import FORMATS, PICTURE, STYLE_FILE, STYLE_PICTURE, Bench, Order, Part
from upbrush.web.problems import UNKNOWN_FORMAT, Problem, limit
from upbrush.web.shelf import Shelf

MOST_NAME = 200  # characters that are told of a file's name in a zip, from its end
KEPT_STYLES = 64  # made of pictures, which come again with every move of a slider
Told = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Done:
    """What came of an order: bytes, and facts about them."""

    data: bytes | memoryview = b""
    facts: dict[str, Any] = field(default_factory=dict)


class Workshop:
    """A painter with its model and its styles, for one order after the other."""

    def __init__(self, bench: Bench) -> None:
        self._limits = bench.limits
        self._painter = self._quick = _painter(bench, bench.threads)
        if bench.quick not in (None, bench.threads):
            self._quick = _painter(bench, bench.quick)
        self._shelf = Shelf(bench.shelf_dir, Path(bench.model_dir))
        self._made: OrderedDict[bytes, Style] = OrderedDict()
        self._formats = readable(FORMATS)

    @property
    def identity(self) -> str:
        """The model's."""
        return self._painter.engine.identity

    def warm_up(self) -> None:
        """Open what is opened when first needed, so that the first client waits no longer than the second."""
        for painter in {self._painter, self._quick}:
            painter.paint(np.zeros((16, 16, 3), np.uint8))

    def do(self, order: Order, parts: list[Part], told: Told) -> Done:
        """Do what is ordered. told: called with tiles done and in all.

        Raises Problem for what is beyond the limits, UpbrushError as painting does.
        """
        kinds = {"paint": self._paint, "invented": self._invented, "style": self._style, "list": self._list}
        try:
            return kinds[order.kind](order, parts, told)
        except MemoryError:
            raise limit("the picture: does not fit into memory; send it smaller, or enlarge it less") from None

    def _paint(self, order: Order, parts: list[Part], told: Told) -> Done:
        clock = _Clock()
        with clock.timing("style"):
            chosen = self._chosen(order, parts)
        with clock.timing("read"):
            source, knobs = self._source(order, parts, chosen)
        with clock.timing("paint"):
            painter = self._painter if order.preview is None else self._quick
            painted = knobs.paint(painter, source, told)
        del source  # what is written may be large
        with clock.timing("write"):
            file = io.BytesIO()
            picture.write(painted, file, note=knobs.note(self.identity), format=order.format, quality=order.quality)
        facts = {"style": chosen.name if chosen else None, "width": painted.width, "height": painted.height}
        return Done(file.getbuffer(), {**facts, "ms": clock.ms})

    def _invented(self, order: Order, parts: list[Part], told: Told) -> Done:
        from upbrush.explain import heat, invention  # here: painting alone needs none of it, and starts sooner

        clock = _Clock()
        with clock.timing("style"):
            chosen = self._chosen(order, parts)
        with clock.timing("read"):
            source, knobs = self._source(order, parts, chosen)

        def paint(painter: Painter, asked: Picture, fidelity: float, told: invention.Told) -> Picture:
            return replace(knobs, fidelity=fidelity).paint(painter, asked, told)

        with clock.timing("paint"):
            _, found = invention.examine(self._painter, source, paint, knobs.fidelity, progress=told)
        with clock.timing("write"):
            top = heat.fitting_top(found.map)
            file = io.BytesIO()
            told_of = {"invented": round(found.share(8), 4), "level": round(found.level(found.map), 2), "top": top}
            words = PngInfo()  # the map of a job comes without the headers
            for name, value in told_of.items():
                words.add_text(f"Upbrush-{name.capitalize()}", f"{value:g}")
            Image.fromarray(heat.colours(found.map, top)).save(file, "PNG", compress_level=1, pnginfo=words)
        height, width = found.map.shape
        facts = {"style": chosen.name if chosen else None, "width": width, "height": height, "ms": clock.ms} | told_of
        return Done(file.getbuffer(), facts)

    def _style(self, order: Order, parts: list[Part], told: Told) -> Done:
        pictures = [Part(STYLE_PICTURE, part.data) for part in parts if part.role in (PICTURE, STYLE_PICTURE)]
        style = self._chosen(order, [*pictures, *(part for part in parts if part.role == STYLE_FILE)])
        if style is None:
            raise StyleError("a style is made from one picture or more, a .style file or words, found none")
        words = {key: word for key, word in order.words.items() if word}
        # Made anew, whatever a file brings: a preview is shown to others.
        style = replace(style, **words, preview=None)  # type: ignore[arg-type]
        style = replace(style, preview=styles.preview(style, self._painter.engine))
        return Done(styles.dumps(style))

    def _list(self, order: Order, parts: list[Part], told: Told) -> Done:
        with _zipped(parts[0]) as packed:
            names = [info.filename[-MOST_NAME:] for info in _pictures_in(packed)]
        if len(names) > self._limits.pictures_a_job:
            raise limit(f"the zip: holds {len(names)} pictures, at most {self._limits.pictures_a_job} are taken")
        if not names:
            raise PictureError("the zip: holds no pictures; expected files such as .png and .jpg in it")
        return Done(facts={"names": names})

    def _chosen(self, order: Order, parts: list[Part]) -> Style | None:
        """The style that is meant: words, a file, or the mean of pictures."""
        pictures = [part for part in parts if part.role == STYLE_PICTURE]
        files = [part for part in parts if part.role == STYLE_FILE]
        kinds = (("style", order.style), (STYLE_PICTURE, pictures), (STYLE_FILE, files))
        given = [name for name, some in kinds if some]
        if len(given) > 1 or len(files) > 1:
            raise ConfigError(f"{' and '.join(given)} are given together; give one style")
        engine = self._painter.engine
        if order.style is not None:
            return styles.resolve(order.style, engine, own=self._shelf.own())
        if files:
            return styles.resolve(styles.loads(_bytes_of(files[0], self._limits.file_bytes), "the style file"), engine)
        return self._of_pictures(pictures) if pictures else None

    def _of_pictures(self, parts: list[Part]) -> Style:
        contents = [_bytes_of(part, self._limits.file_bytes) for part in parts]
        key = b"".join(hashlib.sha256(content).digest() for content in contents)
        style = self._made.get(key)
        if style is None:
            shown = [f"style picture {number}" for number in range(1, len(parts) + 1)]
            pixels = [styles.plain_pixels(self._read(*pair)) for pair in zip(contents, shown, strict=True)]
            style = styles.make(pixels, self._painter.engine, "a picture" if len(parts) == 1 else "pictures")
            self._made[key] = style
            if len(self._made) > KEPT_STYLES:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return style

    def _source(self, order: Order, parts: list[Part], chosen: Style | None) -> tuple[Picture, Knobs]:
        """The picture and what it is painted with; refused where the result would be too large."""
        part = next(part for part in parts if part.role == PICTURE)
        source = self._read(_bytes_of(part, self._limits.file_bytes), "the picture")
        scale, size = order.scale, order.size
        if order.preview is not None:
            source, scale, size = reduced(source, order.preview), None, None
        across, down = sizes.target_size(source.width, source.height, scale, size, self._painter.engine.scale)
        if across * down > self._limits.result_pixels:
            raise limit(
                f"the picture: would become {across}x{down}, more than {self._limits.result_pixels:,} pixels; enlarge "
                "it less, as with scale=2"
            )
        strength = order.strength if chosen else 0.0
        knobs = Knobs(chosen, strength, order.fidelity, order.keep_colours, scale, size, order.wrap, order.stereo)
        return source, knobs

    def _read(self, content: bytes, name: str) -> Picture:
        """A picture that a stranger sent, refused by its header where it is too large or of another format."""
        file = _Named(content, name)
        try:
            with opened(file, None, self._formats) as (_, image):
                width, height = image.size
        except PictureError as error:
            raise Problem(UNKNOWN_FORMAT, "PictureError", str(error)) from None
        if width * height > self._limits.pixels:
            raise limit(f"{name}: has {width}x{height} pixels, more than {self._limits.pixels:,}; shrink it first")
        file.seek(0)
        return picture.read(file, max_pixels=self._limits.pixels, formats=self._formats)


def _painter(bench: Bench, threads: int | None) -> Painter:
    return Painter(open_engine(bench.engine, bench.model_dir, threads), memory=bench.memory)


def reduced(source: Picture, long_px: int) -> Picture:
    """A picture brought down to a long side, at 8 bits and without its words; a smaller one keeps its size."""
    pixels = saving.eight_bits(source.pixels)
    alpha = None if source.alpha is None else saving.eight_bits(source.alpha)
    factor = long_px / max(source.width, source.height)
    if factor < 1:
        size = (max(1, round(source.width * factor)), max(1, round(source.height * factor)))
        pixels, alpha = _resized(pixels, size), None if alpha is None else _resized(alpha, size)
    return Picture(pixels, alpha, source.grey, icc=source.icc)


def _resized(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(array).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def _bytes_of(part: Part, most_bytes: int) -> bytes:
    """What is in a part. Raises Problem where a file of a zip is larger than may be, PictureError for a bad zip."""
    if part.path is None:
        return part.data
    if part.entry is None:
        return Path(part.path).read_bytes()
    with _zipped(part) as packed:
        info = _pictures_in(packed)[part.entry]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise PictureError("the picture: is packed in a way that is not taken; zip it with deflate")
        with packed.open(info) as file:
            content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise limit(f"the picture: is larger than {most_bytes:,} bytes; shrink it first")
    return content


@contextmanager
def _zipped(part: Part) -> Iterator[zipfile.ZipFile]:
    assert part.path is not None
    try:
        with zipfile.ZipFile(part.path) as packed:
            yield packed
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(f"the zip: damaged or locked ({reason}); pack it anew") from None


def _pictures_in(packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files that are called as pictures are, in the order of the zip."""
    suffixes = Image.registered_extensions()

    def is_picture(info: zipfile.ZipInfo) -> bool:
        path = Path(info.filename)
        hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts)
        return not info.is_dir() and not hidden and path.suffix.lower() in suffixes

    return [info for info in packed.infolist() if is_picture(info)]


class _Named(io.BytesIO):
    """Bytes that errors call by a name."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


class _Clock:
    """How many milliseconds each part of the work took."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.ms[name] = round(1000 * (time.perf_counter() - start), 2)
