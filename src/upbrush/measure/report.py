"""A summary on disk: report.json with every setting, report.csv with a row for each picture, report.html to look at."""

import csv
import io
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from upbrush import __version__, picture
from upbrush.errors import ConfigError, DataError, PictureError
from upbrush.measure import gallery, page, plots
from upbrush.measure.catalogue import METRICS
from upbrush.measure.instruments import Instruments, Settings
from upbrush.measure.summary import Summary

FILES = ("report.json", "report.csv", "report.html")
PACKAGES = (
    "numpy", "pillow", "torch", "scipy", "scikit-image", "opencv-python-headless", "onnxruntime", "torchmetrics",
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What a report tells beside the numbers. folders: role -> path as it was given."""

    title: str
    folders: Mapping[str, str]
    settings: Settings
    tools: Instruments
    seconds: Mapping[str, float]


def refuse_old(folder: Path, overwrite: bool) -> None:
    """Raise ConfigError where a finished report lies there and may not be replaced, or the folder cannot be made."""
    if not overwrite and (folder / FILES[0]).exists():
        raise ConfigError(
            f"{folder / FILES[0]}: is there already; choose another folder, or give --overwrite (pictures that did not "
            "change are not measured again)"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None


def write(folder: Path, summary: Summary, told: Told) -> list[Path]:
    """Write the three files, each whole or not at all; returns their paths. Raises DataError where that fails."""
    rank = gallery.rank_key(summary)
    words = in_words(summary, told)
    drawn = plots.draw(summary, told.seconds)
    html = page.render(told.title, summary, drawn, gallery.show(summary, rank), words, rank)
    tree = {"title": told.title, "settings": facts(told, summary), **summary.facts()}
    texts = [json.dumps(tree, indent=1, allow_nan=False) + "\n", table(summary), html]
    return [write_whole(folder / name, text) for name, text in zip(FILES, texts, strict=True)]


def write_whole(path: Path, text: str) -> Path:
    """Write a text file under another name, then rename it. Raises DataError where that fails."""
    part = path.with_name(f".{path.name}.part")
    try:
        try:
            part.write_text(text, encoding="utf-8", newline="")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); make room or choose another folder") from None
    return path


def table(summary: Summary) -> str:
    """One line for each picture and method, all metrics in full precision."""
    keys = [metric.key for metric in METRICS if metric.key in summary.means[summary.methods[0]]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "name", *keys, "output", "truth", "style", "low"])
    for method in summary.methods:
        for index, case in enumerate(summary.cases):
            numbers = [summary.values[method][key][index] for key in keys]
            files = [case.outputs[method], case.truth, case.style, case.low]
            writer.writerow(
                [method, case.name, *("" if v is None else repr(v) for v in numbers), *(str(p or "") for p in files)]
            )
    return text.getvalue()


def facts(told: Told, summary: Summary) -> dict[str, Any]:
    """Every setting that a number depends on."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "upbrush": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "folders": dict(told.folders),
        "made_by": {method: _made_by(summary.cases[0].outputs[method]) for method in summary.methods},
        "crop_px": told.settings.crop,
        "luma": "BT.601, studio range",
        "style_px": 256,
        "set_features": told.tools.set_features,
        "false_accepts": told.settings.false_accepts,
        "seed": told.settings.seed,
        "weights": dict(told.tools.identities),
        "seconds_a_picture": dict(told.seconds),
    }


def in_words(summary: Summary, told: Told) -> dict[str, str]:
    """The settings as the page shows them."""
    found = facts(told, summary)
    side = found["style_px"]
    sizes = f"crop {told.settings.crop} px for PSNR and SSIM"
    if summary.repaints:
        sizes += f", {side}×{side} for style and content error"
    made = {method: note for method, note in found["made_by"].items() if note}
    words = {
        "measured": f"{found['when'][:16].replace('T', ' ')} UTC by upbrush {__version__}, {sizes}",
        **told.folders,
        "luma": "Y of BT.601 in studio range; values as stored, no colour profile applied",
        "weights": ", ".join(f"{name} {mark}" for name, mark in told.tools.identities.items()) or "none",
        "between sets": f"{told.tools.set_features or 'no features'}, mean over positions",
        "intervals": "95 %, bootstrap with 2,000 draws over truths and styles, "
        f"seed {told.settings.seed}; of distances between sets, jackknife",
        "versions": ", ".join(f"{name} {version}" for name, version in found["packages"].items() if version),
    }
    if made:
        words["notes in the outputs"] = "; ".join(f"{method}: {note}" for method, note in made.items())
    return words


def _made_by(path: Path) -> str:
    """How an output says that it was made: those of upbrush do."""
    try:
        return ", ".join(f"{key} {value}" for key, value in picture.read_note(path).items())
    except PictureError:
        return ""


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
