"""Outputs in, a report out: one case after the other, every metric that can be had, kept as soon as it is known.

It sees pictures only, so that any method is judged by the same code.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from upbrush.measure import artefacts, distortion, learned, pairing, perceptual, report
from upbrush.measure.instruments import Instruments, Settings
from upbrush.measure.pairing import Case
from upbrush.measure.rows import Row, Store, key_of
from upbrush.measure.seen import Seen
from upbrush.measure.summary import Summary, summarise

ROWS = "rows.jsonl"
MOST_IMPOSTORS = 300  # truths: 44,850 pairs


@dataclass(frozen=True)
class Job:
    """What is to be measured: see `pairing.pair`.

    title: of the report. seconds: what a picture takes, by method, where it is known.
    """

    outputs: Mapping[str, Path]
    truth: Path
    style: Path | None = None
    low: Path | None = None
    manifest: Path | None = None
    title: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

    def cases(self) -> list[Case]:
        """The files, paired and checked."""
        return pairing.pair(self.outputs, self.truth, style=self.style, low=self.low, manifest=self.manifest)

    @property
    def folders(self) -> dict[str, str]:
        """Every path that was given, by its role."""
        roles = {"truth": self.truth, "style": self.style, "low": self.low, "pairs": self.manifest}
        return {
            **{name: str(path) for name, path in self.outputs.items()},
            **{k: str(v) for k, v in roles.items() if v},
        }


@dataclass(frozen=True)
class _Style:
    """What is kept of a style picture while others are measured."""

    moments: perceptual.Moments
    features: np.ndarray


class Measurer:
    """Measures cases with opened instruments. It holds the last truth: cases of one truth are best side by side."""

    def __init__(self, settings: Settings, tools: Instruments):
        self.settings, self.tools = settings, tools
        self._truth: Seen | None = None
        self._styles: dict[Path, _Style] = {}

    def key(self, case: Case, method: str) -> str:
        """What the row's numbers depend on."""
        judged = sorted(self.tools.judges)
        settings = {"crop": self.settings.crop, "weights": self.tools.identities, "judges": judged}
        files = [case.outputs[method], case.truth, case.style, case.low]
        roles = {"method": method, "name": case.name, "style": case.style is not None, "low": case.low is not None}
        return key_of(settings | roles, [path for path in files if path is not None])

    def measure(self, case: Case, method: str) -> Row:
        """All that can be measured of one output. Raises PictureError for a picture that cannot be read."""
        if self._truth is None or self._truth.path != case.truth:
            self._truth = Seen(case.truth, self.tools)
        truth, output = self._truth, Seen(case.outputs[method], self.tools)
        values = self._distances(output, truth)
        vectors = {"spectrum": _level(output.spectrum) - _level(truth.spectrum)}
        if case.low is not None:
            values["down"] = distortion.down_psnr(output.pixels, Seen(case.low, self.tools).pixels)
        if self.tools.eye is not None:
            self._perceived(case, output, truth, values, vectors)
        for name, judge in self.tools.judges.items():
            values[name] = judge(output.pixels, truth.pixels)
        if self.tools.inception is not None:
            vectors["output"] = self.tools.inception(output.pixels)
            reference = truth if case.style is None else Seen(case.style, self.tools)
            vectors["reference"] = self.tools.inception(reference.pixels)
        if self.tools.faces is not None and truth.embedding is not None:
            values["identity"] = float(output.embedded(truth.faces[0]) @ truth.embedding)
            values["lost"] = float(not output.faces)
            vectors["face"] = truth.embedding
        packed = {name: np.asarray(vector, np.float32) for name, vector in vectors.items()}
        return Row(self.key(case, method), method, case.name, values, packed)

    def _distances(self, output: Seen, truth: Seen) -> dict[str, float | None]:
        crop = self.settings.crop
        return {
            "psnr_y": distortion.psnr(output.luma, truth.luma, crop),
            "psnr_rgb": distortion.psnr(output.pixels, truth.pixels, crop),
            "ssim_y": distortion.ssim(output.luma, truth.luma, crop),
            "ssim_rgb": distortion.ssim(output.pixels, truth.pixels, crop),
            "ms_ssim_y": distortion.ms_ssim(output.luma, truth.luma, crop),
            "grid": artefacts.grid_energy(output.luma),
            "sharpness": artefacts.sharpness(output.spectrum, truth.spectrum),
            "grain": artefacts.grain(output.texture, truth.texture),
            "colour": artefacts.colour_shift(output.pixels, truth.pixels),
        }

    def _perceived(
        self, case: Case, output: Seen, truth: Seen, values: dict[str, float | None], vectors: dict[str, np.ndarray]
    ) -> None:
        """What VGG19 sees; features of sets are the truth's for restored pictures and the style's for repaints."""
        assert self.tools.eye is not None
        if truth.is_large:
            values["vgg"], values["texture"], *both = self.tools.eye.compare(output.pixels, truth.pixels)
        else:
            output.look_with(truth)
            values["vgg"] = perceptual.vgg_distance(output.features, truth.features)
            if case.style is None:  # no table of repaints tells it, and it takes time
                values["texture"] = perceptual.style_error(output.moments, truth.moments)
            both = [perceptual.pooled(one.features) for one in (output, truth)]
        vectors["output"], vectors["reference"] = (one.numpy() for one in both)
        if case.style is not None:
            style = self._style(case.style)
            values["style"] = perceptual.style_error(output.small_moments, style.moments)
            values["content"] = perceptual.content_error(output.small_features, truth.small_features)
            vectors["output"] = perceptual.pooled(output.small_features).numpy()
            vectors["reference"] = style.features

    def _style(self, path: Path) -> _Style:
        if path not in self._styles:
            seen = Seen(path, self.tools)
            self._styles[path] = _Style(seen.small_moments, perceptual.pooled(seen.small_features).numpy())
        return self._styles[path]


