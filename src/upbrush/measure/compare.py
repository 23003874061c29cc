"""Ours and the rivals on every set of a plan: painted, measured by one code, told in tables, losses beside wins."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import PIL
from PIL import Image

from upbrush import picture, styles
from upbrush.errors import ConfigError, DataError, PictureError
from upbrush.knobs import Knobs
from upbrush.measure import evaluate, pairing, pixels, report, tables
from upbrush.measure.instruments import Settings, open_all
from upbrush.measure.plan import BICUBIC, OURS, Plan, PlannedSet, methods_of
from upbrush.measure.summary import Summary
from upbrush.painter import Painter

INDEX, TABLES, NUMBERS = "index.html", "tables.md", "compare.json"
SCRIPTS = ("speed.py", "memory.py")
Told = Callable[[str], None]


def refuse_old(out: Path, readme: Path | None, overwrite: bool) -> None:
    """Raise ConfigError for a comparison that is there already, and for a readme without a place for the tables."""
    if not overwrite and (out / NUMBERS).exists():
        raise ConfigError(f"{out / NUMBERS}: is there already; choose another folder, or give --overwrite")
    if readme is not None:
        tables.parts(readme)


def run_benchmarks(folder: Path) -> None:
    """Measure speed and memory by the scripts beside the plan. Raises ConfigError where they are not or fail."""
    for name in SCRIPTS:
        script = folder / name
        if not script.is_file():
            raise ConfigError(f"{script}: not found; --bench runs the speed benchmarks of a checkout")
        if subprocess.run([sys.executable, script], check=False).returncode:
            raise ConfigError(f"{script}: failed; run it alone to see why, or leave --bench out")


def bench_results(folder: Path) -> dict[str, Any]:
    """What the benchmarks wrote last: {"speed": …, "memory": …}, each only where it is there."""
    found = {}
    for name in SCRIPTS:
        path = folder / "results" / Path(name).with_suffix(".json")
        if path.is_file():
            found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return found


class Comparison:
    """A plan on its way to tables. painter: paints ours, None where `ours` holds them, a folder for each set."""

    def __init__(
        self, plan: Plan, plan_folder: Path, out: Path, settings: Settings, painter: Painter | None, ours: Path | None
    ):
        self.plan, self.out, self.settings = plan, out, settings
        self.painter, self.ours = painter, ours
        self.results = bench_results(plan_folder)
        self.summaries: dict[str, Summary] = {}

    def count(self) -> int:
        """Pictures to be painted and measured, for a bar. Raises DataError where a folder is missing."""
        total = 0
        for one in self.plan.set:
            cases = len(self._names(one))
            painted = (0 if self.ours else cases) + (cases if one.style is None else 0)
            total += painted + cases * len(list(methods_of(one)))
        return total

    def run(self, begun: Told = lambda name: None, done: Callable[[], None] = lambda: None) -> None:
        """Paint and measure every set. begun, done: called before and after each picture."""
        tools = open_all(self.settings)
        seconds = tables.seconds_by_method(self.results, self.plan.networks)
        for one in self.plan.set:
            folder = self.out / one.id
            outputs = {OURS: self._ours(one, begun, done)}
            if one.style is None:
                outputs[BICUBIC] = self._bicubic(one, begun, done)
            outputs |= one.rivals
            job = evaluate.Job(outputs, one.truth, one.style, one.low, one.pairs, one.name, seconds)
            cases = job.cases()
            report.refuse_old(folder, overwrite=True)
            measurer = evaluate.Measurer(self.settings, tools)
            told = lambda name, one=one: begun(f"{one.name}, {name}")  # noqa: E731
            rows = list(evaluate.run(cases, measurer, folder, begun=told, done=done))
            self.summaries[one.id] = evaluate.finish(job, cases, rows, measurer, folder)

    def write(self, readme: Path | None) -> list[Path]:
        """Write the tables: for people, for programs, and into a readme."""
        made = tables.build(self.plan, self.summaries, self.results)
        numbers = {name: summary.facts() for name, summary in self.summaries.items()}
        written = [
            report.write_whole(self.out / TABLES, made.markdown()),
            report.write_whole(self.out / INDEX, tables.page(made, self.plan)),
        ]
        if readme is not None:
            before, after = tables.parts(readme)
            written.append(report.write_whole(readme, f"{before}\n{made.markdown(level=3)}\n{after}"))
        tree = {"sets": numbers, "benchmarks": self.results}
        return [*written, report.write_whole(self.out / NUMBERS, json.dumps(tree, indent=1, allow_nan=False) + "\n")]

    def _names(self, one: PlannedSet) -> list[pairing.Names]:
        if one.pairs is not None:
            return pairing.listed(one.pairs, one.style is not None and not one.style.is_file())
        return [pairing.Names(name, name, name, name) for name in pairing.pictures(one.truth)]

    def _ours(self, one: PlannedSet, begun: Told, done: Callable[[], None]) -> Path:
        """The folder of our outputs: given, or painted where they are not there from this model and these knobs."""
        if self.painter is None:
            assert self.ours is not None
            return self.ours / one.id
        folder = self.out / one.id / OURS
        lows = pairing.pictures(one.low)
        looks: dict[str, styles.Style] = {}
        arts = {} if one.style is None else pairing.pictures(one.style)
        for name in self._names(one):
            begun(f"{one.name}, painting {name.output}")
            source = _there(lows, name.low, one.low)
            look = None
            if one.style is not None:
                assert name.style is not None
                if name.style not in looks:
                    looks[name.style] = styles.resolve(_there(arts, name.style, one.style), self.painter.engine)
                look = looks[name.style]
            knobs = Knobs(look, 1.0, one.fidelity)
            target, note = folder / f"{name.output}.png", knobs.note(self.painter.engine.identity)
            if not _is_made(target, source, note):
                _store(knobs.paint(self.painter, picture.read(source), None), target, note)
            done()
        return folder

    def _bicubic(self, one: PlannedSet, begun: Told, done: Callable[[], None]) -> Path:
        """The low pictures enlarged by Pillow's bicubic to the truth's size: what everybody has."""
        folder = self.out / one.id / BICUBIC
        truths, lows = pairing.pictures(one.truth), pairing.pictures(one.low)
        for name in self._names(one):
            begun(f"{one.name}, bicubic {name.output}")
            source, target = _there(lows, name.low, one.low), folder / f"{name.output}.png"
            size = pixels.size(_there(truths, name.truth, one.truth))
            note = {"software": f"bicubic by Pillow {PIL.__version__}", "size": f"{size[0]}x{size[1]}"}
            if not _is_made(target, source, note):
                low = picture.to_image(picture.read(source)).convert("RGB")
                _store(picture.from_image(low.resize(size, Image.Resampling.BICUBIC)), target, note)
            done()
        return folder


def _there(files: Mapping[str, Path], name: str, folder: Path) -> Path:
    if name not in files:
        raise DataError(f"{folder / name}: missing, no picture of that name")
    return files[name]


def _is_made(target: Path, source: Path, note: Mapping[str, str]) -> bool:
    """Is a picture there that was made in this very way, after its source had last changed?"""
    try:
        there = target.is_file() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns
        return there and picture.read_note(target) == note
    except PictureError:
        return False


def _store(painted: picture.Picture, target: Path, note: Mapping[str, str]) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"{target.parent}: cannot be made ({error.strerror}); choose another folder") from None
    picture.write(painted, target, note=note, overwrite=True)
