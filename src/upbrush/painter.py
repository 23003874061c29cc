"""Picture in, picture out: summed up once as a whole, rendered tile by tile, brought to its exact size."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from upbrush import panorama, sizes
from upbrush import picture as pictures
from upbrush.alpha import enlarged, spread
from upbrush.canvas import Canvas
from upbrush.errors import ConfigError, OutOfMemoryError, PictureError, WeightsError
from upbrush.metadata import profile_space, resized_xmp
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
class Mods:
    """What the Renderer obeys in one enlargement. restored: mods to take the colours from, with `keep_colours`."""

    painted: np.ndarray
    restored: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """How pictures are painted, made once and used for many: the frames of a shot, two eyes, a series.

    identity: of the model that made it and can use it. summary: (6, 32, 32), what the pictures are summed up in.
    brings_colours: does it take them from a style? passes: mods of each enlargement.
    """

    identity: str
    summary: np.ndarray
    brings_colours: bool
    passes: tuple[Mods, ...]


@dataclass(frozen=True, eq=False)
class _Recipe:
    """What a look is made with. code: None restores."""

    code: np.ndarray | None
    strength: float
    fidelity: float
    keep_colours: bool

    @property
    def brings_colours(self) -> bool:
        return self.code is not None and not self.keep_colours

    def of_pass(self, number: int) -> "_Recipe":
        """Only the first pass paints in the style.

        Strokes belong to the size at which a style is painted; a second time would paint smaller strokes upon the
        strokes. What follows enlarges them as they are.
        """
        return self if number == 0 else replace(self, code=None, keep_colours=False)


@dataclass(frozen=True)
class _Order:
    """What is asked for beside the picture."""

    recipe: _Recipe
    scale: float | None
    size: str | None
    wrap: bool
    stereo: str | None


@dataclass(frozen=True, eq=False)
class _Pass:
    """One enlargement by the engine's scale. high, target: (height, width) rendered and kept. wrap: it goes round."""

    high: tuple[int, int]
    target: tuple[int, int]
    tiles: list[Tile]
    wrap: bool


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
        look: Look | None = None,
        wrap: bool = False,
        stereo: str | None = None,
        progress: Progress | None = None,
    ) -> Paintable:
        """Enlarge a picture; with a style, repaint it.

        image: a Picture, a PIL image or an array ((H, W), (H, W, 3) or (H, W, 4), uint8 or uint16), left as it is.
        style: a Style, a name of the library, the path of a .style file or a picture, "random:7", a blend such as
        "monet:0.7,klimt:0.3", or a picture itself. strength: 0 restores, 1 repaints; counts only with a style.
        fidelity: 1 is truest to the picture, 0 is sharpest. keep_colours: take the brush strokes of the repaint and
        the colours of the picture. scale, size: see `sizes.target_size`; by default four times as large.
        look: what `look` gave, in place of style, strength, fidelity and keep_colours. wrap: the picture goes all the
        way round (equirectangular, 360°), so that its edges must meet. stereo: two eyes, "side" by side or one "over"
        the other, painted apart and in one look. progress: called as progress(done, total) at the start and after
        each tile.

        Returns what was given: Picture, PIL image of the same mode (L, LA, RGB or RGBA) or array of the same dtype.
        Alpha, 16 bits, EXIF and profile are kept. Grey stays grey, unless a style brings colours: then (H, W) comes
        back as (H, W, 3) and L as RGB.
        Raises ConfigError for knobs out of range, StyleError, PictureError, OutOfMemoryError.
        """
        order = _Order(self._wanted(look, style, strength, fidelity, keep_colours), scale, size, wrap, stereo)
        source = _as_picture(image)
        parts = panorama.eyes(source, stereo)
        target = self._target(source, order)
        if look is None and len(parts) > 1:
            look = self._summed_up(parts, target, order)
        painted = panorama.joined(self._painted(parts, target, order, look, progress), stereo)
        if isinstance(image, Image.Image):
            return pictures.to_image(painted)
        return pictures.to_array(painted) if isinstance(image, np.ndarray) else painted

    def look(
        self,
        of: "Picture | Image.Image | np.ndarray | Sequence[Picture | Image.Image | np.ndarray] | Look",
        style: object = None,
        *,
        strength: float = 1.0,
        fidelity: float = 0.5,
        keep_colours: bool = False,
        scale: float | None = None,
        size: str | None = None,
        wrap: bool = False,
        stereo: str | None = None,
    ) -> Look:
        """Sum pictures up once, to paint them, or others, in one look: `paint(frame, look=look)`.

        of: a picture or several of one size, of which the mean is taken; or a look, to have its pictures painted
        otherwise without summing them up again. All else as in `paint`; scale and size matter only above four times,
        where a second enlargement has mods of its own, for which the pictures are painted once.
        A picture painted in its own look equals the same painted without one.
        Raises ConfigError for knobs out of range and for no picture at all, StyleError, PictureError.
        """
        order = _Order(self._wanted(None, style, strength, fidelity, keep_colours), scale, size, wrap, stereo)
        if isinstance(of, Look):
            self._check(of)
            first = self._mods(of.summary, order.recipe)
            return replace(of, brings_colours=order.recipe.brings_colours, passes=(first, *of.passes[1:]))
        sources = [_as_picture(image) for image in (of if isinstance(of, Sequence) else [of])]
        if len({source.pixels.shape for source in sources}) != 1:
            raise ConfigError(f"a look is of pictures of one size, found {len(sources)} pictures; leave the others out")
        parts = [part for source in sources for part in panorama.eyes(source, stereo)]
        return self._summed_up(parts, self._target(sources[0], order), order)

    def _wanted(
        self, look: Look | None, style: object, strength: float, fidelity: float, keep_colours: bool
    ) -> _Recipe:
        """The knobs, looked through, with the style's code."""
        strength = _knob("strength", strength, "0 restores, 1 repaints")
        fidelity = _knob("fidelity", fidelity, "1 is truest to the picture, 0 is sharpest")
        if look is not None:
            self._check(look)
            if style is not None:
                raise ConfigError("a look has its style in it; give the style when the look is made, or leave out look")
        code = None
        if style is not None and strength > 0:
            from upbrush.styles import resolve  # here: restoring needs no styles, and starts sooner

            code = resolve(style, self.engine).code
        return _Recipe(code, strength, fidelity, keep_colours)

    def _check(self, look: Look) -> None:
        if look.identity != self.engine.identity:
            raise ConfigError(
                f"the look belongs to model {look.identity}, the open model is {self.engine.identity}; make it again"
            )

    def _target(self, source: Picture, order: _Order) -> tuple[int, int]:
        """Height and width of one part's painting."""
        across, down = sizes.target_size(source.width, source.height, order.scale, order.size, self.engine.scale)
        return panorama.eye_target((down, across), order.stereo)

    def _painted(
        self,
        parts: Sequence[Picture],
        target: tuple[int, int],
        order: _Order,
        look: Look | None,
        progress: Progress | None,
    ) -> list[Picture]:
        """Paint the parts of a picture, which are of one size."""
        passes = self._passes(parts[0].pixels, target, order.wrap)
        if look is not None and len(look.passes) < len(passes):
            raise ConfigError(
                f"the look is of {len(look.passes)} enlargement, {len(passes)} are needed; make it with this scale"
            )
        total = len(parts) * sum(len(one.tiles) for one in passes)
        done = 0

        def told() -> None:
            nonlocal done
            done += 1
            if progress:
                progress(done, total)

        if progress:
            progress(0, total)
        return [self._part(part, passes, order, look, told) for part in parts]

    def _part(
        self, source: Picture, passes: list[_Pass], order: _Order, look: Look | None, told: Callable[[], None]
    ) -> Picture:
        low = _visible(source)
        brings_colours = order.recipe.brings_colours if look is None else look.brings_colours
        grey = not brings_colours and (source.grey or pictures.is_neutral(low))
        dtype = low.dtype
        for number, one in enumerate(passes):
            mods = self._mods(thumbnail(low), order.recipe.of_pass(number)) if look is None else look.passes[number]
            # Between two passes 16 bits are kept: rounding to 8 would be seen as grain in the next.
            kept = dtype if one is passes[-1] else np.dtype(np.uint16)
            low = self._run(low, one, mods, grey, kept, told)
        alpha = None if source.alpha is None else _alpha(source.alpha, passes[-1].target, order.wrap)
        icc = source.icc
        if source.grey and not grey and profile_space(icc) == "GRAY":
            logger.info("the colour profile is for grey, the painting has colours: left out")
            icc = None
        pixels = np.ascontiguousarray(low)
        xmp = resized_xmp(source.xmp, pixels.shape[1] / source.width, pixels.shape[0] / source.height)
        return replace(source, pixels=pixels, alpha=alpha, grey=source.grey and grey, icc=icc, xmp=xmp)

    def _passes(self, low: np.ndarray, target: tuple[int, int], wrap: bool) -> list[_Pass]:
        """The enlargements that reach the target, the last one brought down to it."""
        scale, overlap_px = self.engine.scale, self.engine.overlap_px
        # The result is there the whole time; but where it takes nearly everything, tiles still need something.
        result_bytes = target[0] * target[1] * 3 * low.itemsize
        room = max(self.memory_bytes - result_bytes, self.memory_bytes // 4)
        tile_px = min(MOST_TILE_PX, tile_px_for(room, BYTES_PER_LOW_PX, overlap_px))
        height, width = low.shape[:2]
        passes: list[_Pass] = []
        while not passes or height < target[0] or width < target[1]:
            cutting = panorama.cut_round if wrap else cut
            # What fits as it is, though a square of its longer side would not, is not cut: overlaps cost time.
            whole = max(height, width) <= MOST_TILE_PX and height * width * BYTES_PER_LOW_PX <= room
            side_px = MOST_TILE_PX if whole else tile_px
            tiles = cutting(height, width, max(side_px, 2 * overlap_px + 1), overlap_px)
            height, width = height * scale, width * scale
            passes.append(_Pass((height, width), (height, width), tiles, wrap))
        passes[-1] = replace(passes[-1], target=target)
        return passes

    def _summed_up(self, parts: Sequence[Picture], target: tuple[int, int], order: _Order) -> Look:
        """The look of pictures of one size."""
        lows = [_visible(part) for part in parts]
        passes = self._passes(lows[0], target, order.wrap)
        summaries: list[np.ndarray] = []
        made: list[Mods] = []
        for number, one in enumerate(passes):
            summaries.append(np.stack([thumbnail(low) for low in lows]).mean(0))
            made.append(self._mods(summaries[-1], order.recipe.of_pass(number)))
            if one is not passes[-1]:
                neutral = not order.recipe.brings_colours
                greys = [neutral and (part.grey or pictures.is_neutral(_visible(part))) for part in parts]
                sixteen = np.dtype(np.uint16)
                lows = [
                    self._run(low, one, made[-1], grey, sixteen, lambda: None)
                    for low, grey in zip(lows, greys, strict=True)
                ]
        return Look(self.engine.identity, summaries[0], order.recipe.brings_colours, tuple(made))

    def _mods(self, summary: np.ndarray, recipe: _Recipe) -> Mods:
        """Of a whole picture, once, so that all its tiles have one look."""
        restored = None
        if recipe.code is None or recipe.keep_colours:
            restored = self.engine.modulate(summary, None, 0.0, recipe.fidelity)
        if recipe.code is None:
            assert restored is not None
            return Mods(restored)
        return Mods(self.engine.modulate(summary, recipe.code, recipe.strength, recipe.fidelity), restored)

    def _run(
        self, low: np.ndarray, one: _Pass, mods: Mods, grey: bool, dtype: np.dtype, told: Callable[[], None]
    ) -> np.ndarray:
        """Render a pass: (H, W, 3) in, (H', W', 3) of `dtype` out; of grey the three channels are one."""
        try:
            canvas = Canvas(one.high, one.target, 1 if grey else 3, dtype, one.wrap)
        except MemoryError:
            size = f"{one.target[1]}x{one.target[0]}"
            raise OutOfMemoryError(f"a picture of {size} does not fit this machine's memory; ask for less") from None
        top = np.float32(np.iinfo(low.dtype).max)
        reach = self.engine.overlap_px if one.wrap else 0
        seen_whole = panorama.surrounded(low, reach) if one.wrap else low
        for tile in one.tiles:
            seen = np.ascontiguousarray(seen_whole[tile.outer.slices].transpose(2, 0, 1)[None], np.float32) / top
            high = self._rendered(seen, mods, grey)
            inner = tile.inner.moved(reach - tile.outer.top, reach - tile.outer.left).times(self.engine.scale)
            canvas.put(tile.inner.times(self.engine.scale), high[inner.slices])
            told()
        finished = canvas.finish()
        return np.broadcast_to(finished, (*finished.shape[:2], 3)) if grey else finished

    def _rendered(self, low: np.ndarray, mods: Mods, grey: bool) -> np.ndarray:
        """Render a tile, (1, 3, h, w) in [0, 1], as is wanted: (H, W, 3), or (H, W, 1) for grey; not clipped.

        What is given may be the engine's memory, which the next rendering may use again.
        """
        high = self._finite(low, mods.painted)
        if grey or mods.restored is not None:
            high = np.clip(high, 0, 1)  # a copy
        if mods.restored is not None:
            # Adding one number to R, G and B changes luminance and leaves both chroma differences as they are.
            restored = np.clip(self._finite(low, mods.restored), 0, 1)
            high = restored + (_luminance(high) - _luminance(restored))
        return (_luminance(high) if grey else high).transpose(1, 2, 0)

    def _finite(self, low: np.ndarray, mods: np.ndarray) -> np.ndarray:
        """A tile as it is rendered, (3, H, W)."""
        high: np.ndarray = self.engine.render(low, mods)[0]
        if not np.isfinite(high).all():
            raise WeightsError("the model gave numbers that are not finite; train or export it anew, or use another")
        return high


def _visible(source: Picture) -> np.ndarray:
    """The pixels to paint from: under what is transparent, the colours around it."""
    return source.pixels if source.alpha is None else spread(source.pixels, source.alpha)


def _alpha(alpha: np.ndarray, target: tuple[int, int], wrap: bool) -> np.ndarray:
    if not wrap:
        return enlarged(alpha, *target)
    height, width = target
    thrice = enlarged(np.tile(alpha, (1, 3)), height, 3 * width)  # exact at every scale, whole turns being whole
    return np.ascontiguousarray(thrice[:, width : 2 * width])


def _luminance(high: np.ndarray) -> np.ndarray:
    """(3, H, W) -> (1, H, W)."""
    red, green, blue = high
    luminance: np.ndarray = red * LUMA[0]
    luminance += green * LUMA[1]
    luminance += blue * LUMA[2]
    return luminance[None]


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
