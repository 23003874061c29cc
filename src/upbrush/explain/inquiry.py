"""Everything that can be found out about one painting, one question after the other."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from upbrush import __version__, picture
from upbrush.alpha import spread
from upbrush.errors import PictureError
from upbrush.explain import invention
from upbrush.explain.determined import unit
from upbrush.explain.findings import Account, Judgement, Question, Truth
from upbrush.explain.invention import FLIPS, SHIFTS, Invention, cell_means
from upbrush.painter import Painter, Progress
from upbrush.picture import Picture
from upbrush.styles import plain_pixels
from upbrush.tiles import Box

REGION_PX = 16  # a side of the region that is asked about where none is named: the paper's
LAYERS_PX = 96  # low pixels a side of the part on which layers are listened to
NO_GRADIENTS = "Left out with --no-gradients"
NO_FACES = "Needs a face detector and embedding: set UPBRUSH_FACES, or give --faces"
NO_REFERENCE = (
    "Needs the style's own picture: style “{}” is numbers only, which have no places to point at. Give --style PICTURE"
)


def inquire(
    path: Path,
    question: Question,
    *,
    truth: Path | None = None,
    told: Callable[[str], None] = lambda stage: None,
    progress: Progress | None = None,
) -> Account:
    """Paint a picture and find out all about the painting that the question asks for.

    truth: a file of the true high picture. told: called with the name of each stage. progress: with tiles done and in
    all while it paints. Raises PictureError for pictures that cannot be read or do not fit, ConfigError for a region
    outside the output.
    """
    source, true_pixels = picture.read(path), None
    if truth is not None:
        true_pixels = _true_pixels(truth, source, question.painter.engine.scale)
    if question.region is not None and question.generator is not None:
        from upbrush.explain.scene import check_region

        scale = question.painter.engine.scale
        check_region(question.region, (scale * source.height, scale * source.width))

    def paint(painter: Painter, given: Picture, fidelity: float, progress: Progress | None) -> Picture:
        painted: Picture = painter.paint(
            given, question.style, strength=question.strength, fidelity=fidelity, progress=progress
        )
        return painted

    told("painting")
    ways = (*FLIPS, *SHIFTS)
    painted, found = invention.examine(question.painter, source, paint, question.fidelity, ways=ways, progress=progress)
    missing: dict[str, str] = {}
    judgement = None
    if question.faces is None:
        missing["faces"] = NO_FACES
    else:
        told("faces")
        judgement = _judged(question.faces, source, painted, true_pixels)
    traced = _traced(question, source, found, judgement, missing, told)
    style = None if question.style is None else question.style.name
    settings = _settings(path, source, question)
    truth_found = _against(true_pixels, painted, found)
    return Account(path.name, source, painted, found, settings, style, missing, truth_found, judgement, **traced)


def _traced(
    question: Question,
    source: Picture,
    found: Invention,
    judgement: Judgement | None,
    missing: dict[str, str],
    told: Callable[[str], None],
) -> dict[str, Any]:
    """What needs gradients or a look inside: the account's fields of these names."""
    if question.generator is None:
        missing |= dict.fromkeys(("dependence", "style", "layers"), NO_GRADIENTS)
        return {}
    import torch

    from upbrush.explain.lam import MOST_PIXELS, depend
    from upbrush.explain.response import respond
    from upbrush.explain.scene import Scene

    low = source.pixels if source.alpha is None else spread(source.pixels, source.alpha)
    code = None if question.style is None else torch.from_numpy(question.style.code.copy())[None]
    strength = 0.0 if question.style is None else question.strength
    scene = Scene(question.generator, low, code, strength, question.fidelity)
    region = question.region or choose_region(found, judgement, scene.size)
    traced: dict[str, Any] = {}
    told("what a place was drawn from")
    traced["dependence"] = depend(scene, region)
    if source.width * source.height <= MOST_PIXELS:
        traced["through"] = depend(scene, region, thumbnail=True)
    else:
        missing["through"] = f"Not followed through the thumbnail: more than {MOST_PIXELS:,} small pixels"
    told("layers")
    traced["response"] = respond(scene, scene.window(region, LAYERS_PX))
    if question.style is not None and question.reference is None:
        missing["style"] = NO_REFERENCE.format(question.style.name)
    elif question.reference is not None:
        from upbrush.explain.attribution import PART_PX, trace_style

        told("where the style came from")
        traced["style_source"] = trace_style(scene, question.reference, scene.window(region, PART_PX))
    return traced


