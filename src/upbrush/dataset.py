"""Folders of pictures and tar shards in, training batches out.

Every batch is a pure function of (seed, step, rank): a run that stops and resumes draws what it would have drawn, and
no shuffle state has to be saved. Shards are WebDataset tars (`00000.webp` beside `00000.json`), indexed once and read
in place; a folder's pictures take the name of the folder that they lie in as their kind.
"""

import io
import json
import logging
import signal
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from upbrush.config import Config, DataConfig
from upbrush.degrade import bicubic, degrade
from upbrush.errors import DataError
from upbrush.views import STYLE_PX

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif"})
TRIES = 20  # pictures drawn in a row that cannot be read, before the data is called unusable
log = logging.getLogger(__name__)
Cut = Callable[[Image.Image, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Entry:
    """Where one picture's bytes lie: a file of its own (size None), or a part of a shard."""

    path: Path
    name: str
    kind: str
    offset: int = 0
    size: int | None = None

    def read(self) -> bytes:
        """The picture's encoded bytes."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read() if self.size is None else file.read(self.size)


@dataclass(frozen=True)
class Batch:
    """One step's pictures: first those restored, last those repainted, as many as there are styles."""

    high: Tensor  # (B, 3, P, P) float32 in [0, 1]
    low: Tensor  # (B, 3, P / 4, P / 4) float32 in [0, 1]
    style: Tensor  # (R, 3, S, S) float32 in [0, 1], R <= B
    strength: Tensor  # (B,) in [0, 1]; 0 for the first B - R
    fidelity: Tensor  # (B,) in [0, 1]

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__dataclass_fields__))


def scan(paths: Sequence[Path]) -> list[Entry]:
    """List the pictures of folders (recursively) and tar shards, in a fixed order.

    Raises DataError where a path is missing, no tar and no folder, or holds no picture.
    """
    entries: list[Entry] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = [
                Entry(file, str(file.relative_to(path)), file.parent.name)
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in ENDINGS and file.is_file()
            ]
        elif path.is_file():
            found = _scan_shard(path)
        else:
            raise DataError(f"{path}: no such file or folder; give a folder of pictures or a .tar of them")
        if not found:
            raise DataError(f"{path}: holds no picture; expected {', '.join(sorted(ENDINGS))}")
        entries += found
    return entries


def _scan_shard(path: Path) -> list[Entry]:
    pictures, notes = {}, {}
    try:
        with tarfile.open(path) as shard:
            for member in shard:
                stem, _, ending = member.name.rpartition(".")
                if f".{ending.lower()}" in ENDINGS:
                    pictures[stem] = member
                elif ending == "json" and (file := shard.extractfile(member)):
                    notes[stem] = json.loads(file.read())
    except (tarfile.TarError, OSError, json.JSONDecodeError, EOFError) as error:
        reason = str(error).splitlines()[0]  # tarfile tells each way of opening it on a line of its own
        raise DataError(f"{path}: is not a whole tar shard ({reason}); expected pictures, each with a .json") from None
    return [
        Entry(path, f"{path.name}:{m.name}", notes.get(stem, {}).get("kind", path.stem), m.offset_data, m.size)
        for stem, m in pictures.items()
    ]