def run(
    cases: Sequence[Case],
    measurer: Measurer,
    folder: Path,
    *,
    begun: Callable[[str], None] = lambda name: None,
    done: Callable[[], None] = lambda: None,
) -> Iterator[Row]:
    """Measure every method's output of every case, or take the row that an earlier run has left in `folder`.

    begun, done: called before and after each output. Raises PictureError for a picture that cannot be read, DataError
    where rows cannot be kept; rows measured until then stay.
    """
    store = Store(folder / ROWS)
    jobs = [(case, method, measurer.key(case, method)) for case in cases for method in case.outputs]
    kept = store.load(key for *_, key in jobs)
    for case, method, key in jobs:
        begun(f"{method}: {case.name}" if len(case.outputs) > 1 else case.name)
        if key not in kept:
            row = measurer.measure(case, method)
            store.append(row)
            yield row
        else:
            yield kept[key]
        done()


def finish(job: Job, cases: Sequence[Case], rows: Sequence[Row], measurer: Measurer, folder: Path) -> Summary:
    """Sum rows up and write the report into `folder`. Raises DataError where it cannot be written."""
    tools, settings = measurer.tools, measurer.settings
    summary = summarise(
        cases, rows, missing=tools.missing, set_features=tools.set_features, others=_impostors(job, cases, tools),
        false_accepts=settings.false_accepts, seed=settings.seed,
    )  # fmt: skip
    if summary.repaints:
        for method in summary.methods:
            summary.sets[method]["ArtFID"] = _art_fid(cases, method, settings.download)
    title = job.title or f"{', '.join(summary.methods)} against {job.truth.name}"
    report.write(folder, summary, report.Told(title, job.folders, settings, tools, job.seconds))
    return summary


def _impostors(job: Job, cases: Sequence[Case], tools: Instruments) -> list[NDArray[np.float32]]:
    """Faces of truths that lie in the folder and are in no case: with them a threshold rests on more pairs."""
    used = {case.truth for case in cases}
    if tools.faces is None or not job.truth.is_dir():
        return []
    rest = [path for path in pairing.pictures(job.truth).values() if path not in used]
    rest = rest[: max(0, MOST_IMPOSTORS - len(used))]
    return [face for path in rest if (face := Seen(path, tools).embedding) is not None]


def _art_fid(cases: Sequence[Case], method: str, download: bool) -> float | str:
    reason = learned.art_fid_missing(len(cases), download)
    if reason is not None:
        return reason
    styles = [case.style for case in cases if case.style is not None]
    return learned.art_fid([case.outputs[method] for case in cases], styles, [case.truth for case in cases])


def _level(power: np.ndarray) -> np.ndarray:
    """Decibels, with a floor that keeps flat pictures finite."""
    level: np.ndarray = 10 * np.log10(power + 1e-4)
    return level