def choose_region(found: Invention, judgement: Judgement | None, size: tuple[int, int]) -> Box:
    """The most invented place of the largest face, or of the picture: a region of 16 output pixels a side or less."""
    height, width = size
    together = cell_means(np.square(found.map * found.weight), _coarse(found.map.shape, size))
    rows, columns = together.shape
    allowed = np.ones_like(together, bool)
    faces = [face.box for face in judgement.faces if face.cosine is not None] if judgement else []
    if faces:
        left, top, across, down = faces[0]
        y, x = (np.arange(rows) + 0.5) * height / rows, (np.arange(columns) + 0.5) * width / columns
        inside = ((y > top) & (y < top + down))[:, None] & ((x > left) & (x < left + across))
        allowed = inside if inside.any() else allowed
    row, column = np.unravel_index(np.where(allowed, together, -1).argmax(), together.shape)
    side = min(REGION_PX, height, width)
    scale = 4
    top_px = min(int(row * height / rows) // scale * scale, height - side)
    left_px = min(int(column * width / columns) // scale * scale, width - side)
    return Box(top_px, left_px, top_px + side, left_px + side)


def _coarse(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """Cells of about a region's size, no more than the map has."""
    return (
        max(1, min(shape[0], size[0] // REGION_PX)),
        max(1, min(shape[1], size[1] // REGION_PX)),
    )


def _true_pixels(truth: Path, source: Picture, scale: int) -> np.ndarray:
    true = picture.read(truth)
    if (true.height, true.width) != (scale * source.height, scale * source.width):
        raise PictureError(
            f"{truth}: is {true.width}x{true.height}, the output is {scale * source.width}x{scale * source.height}; "
            "give the true large picture, of the output's size"
        )
    return plain_pixels(true)


def _against(true_pixels: np.ndarray | None, painted: Picture, found: Invention) -> Truth | None:
    if true_pixels is None:
        return None
    square = np.square(255 * (unit(plain_pixels(painted)) - unit(true_pixels))).mean(2)
    error = cell_means(square, found.map.shape)
    return Truth(true_pixels, float(np.sqrt(square.mean())), rank_correlation(found.map, error))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, ties broken by place; 0 for a single value."""
    ranks = [np.argsort(np.argsort(values.ravel(), kind="stable"), kind="stable") for values in (one, other)]
    return float(np.corrcoef(np.stack(ranks).astype(float))[0, 1]) if one.size > 1 else 0.0


def _judged(faces: Any, source: Picture, painted: Picture, true_pixels: np.ndarray | None) -> Judgement:
    from upbrush.explain.identity import FALSE_ACCEPTS, SUREST, THRESHOLD, judge_faces

    after = plain_pixels(painted)
    before = true_pixels
    if before is None:
        low = Image.fromarray(plain_pixels(source))
        before = np.asarray(low.resize((painted.width, painted.height), Image.Resampling.BICUBIC))
    judged = judge_faces(faces, before, after)
    known = "bicubic" if true_pixels is None else "truth"
    return Judgement(tuple(judged), known, THRESHOLD, FALSE_ACCEPTS, SUREST)


def _settings(path: Path, source: Picture, question: Question) -> dict[str, str]:
    """Words about how it was painted."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    words = {
        "small picture": f"{path.name}, {source.width} × {source.height} pixels, SHA-256 {digest[:16]}…",
        "painted by": f"upbrush {__version__}, model {question.painter.engine.identity}",
        "fidelity": f"{question.fidelity:g} (1 is least error, 0 is sharpest)",
    }
    if question.style is not None:
        named = ", ".join(word for word in (question.style.name, question.style.artist, question.style.source) if word)
        words["style"] = f"{named}; strength {question.strength:g} (0 restores, 1 repaints)"
    words |= dict(question.shown)
    if question.faces is not None:
        known = ", ".join(f"{name} {digest}" for name, digest in question.faces.identities.items())
        words["face networks"] = f"{known} (SHA-256)"
    return words
