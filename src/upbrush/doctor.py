"""A look at this machine: what is installed, whether the model is whole, how fast each engine paints."""

import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from upbrush.engine import FILES, MODEL_DIR, Engine, engines_here, open_engine
from upbrush.errors import UpbrushError

TILE_PX = 192  # of the picture that the speed is measured on
MOST_RUNS, MOST_SECONDS = 7, 1.0  # of measuring one engine, after a first run that is not counted
CLEARLY_FASTER = 1.25
# distribution -> what it is for
PARTS = {
    "openvino": "a second engine, faster on many Intel CPUs",
    "pillow-heif": "HEIC pictures of telephones",
    "scikit-image": "the photographs of `upbrush demo`",
    "torch": "training and export",
    "lightning-fabric": "training",
}


@dataclass(frozen=True)
class Speed:
    """One engine, measured. megapixels: of output a second, None where it failed, and then error says why."""

    engine: str
    version: str
    provider: str
    megapixels: float | None
    error: str | None = None


@dataclass(frozen=True)
class Health:
    """What was found. parts and files: version or bytes by name, None for what is missing. problem: None when well."""

    system: Mapping[str, str]
    parts: Mapping[str, str | None]
    model_dir: Path
    files: Mapping[str, int | None]
    identity: str | None
    styles: int
    speeds: tuple[Speed, ...]
    problem: str | None
    advice: tuple[str, ...]


def examine(model_dir: Path | str | None = None, threads: int | None = None) -> Health:
    """Look at packages and model files, and measure each engine for about a second."""
    folder = Path(model_dir) if model_dir is not None else MODEL_DIR
    names = [*(f"{name}.onnx" for name in FILES), "random.npz"]
    files = {name: (folder / name).stat().st_size if (folder / name).is_file() else None for name in names}
    identity, problem = None, None
    speeds: tuple[Speed, ...] = ()
    try:
        identity = open_engine("onnxruntime", folder, threads).identity
        speeds = tuple(_speeds(folder, threads))
    except UpbrushError as error:
        problem = str(error)
    problem = problem or next((speed.error for speed in speeds if speed.engine == "onnxruntime"), None)
    return Health(
        system={
            "upbrush": metadata_version("upbrush") or "not installed as a package",
            "Python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} logical CPUs",
            **{name: metadata_version(name) or "missing" for name in ("onnxruntime", "numpy", "pillow")},
        },
        parts={name: metadata_version(name) for name in PARTS},
        model_dir=folder,
        files=files,
        identity=identity,
        styles=len(list((folder / "library").glob("*.style"))),
        speeds=speeds,
        problem=problem,
        advice=tuple(advise(speeds)),
    )


def measure(engine: Engine) -> float:
    """Megapixels of output a second: the median of a few runs on one tile, after a first that is not counted."""
    low = np.random.default_rng(0).random((1, 3, TILE_PX, TILE_PX), np.float32)
    mods = engine.modulate(np.full((6, 32, 32), 0.5, np.float32), None, 0.0, 0.5)
    engine.render(low, mods)
    seconds: list[float] = []
    while len(seconds) < MOST_RUNS and sum(seconds) < MOST_SECONDS:
        began = time.perf_counter()
        engine.render(low, mods)
        seconds.append(time.perf_counter() - began)
    return (TILE_PX * engine.scale) ** 2 / 1e6 / float(np.median(seconds))


def advise(speeds: tuple[Speed, ...]) -> Iterator[str]:
    """What to do differently, in a sentence each."""
    rates = {speed.engine: speed.megapixels for speed in speeds if speed.megapixels}
    usual = rates.get("onnxruntime")
    if usual is None:
        return
    best = max(rates, key=lambda name: rates[name])
    if rates[best] > CLEARLY_FASTER * usual:
        yield f"{best} is {rates[best] / usual:.1f} times as fast here: upbrush paint --engine {best}"
    if "openvino" not in {speed.engine for speed in speeds} and platform.machine().lower() in ("x86_64", "amd64"):
        yield 'another engine may be faster on this CPU: pip install "upbrush[openvino]", then ask the doctor again'


def metadata_version(distribution: str) -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _speeds(folder: Path, threads: int | None) -> Iterator[Speed]:
    for name, version in engines_here().items():
        try:
            engine = open_engine(name, folder, threads)
            yield Speed(name, version, getattr(engine, "provider", "CPU"), measure(engine))
        except UpbrushError as error:
            yield Speed(name, version, "-", None, str(error))
