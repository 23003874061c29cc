"""The pictures that a report shows: worst, median and best of each method, every method beside the truth."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from upbrush.measure import pixels
from upbrush.measure.catalogue import BY_KEY, badness
from upbrush.measure.pairing import Case
from upbrush.measure.summary import Summary

MOST_SHOWN = 30  # cases; beyond, a page takes tens of megabytes
LOSSLESS_PX = 128
LARGEST_PX = 1024  # a side; larger pictures are reduced, and the page says so


@dataclass(frozen=True)
class Shown:
    """One case on the page. why: such as "worst of A". reduced: are the pictures smaller than their files?"""

    case: Case
    index: int
    why: Sequence[str]
    pictures: Mapping[str, str]  # caption -> data URI, in order
    reduced: bool


def rank_key(summary: Summary) -> str:
    """The metric that says which pictures are worst: of those that were measured, the closest to what people see."""
    wanted = ("style",) if summary.repaints else ("lpips", "vgg", "ssim_y")
    measured = summary.means[summary.methods[0]]
    return next((key for key in wanted if key in measured), "psnr_y")


def choose(summary: Summary, key: str, each: int) -> dict[int, list[str]]:
    """Cases to show, and why: so many of the worst, median and best of every method."""
    chosen: dict[int, list[str]] = {}
    for method in summary.methods:
        values = summary.values[method][key]
        bad = {i: badness(BY_KEY[key], value) for i, value in enumerate(values) if value is not None}
        order = sorted(bad, key=lambda i: bad[i], reverse=True)
        middle = max(0, (len(order) - each) // 2)
        of = f" of {method}" if len(summary.methods) > 1 else ""
        for word, picked in (("worst", order[:each]), ("median", order[middle:][:each]), ("best", order[-each:][::-1])):
            for i in picked:
                chosen.setdefault(i, []).append(word + of)
    return chosen


def show(summary: Summary, key: str) -> list[Shown]:
    """Read the chosen cases' pictures; the worst come first."""
    each = max(1, min(3, MOST_SHOWN // (3 * len(summary.methods))))
    chosen = choose(summary, key, each)
    rank = {"worst": 0, "median": 1, "best": 2}
    first_method = summary.methods[0]

    def place(index: int) -> tuple[int, float]:
        value = summary.values[first_method][key][index]
        return min(rank[why.split(" ")[0]] for why in chosen[index]), 0.0 if value is None else -badness(
            BY_KEY[key], value
        )

    return [_shown(summary, index, chosen[index]) for index in sorted(chosen, key=place)[:MOST_SHOWN]]


def _shown(summary: Summary, index: int, why: Sequence[str]) -> Shown:
    case = summary.cases[index]
    files: dict[str, Path] = {} if case.low is None else {"low": case.low}
    if case.style is not None:
        files["style"] = case.style
    files |= {method: case.outputs[method] for method in summary.methods}
    files["truth"] = case.truth
    size = pixels.size(case.truth)
    return Shown(case, index, why, {name: _embedded(path) for name, path in files.items()}, max(size) > LARGEST_PX)


def _embedded(path: Path) -> str:
    """A picture as a data URI, for looking only: WebP, lossless where it is small."""
    image = Image.fromarray(pixels.eight_bits(pixels.read(path)))
    if max(image.size) > LARGEST_PX:
        image.thumbnail((LARGEST_PX, LARGEST_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=92, method=2, lossless=max(image.size) <= LOSSLESS_PX)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
