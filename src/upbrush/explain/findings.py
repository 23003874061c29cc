"""What is asked and what was found out about a painting: plain data, between the rooms that measure and the page."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from upbrush.explain.invention import Invention
from upbrush.painter import Painter
from upbrush.picture import Picture
from upbrush.styles import Style
from upbrush.tiles import Box

VISIBLE = 8.0  # levels of 255: a difference that is plain to see
KEPT, ALTERED = 2.0, 8.0  # below the first nobody sees that the low picture was changed, above the second everybody


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked about pictures, the same for all.

    style: None restores. reference: (H, W, 3) uint8, the picture that the style was made from, where there is one.
    region: output pixels; None takes the most invented place. generator: a scene.Generator for gradients, or None.
    faces: a measure.faces.Faces, or None. shown: words about the model and the style, for the page.
    """

    painter: Painter
    style: Style | None
    strength: float
    fidelity: float
    reference: np.ndarray | None = None
    region: Box | None = None
    generator: Any = None
    faces: Any = None
    shown: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Dependence:
    """What a region of the output depends on: see `lam.depend`.

    region: in output pixels. window: in low pixels, where `map` lies: (h, w) float32, what each pixel adds to the edges
    of the region, signed, its colours together. gained: by how much the path raises the region's edges; `total` of all
    attributions should equal it. diffusion: the diffusion index, 0…100. share: of all dependence, by absolute value,
    what lies within the Renderer's reach; None where only that was followed.
    """

    region: Box
    window: Box
    map: np.ndarray
    gained: float
    total: float
    diffusion: float
    share: float | None = None


@dataclass(frozen=True, eq=False)
class StyleSource:
    """What the parts of a style's picture do: see `attribution.trace_style`.

    view: (H, W, 3) uint8, the reference as the StyleEncoder sees it. code, painting: (h, w) float32, what each cell of
    it adds, signed. code_moved, painting_moved: by how much the reference moves the code (a distance) and the part of
    the painting (root mean square, levels of 255) from what plain grey gives; the cells' sums should equal them.
    part: of the low picture.
    """

    view: np.ndarray
    code: np.ndarray
    painting: np.ndarray
    code_moved: float
    painting_moved: float
    part: Box


@dataclass(frozen=True, eq=False)
class Response:
    """How the layers answer a knob on one part of a picture: see `response.respond`.

    knob: "strength" or "fidelity". layers: their names from the low picture to the high one. settings: the knob's.
    activations: (settings, layers), by how much a layer's output differs from that at setting 0, as a share of that.
    mods: (layers,) the mean change of a channel's scale from 0 to 1. alone, without: (layers + 1,) root mean square
    change of the picture, levels of 255, where only this layer goes from 0 to 1, and where all but this one do; the
    last is the colour matrix. whole: where all do. part: of the low picture.
    """

    knob: str
    layers: tuple[str, ...]
    settings: tuple[float, ...]
    activations: np.ndarray
    mods: np.ndarray
    alone: np.ndarray
    without: np.ndarray
    whole: float
    part: Box


@dataclass(frozen=True)
class JudgedFace:
    """One face: see `identity.judge_faces`.

    box: left, top, width, height in output pixels. verdict: kept, barely, doubtful, lost or new. cosine: of what
    it looks like before and after; None where it was found once only.
    """

    box: tuple[float, float, float, float]
    verdict: str
    cosine: float | None

    @property
    def flagged(self) -> bool:
        """Whether somebody should look."""
        return self.verdict not in ("kept", "barely")


@dataclass(frozen=True)
class Judgement:
    """The faces of a picture.

    before: "bicubic" or "truth", what they were compared with. threshold, false_accepts: the cosine that this share of
    pairs of different people reach. surest: the cosine that none of those pairs reached.
    """

    faces: tuple[JudgedFace, ...]
    before: str
    threshold: float
    false_accepts: float
    surest: float


@dataclass(frozen=True, eq=False)
class Truth:
    """The painting against the true high picture. pixels: it. error: root mean square, levels of 255.

    rank: Spearman's correlation of the map with the true error, cell by cell.
    """

    pixels: np.ndarray
    error: float
    rank: float


@dataclass(frozen=True, eq=False)
class Account:
    """Everything that a page tells about one painting. The last ones are None where they were not found out; `missing`
    says why, by their names. settings: words about how it was painted, in the order in which they are shown.
    """  # noqa: D205

    name: str
    source: Picture
    painted: Picture
    invention: Invention
    settings: dict[str, str]
    style: str | None
    missing: dict[str, str]
    truth: Truth | None = None
    judgement: Judgement | None = None
    dependence: Dependence | None = None
    through: Dependence | None = None
    style_source: StyleSource | None = None
    response: Response | None = None

    def numbers(self) -> dict[str, Any]:
        """All that was measured, for programs: names, numbers and lists."""
        found = self.invention
        numbers: dict[str, Any] = {
            "format": "upbrush-explanation",
            "version": 1,
            "picture": self.name,
            "size": {
                "low": [self.source.width, self.source.height],
                "output": [self.painted.width, self.painted.height],
            },
            "settings": self.settings,
            "invented": {
                "unit": "root mean square, levels of 255",
                **{name: _number(found.level(getattr(found, name))) for name in WITNESSES},
                "by way": {name: _number(value) for name, value in found.by_way.items()},
                "share of the picture": {f"{level:g} or more": _number(found.share(level)) for level in (2, 4, 8, 16)},
            },
            "missing": self.missing,
        }
        if self.truth:
            numbers["truth"] = {"error": _number(self.truth.error), "rank correlation": _number(self.truth.rank)}
        if self.judgement:
            numbers["faces"] = asdict(self.judgement)
        for name, one in (("dependence", self.dependence), ("dependence with thumbnail", self.through)):
            if one:
                numbers[name] = _dependence(one)
        if self.style_source:
            source = self.style_source
            numbers["style"] = {
                "code moved": _number(source.code_moved), "code attributed": _number(float(source.code.sum())),
                "painting moved": _number(source.painting_moved),
                "half of the code on": _number(half_area(source.code)),
                "half of the painting on": _number(half_area(source.painting)),
                "painting attributed": _number(float(source.painting.sum())), "part": asdict(source.part),
            }  # fmt: skip
        if self.response:
            numbers["layers"] = {key: _listed(value) for key, value in vars(self.response).items() if key != "part"} | {
                "part": asdict(self.response.part)
            }
        return numbers


def half_area(cells: np.ndarray) -> float:
    """The smallest share of the area, 0…1, whose cells hold half of all that pushes towards the style."""
    pushes = np.sort(np.clip(cells, 0, None), axis=None)[::-1]
    if not pushes.any():
        return 0.0
    return float((np.searchsorted(np.cumsum(pushes), pushes.sum() / 2) + 1) / pushes.size)


WITNESSES = ("added", "unsteady", "undecided", "map", "changed")


def _dependence(one: Dependence) -> dict[str, Any]:
    numbers = {"diffusion index": one.diffusion, "edges gained": one.gained, "edges attributed": one.total}
    if one.share is not None:
        numbers["share within reach"] = one.share
    rounded = {key: _number(value) for key, value in numbers.items()}
    return {"region": asdict(one.region), "window": asdict(one.window), **rounded}


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return np.round(value.astype(float), 4).tolist()
    return round(value, 4) if isinstance(value, float) else value


def _number(value: float) -> float:
    return round(float(value), 4)
