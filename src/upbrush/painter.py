"""Picture in, picture out: summed up once as a whole, rendered tile by tile, brought to its exact size."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from upbrush import picture as pictures
from upbrush import sizes
from upbrush.alpha import enlarged, spread
from upbrush.canvas import Canvas
from upbrush.errors import ConfigError, OutOfMemoryError, PictureError, WeightsError
from upbrush.metadata import profile_space
from upbrush.picture import Picture
from upbrush.tiles import Tile, cut, tile_px_for
from upbrush.views import thumbnail

if TYPE_CHECKING:
    from upbrush.engine import Engine

logger = logging.getLogger(__name__)

BYTES_PER_LOW_PX = 5000  # what a tile takes at its peak for each low pixel: 3,500 in onnxruntime, the rest here
MOST_TILE_PX = 384  # larger tiles were not measured to be faster, and take longer to stop
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, full range

Paintable = TypeVar("Paintable", Picture, Image.Image, np.ndarray)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class _Look:
    """How one pass over a picture paints it. restored: mods to take the colours from. grey: only luminance is kept."""

    mods: np.ndarray
    restored: np.ndarray | None
    grey: bool


@dataclass(frozen=True, eq=False)
class _Pass:
    """One enlargement by the engine's scale. high, target: (height, width) rendered and kept."""

    high: tuple[int, int]
    target: tuple[int, int]
    tiles: list[Tile]