class Batches(Dataset[Batch]):
    """The batches of a run, by step."""

    def __init__(self, entries: Sequence[Entry], config: Config, rank: int = 0):
        self.config, self.rank = config, rank
        data = config.data
        self.entries = list(entries)
        groups = defaultdict(list)
        for index, entry in enumerate(self.entries):
            groups[entry.kind].append(index)
        self.kinds = {kind: np.array(indices) for kind, indices in groups.items()}
        self.shares = {k: share for k, share in data.mix.items() if share > 0} or {
            kind: len(indices) / len(self.entries) for kind, indices in self.kinds.items()
        }
        for wanted in (*self.shares, *data.style_kinds):
            if wanted not in self.kinds:
                raise DataError(f"the recipe asks for pictures of kind {wanted!r}; the data has {sorted(self.kinds)}")
        styles = data.style_kinds or tuple(self.kinds)
        self.styles = np.concatenate([self.kinds[kind] for kind in styles])
        self.bad: set[str] = set()

    def __getitem__(self, step: int) -> Batch:
        """The batch of one step."""
        data, loss = self.config.data, self.config.loss
        rng = np.random.default_rng((self.config.train.seed, step, self.rank))
        count = data.restore + data.sharp + data.repaint
        names, shares = list(self.shares), np.array(list(self.shares.values()))
        kinds = rng.choice(len(names), count, p=shares / shares.sum())
        high = torch.stack([self._draw(rng, self.kinds[names[kind]], self._content) for kind in kinds])
        styles = [self._draw(rng, self.styles, _style) for _ in range(data.repaint)]
        style = torch.stack(styles) if styles else torch.zeros(0, 3, STYLE_PX, STYLE_PX)
        strength = np.zeros(count)
        if data.repaint:
            blend = rng.random(data.repaint) < loss.blends
            strength[-data.repaint :] = np.where(blend, rng.random(data.repaint), 1)
        fidelity = np.where(np.arange(count) < data.restore, 1, rng.random(count))
        return Batch(
            high,
            self._degraded(high, rng),
            style,
            torch.from_numpy(strength).float(),
            torch.from_numpy(fidelity).float(),
        )

    def _degraded(self, high: Tensor, rng: np.random.Generator) -> Tensor:
        low = ((bicubic(high) * 255).round() / 255).clamp(0, 1)
        real = torch.from_numpy(rng.random(len(high)) >= self.config.data.bicubic_share)
        if real.any():
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            low[real] = degrade(high[real], generator, settings=self.config.degradation)
        return low

    def _draw(self, rng: np.random.Generator, among: np.ndarray, cut: Cut) -> Tensor:
        """One picture, cut; a picture that cannot be read is reported by name, once, and another is drawn."""
        for _ in range(TRIES):
            entry = self.entries[int(among[rng.integers(len(among))])]
            try:
                with Image.open(io.BytesIO(entry.read())) as image:
                    pixels: np.ndarray = cut(image.convert("RGB"), rng)
                return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float() / 255
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                if entry.name not in self.bad:
                    self.bad.add(entry.name)
                    log.warning("%s: cannot be read (%s); skipped", entry.name, error)
        raise DataError(f"{TRIES} pictures in a row could not be read, the last {entry.name}; look at the warnings")

    def _content(self, image: Image.Image, rng: np.random.Generator) -> np.ndarray:
        return _cut(image, self.config.data, rng)


def _cut(image: Image.Image, data: DataConfig, rng: np.random.Generator) -> np.ndarray:
    """A crop at a random place and size, mirrored half the time: (crop_px, crop_px, 3) uint8."""
    short, crop = min(image.size), data.crop_px
    smallest = max(crop, data.zoom * short)
    wanted = short if rng.random() < 0.5 else rng.uniform(smallest, max(short, smallest))
    wanted = max(wanted, crop)
    if wanted != short:
        width, height = (max(crop, round(side * wanted / short)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return _square(image, crop, rng)


def _style(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """A square of a style picture at the StyleEncoder's working size, mirrored half the time."""
    factor = STYLE_PX / min(image.size)
    size = (max(STYLE_PX, round(image.width * factor)), max(STYLE_PX, round(image.height * factor)))
    return _square(image.resize(size, Image.Resampling.LANCZOS) if factor != 1 else image, STYLE_PX, rng)


def _square(image: Image.Image, side: int, rng: np.random.Generator) -> np.ndarray:
    left, upper = (int(rng.integers(extent - side + 1)) for extent in image.size)
    pixels = np.asarray(image.crop((left, upper, left + side, upper + side)))
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def _ignore_interrupts(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal: the loop saves its state, its workers only end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def batches(entries: Sequence[Entry], config: Config, *, first_step: int, rank: int = 0) -> Iterator[Batch]:
    """The batches of the steps from `first_step` to the run's last, read ahead by worker processes."""
    dataset = Batches(entries, config, rank)
    steps = range(first_step, config.train.steps)
    workers = config.data.workers
    loader: DataLoader[Batch] = DataLoader(
        dataset,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_ignore_interrupts,
    )
    return iter(loader)
