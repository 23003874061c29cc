"""What a painting invented: detail that its low picture cannot hold, and answers that change with how one asks.

Three witnesses, each a map over the picture in levels of 255:

- added: what the high picture has beyond the one smooth picture that comes down to the same low one (`determined`).
- unsteady: how far the answer moves when the same question is put another way: the low picture mirrored, or moved by a
  whole pixel, painted with the same mods, and put back. What was read from the picture does not depend on such things.
- undecided: how far the answer moves to the ends of the fidelity knob, all of which the model holds defensible.

Together they are the map, as independent errors add up: the root of the sum of their squares. On pictures whose truth
is known this ranked places by their true error better than the largest of the three (docs/explaining.md has both).
A fourth says something else: changed is how far the high picture, brought down again, is from the low one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from upbrush.engine import MODEL_DIR, Engine
from upbrush.explain.determined import STRIPE_ROWS, reduced, smooth_cause, stripes, unit
from upbrush.painter import Painter, Progress
from upbrush.picture import Picture

LEVELS = 255  # what the maps count in, whatever the picture's bits
MOST_CELLS = 1_000_000  # of a map; those of a larger picture are several low pixels wide
FIDELITIES = (0.0, 0.5, 1.0)

# Paints a picture as it was asked for, but for the fidelity: (painter, picture, fidelity, progress).
Told = Progress | None
Paint = Callable[[Painter, Picture, float, Told], Picture]


@dataclass(frozen=True)
class Way:
    """Another way to put the same question.

    mirrored: top with bottom, left with right. moved_px: low pixels down and to the right, the edge repeated behind.
    """

    name: str
    mirrored: tuple[bool, bool] = (False, False)
    moved_px: tuple[int, int] = (0, 0)


FLIPS = (
    Way("left and right exchanged", (False, True)),
    Way("top and bottom exchanged", (True, False)),
    Way("turned by half a turn", (True, True)),
)
SHIFTS = (Way("moved by one pixel", moved_px=(1, 1)),)


@dataclass(frozen=True, eq=False)
class Invention:
    """Maps of one painting, (h, w) float32 each: root mean squares over the pixels and colours of a cell, of 255.

    unsteady: over all ways that mirror, or that move where none mirrors. undecided: of the fidelity that moves a cell
    most. weight: how much of a cell can be seen, 0…1, by its alpha. by_way: the root mean square over the picture for
    each way and each fidelity.
    """

    added: np.ndarray
    unsteady: np.ndarray
    undecided: np.ndarray
    changed: np.ndarray
    weight: np.ndarray
    by_way: dict[str, float]

    @property
    def map(self) -> np.ndarray:
        """The three witnesses together: (h, w) float32, levels of 255."""
        together: np.ndarray = np.sqrt(self.added**2 + self.unsteady**2 + self.undecided**2)
        return together

    def level(self, values: np.ndarray) -> float:
        """The root mean square of a map over what can be seen, levels of 255."""
        return float(np.sqrt(np.average(np.square(values), weights=self.weight)))

    def share(self, least: float) -> float:
        """How much of what can be seen the map puts at so many levels or more, 0…1."""
        return float(np.average(self.map >= least, weights=self.weight))


def examine(
    painter: Painter,
    source: Picture,
    paint: Paint,
    fidelity: float,
    *,
    ways: Sequence[Way] = FLIPS,
    progress: Progress | None = None,
) -> tuple[Picture, Invention]:
    """Paint a picture, and say how much of it was invented.

    ways: a way that moves the picture is left out where the result is not a whole number of times larger. Paints once
    for the result, once for each way and for each other fidelity; two results are held at a time, and a map has at
    most a million cells, so memory is bounded as painting's is. progress: called with tiles done and in all.
    Returns the painting and its maps. Raises what `paint` raises.
    """
    held = HeldEngine(painter.engine)
    steady = Painter(held, memory=painter.memory_bytes)
    fidelities = [one for one in FIDELITIES if one != fidelity]
    steps = _Steps(progress, 1 + len(ways) + len(fidelities))
    painted = paint(steady, source, fidelity, steps.next())
    factor = _whole_factor(source, painted)
    ways = [way for way in ways if factor or way.moved_px == (0, 0)]
    steps.paintings = 1 + len(ways) + len(fidelities)
    shape = cells(source.height, source.width)
    added, changed = _beyond(source, painted, shape)
    squares: dict[str, np.ndarray] = {}
    for way in ways:
        held.again()
        answer = paint(steady, put(source, way), fidelity, steps.next())
        squares[way.name] = _gap(painted, put_back(answer, way, factor or 1), shape)
    # A shift moves nothing but edges, by the Renderer's construction: counted with the others it would dilute them.
    counted = [way.name for way in ways if way.moved_px == (0, 0)] or list(squares)
    unsteady = sum((squares[name] for name in counted), np.zeros(shape, np.float32)) / max(1, len(counted))
    undecided = np.zeros(shape, np.float32)
    for one in fidelities:
        gap = squares[f"fidelity {one:g}"] = _gap(painted, paint(painter, source, one, steps.next()), shape)
        undecided = np.maximum(undecided, gap)
    weight = _weight(source, shape)
    by_way = {name: float(np.sqrt(np.average(square, weights=weight))) for name, square in squares.items()}
    unsteady, undecided, seen = np.sqrt(unsteady), np.sqrt(undecided), weight > 0
    return painted, Invention(seen * added, seen * unsteady, seen * undecided, seen * changed, weight, by_way)


class HeldEngine:
    """An engine that gives equivalent pictures the mods of the first, so that only what is rendered can differ.

    Mods are told apart by the order in which they are asked for: `again` begins the next picture.
    """

    def __init__(self, engine: Engine) -> None:
        self.scale, self.overlap_px = engine.scale, engine.overlap_px
        self.code_size, self.identity = engine.code_size, engine.identity
        self.model_dir = getattr(engine, "model_dir", MODEL_DIR)  # where words for styles are looked up
        self.encode, self.render = engine.encode, engine.render
        self._engine, self._held, self._next = engine, list[np.ndarray](), 0

    def modulate(self, thumbnail: np.ndarray, code: np.ndarray | None, strength: float, fidelity: float) -> np.ndarray:
        """The mods of the first picture, whatever the thumbnail says."""
        if self._next == len(self._held):
            self._held.append(self._engine.modulate(thumbnail, code, strength, fidelity))
        self._next += 1
        return self._held[self._next - 1]

    def again(self) -> None:
        """The next picture begins."""
        self._next = 0


def put(source: Picture, way: Way) -> Picture:
    """The picture as a way asks it."""

    def turned(array: np.ndarray) -> np.ndarray:
        down, right = way.moved_px
        edged = np.pad(array, ((down, 0), (right, 0), *[(0, 0)] * (array.ndim - 2)), mode="edge")
        return np.ascontiguousarray(_mirrored(edged[: array.shape[0], : array.shape[1]], way))

    alpha = None if source.alpha is None else turned(source.alpha)
    return replace(source, pixels=turned(source.pixels), alpha=alpha)


def put_back(answer: Picture, way: Way, factor: int) -> np.ndarray:
    """The pixels of a way's answer, where they were asked about; without the rows and columns that moved out of it."""
    down, right = (factor * px for px in way.moved_px)
    return _mirrored(answer.pixels, way)[down:, right:]