class Painter:
    """Enlarges pictures, restored as they are or repainted in a style.

    engine: what renders, by default the shipped model. memory: about what painting may take, such as "1GB" or a number
    of bytes; it sets the size of the tiles, never the result. threads: of the default engine; None leaves it to the
    runtime. Raises ConfigError for a memory size that cannot be read, WeightsError where the model cannot be opened.
    """

    def __init__(
        self, engine: "Engine | None" = None, *, memory: str | int = "1GB", threads: int | None = None
    ) -> None:
        self.memory_bytes = sizes.memory_bytes(memory)
        if engine is None:
            from upbrush.engine import open_engine  # here: a Painter that is given its engine needs no runtime

            engine = open_engine(threads=threads)
        self.engine: Engine = engine

    def paint(
        self,
        image: Paintable,
        style: object = None,
        *,
        strength: float = 1.0,
        fidelity: float = 0.5,
        keep_colours: bool = False,
        scale: float | None = None,
        size: str | None = None,
        progress: Progress | None = None,
    ) -> Paintable:
        """Enlarge a picture; with a style, repaint it.

        image: a Picture, a PIL image or an array ((H, W), (H, W, 3) or (H, W, 4), uint8 or uint16), left as it is.
        style: a Style, a name of the library, the path of a .style file or a picture, "random:7", a blend such as
        "monet:0.7,klimt:0.3", or a picture itself. strength: 0 restores, 1 repaints; counts only with a style.
        fidelity: 1 is truest to the picture, 0 is sharpest. keep_colours: take the brush strokes of the repaint and
        the colours of the picture. scale, size: see `sizes.target_size`; by default four times as large.
        progress: called as progress(done, total) at the start and after each tile.

        Returns what was given: Picture, PIL image of the same mode (L, LA, RGB or RGBA) or array of the same dtype.
        Alpha, 16 bits, EXIF and profile are kept. Grey stays grey, unless a style brings colours: then (H, W) comes
        back as (H, W, 3) and L as RGB.
        Raises ConfigError for knobs out of range, StyleError, PictureError, OutOfMemoryError.
        """
        strength = _knob("strength", strength, "0 restores, 1 repaints")
        fidelity = _knob("fidelity", fidelity, "1 is truest to the picture, 0 is sharpest")
        source = _as_picture(image)
        across, down = sizes.target_size(source.width, source.height, scale, size, self.engine.scale)
        code = None
        if style is not None and strength > 0:
            from upbrush.styles import resolve  # here: restoring needs no styles, and starts sooner

            code = resolve(style, self.engine).code
        painted = self._painted(source, code, (strength, fidelity), keep_colours, (down, across), progress)
        if isinstance(image, Image.Image):
            return pictures.to_image(painted)
        return pictures.to_array(painted) if isinstance(image, np.ndarray) else painted

    def _painted(
        self,
        source: Picture,
        code: np.ndarray | None,
        knobs: tuple[float, float],
        keep_colours: bool,
        target: tuple[int, int],
        progress: Progress | None,
    ) -> Picture:
        low = source.pixels if source.alpha is None else spread(source.pixels, source.alpha)
        grey = (code is None or keep_colours) and (source.grey or pictures.is_neutral(low))
        dtype = low.dtype
        passes = self._passes(low, target, 1 if grey else 3)
        total = sum(len(one.tiles) for one in passes)
        done = 0

        def told() -> None:
            nonlocal done
            done += 1
            if progress:
                progress(done, total)

        if progress:
            progress(0, total)
        for number, one in enumerate(passes):
            # Only the first pass paints in the style. Strokes belong to the size at which a style is painted; a
            # second time would paint smaller strokes upon the strokes. What follows enlarges them as they are.
            look = self._look(low, code if number == 0 else None, knobs, keep_colours, grey)
            # Between two passes 16 bits are kept: rounding to 8 would be seen as grain in the next.
            kept = dtype if one is passes[-1] else np.dtype(np.uint16)
            low = self._run(low, one, look, kept, told)
        alpha = None if source.alpha is None else enlarged(source.alpha, *target)
        icc = source.icc
        if source.grey and not grey and profile_space(icc) == "GRAY":
            logger.info("the colour profile is for grey, the painting has colours: left out")
            icc = None
        return replace(source, pixels=np.ascontiguousarray(low), alpha=alpha, grey=source.grey and grey, icc=icc)

    def _passes(self, low: np.ndarray, target: tuple[int, int], channels: int) -> list[_Pass]:
        """The enlargements that reach the target, the last one brought down to it."""
        scale, overlap_px = self.engine.scale, self.engine.overlap_px
        # The result is there the whole time; but where it takes nearly everything, tiles still need something.
        result_bytes = target[0] * target[1] * channels * low.itemsize
        room = max(self.memory_bytes - result_bytes, self.memory_bytes // 4)
        tile_px = min(MOST_TILE_PX, tile_px_for(room, BYTES_PER_LOW_PX, overlap_px))
        height, width = low.shape[:2]
        passes: list[_Pass] = []
        while not passes or height < target[0] or width < target[1]:
            tiles = cut(height, width, max(tile_px, 2 * overlap_px + 1), overlap_px)
            height, width = height * scale, width * scale
            passes.append(_Pass((height, width), (height, width), tiles))
        passes[-1] = replace(passes[-1], target=target)
        return passes

    def _look(
        self, low: np.ndarray, code: np.ndarray | None, knobs: tuple[float, float], keep_colours: bool, grey: bool
    ) -> _Look:
        """Sum the whole picture up, once, so that all its tiles have one look."""
        strength, fidelity = knobs
        summary = thumbnail(low)
        restored = None
        if code is None or keep_colours:
            restored = self.engine.modulate(summary, None, 0.0, fidelity)
        if code is None:
            assert restored is not None
            return _Look(restored, None, grey)
        return _Look(self.engine.modulate(summary, code, strength, fidelity), restored, grey)

    def _run(self, low: np.ndarray, one: _Pass, look: _Look, dtype: np.dtype, told: Callable[[], None]) -> np.ndarray:
        """Render a pass: (H, W, 3) in, (H', W', 3) of `dtype` out; of grey the three channels are one."""
        try:
            canvas = Canvas(one.high, one.target, 1 if look.grey else 3, dtype)
        except MemoryError:
            size = f"{one.target[1]}x{one.target[0]}"
            raise OutOfMemoryError(f"a picture of {size} does not fit this machine's memory; ask for less") from None
        top = np.float32(np.iinfo(low.dtype).max)
        for tile in one.tiles:
            seen = np.ascontiguousarray(low[tile.outer.slices].transpose(2, 0, 1)[None], np.float32) / top
            high = self._rendered(seen, look)
            inner = tile.inner.moved(-tile.outer.top, -tile.outer.left).times(self.engine.scale)
            canvas.put(tile.inner.times(self.engine.scale), high[inner.slices])
            told()
        finished = canvas.finish()
        return np.broadcast_to(finished, (*finished.shape[:2], 3)) if look.grey else finished

    def _rendered(self, low: np.ndarray, look: _Look) -> np.ndarray:
        """Render a tile, (1, 3, h, w) in [0, 1], as its look wants it: (H, W, 3), or (H, W, 1) for grey."""
        high = self._finite(low, look.mods)
        if look.restored is not None:
            # Adding one number to R, G and B changes luminance and leaves both chroma differences as they are.
            restored = self._finite(low, look.restored)
            high = restored + (_luminance(high) - _luminance(restored))
        return _luminance(high) if look.grey else high

    def _finite(self, low: np.ndarray, mods: np.ndarray) -> np.ndarray:
        high: np.ndarray = self.engine.render(low, mods)[0].transpose(1, 2, 0)
        if not np.isfinite(high).all():
            raise WeightsError("the model gave numbers that are not finite; train or export it anew, or use another")
        clipped: np.ndarray = np.clip(high, 0, 1)  # a copy: engines may use their memory again
        return clipped


def _luminance(high: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W, 1)."""
    return (high @ LUMA)[..., None]


def _knob(name: str, value: float, meaning: str) -> float:
    if not sizes.is_number(value) or not 0 <= value <= 1:
        raise ConfigError(f"{name} {value!r} is not in 0…1: {meaning}")
    return float(value)


def _as_picture(image: object) -> Picture:
    if isinstance(image, Picture):
        return image
    if isinstance(image, Image.Image):
        return pictures.from_image(image)
    if isinstance(image, np.ndarray):
        return pictures.from_array(image)
    raise PictureError(
        f"cannot paint a {type(image).__name__}; expected a PIL image, a numpy array or a Picture (upbrush.read(path))"
    )