def _mirrored(array: np.ndarray, way: Way) -> np.ndarray:
    rows, columns = (slice(None, None, -1 if one else 1) for one in way.mirrored)
    return array[rows, columns]


def cells(height: int, width: int) -> tuple[int, int]:
    """How many cells a map of a low picture has: its pixels, or fewer and larger ones where they are too many."""
    side = int(np.ceil(np.sqrt(height * width / MOST_CELLS)))
    return -(-height // side), -(-width // side)


def _beyond(source: Picture, painted: Picture, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The maps `added` and `changed`."""
    low = reduced(painted.pixels, source.height, source.width)
    changed = np.empty((source.height, source.width), np.float32)
    for top in range(0, source.height, STRIPE_ROWS):
        rows = slice(top, top + STRIPE_ROWS)
        changed[rows] = np.square(low[rows] - unit(source.pixels[rows])).mean(2)
    total = _Cells(painted.pixels.shape[:2], shape)
    for top, beyond in stripes(painted.pixels, smooth_cause(low, painted.height, painted.width)):
        total.add(top, np.square(beyond).mean(2))
    return LEVELS * np.sqrt(total.means()), LEVELS * np.sqrt(cell_means(changed, shape))


def _weight(source: Picture, shape: tuple[int, int]) -> np.ndarray:
    """How much of each cell can be seen; where nothing can, the numbers are of what lies beneath."""
    if source.alpha is None or not source.alpha.any():
        return np.ones(shape, np.float32)
    return cell_means(unit(source.alpha), shape)


def _gap(painted: Picture, answer: np.ndarray | Picture, shape: tuple[int, int]) -> np.ndarray:
    """The mean square difference in each cell, in levels squared; where there is no answer it is 0."""
    pixels = answer.pixels if isinstance(answer, Picture) else answer
    total = _Cells(painted.pixels.shape[:2], shape)
    step = 4 * STRIPE_ROWS
    for top in range(0, pixels.shape[0], step):
        shown = unit(painted.pixels[top : min(top + step, pixels.shape[0]), : pixels.shape[1]])
        square = np.square(LEVELS * (shown - unit(pixels[top : top + step]))).mean(2)
        total.add(top, np.pad(square, ((0, 0), (0, painted.width - pixels.shape[1]))))
    return total.means()


def cell_means(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Means of an (H, W) array over so many cells."""
    total = _Cells(values.shape, shape)
    total.add(0, values)
    return total.means()


class _Cells:
    """Sums up an array, given as stripes of rows, in a coarser grid; each sample belongs to one cell."""

    def __init__(self, size: tuple[int, ...], shape: tuple[int, int]) -> None:
        edges = [np.arange(cells) * length // cells for cells, length in zip(shape, size, strict=True)]
        self._row_of = np.searchsorted(edges[0], np.arange(size[0]), side="right") - 1
        self._columns = edges[1]
        self._counts = np.outer(*(np.diff(edge, append=length) for edge, length in zip(edges, size, strict=True)))
        self._sums = np.zeros(shape)

    def add(self, top: int, values: np.ndarray) -> None:
        """Take rows from `top` on: (n, W)."""
        within = np.add.reduceat(values, self._columns, axis=1)
        np.add.at(self._sums, self._row_of[top : top + len(values)], within)

    def means(self) -> np.ndarray:
        """(h, w) float32; samples that were not given count as 0."""
        return (self._sums / self._counts).astype(np.float32)


def _whole_factor(source: Picture, painted: Picture) -> int:
    """How many times larger, or 0 where that is no whole number."""
    factor = painted.height // source.height
    return factor if (painted.height, painted.width) == (factor * source.height, factor * source.width) else 0


class _Steps:
    """Tells the tiles of several paintings as those of one."""

    def __init__(self, progress: Progress | None, paintings: int) -> None:
        self.paintings, self._progress, self._number = paintings, progress, 0

    def next(self) -> Progress | None:
        """What the next painting tells its progress to."""
        if self._progress is None:
            return None
        number, progress = self._number, self._progress
        self._number += 1

        def told(done: int, total: int) -> None:
            progress(number * total + done, self.paintings * total)

        return told
