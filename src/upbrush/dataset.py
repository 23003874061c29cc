"""Folders of pictures and tar shards in, training batches out.

Where the data is indexed, every batch is a pure function of (seed, step, rank): a run that stops and resumes draws what
it would have drawn, and no shuffle state has to be saved. A tar is a WebDataset shard (`00000.webp` beside
`00000.json`), indexed once and read in place; a folder's pictures take the name of the folder that they lie in as their
kind. A pattern or an address of shards, or a folder of them, is streamed (streaming.py) and never indexed.
"""

import io
import logging
import signal
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from upbrush import crops, leaves, patterns, photographs, streaming
from upbrush.config import Config
from upbrush.degrade import bicubic, degrade
from upbrush.errors import DataError
from upbrush.measure.faces import CROP_PX, Detector
from upbrush.streaming import ALONE, ENDINGS, TARS, Reader, Shards, Streamed, expand, is_pattern, stream, stream_of
from upbrush.views import STYLE_PX

FORMATS = ("WEBP", "JPEG", "PNG", "BMP", "TIFF", "AVIF")  # all of ENDINGS; named, so that Pillow tries no other
CUT_OFF = 0.1  # of its width that a face may lie outside of a crop
LEAST_FACE_PX = 64  # of its aligned square; in the low picture a smaller one is nobody's, and its loss is mere noise
TRIES = 20  # pictures drawn in a row that cannot be read, before the data is called unusable
log = logging.getLogger(__name__)
Cut = Callable[..., np.ndarray]  # (image, rng) -> (side, side, 3) uint8


@dataclass(frozen=True)
class Indexed:
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


Entry = Indexed | Shards  # what the data of a run is listed as
Pick = Callable[[np.random.Generator], Indexed | Streamed]  # draws a picture


@dataclass(frozen=True)
class Batch:
    """One step's pictures: first those restored, last those repainted, as many as there are styles."""

    high: Tensor  # (B, 3, P, P) float32 in [0, 1]
    low: Tensor  # (B, 3, P / 4, P / 4) float32 in [0, 1]
    style: Tensor  # (R, 3, S, S) float32 in [0, 1], R <= B
    strength: Tensor  # (B,) in [0, 1]; 0 for the first B - R
    fidelity: Tensor  # (B,) in [0, 1]
    faces: Tensor  # (B, 2, 3): where each picture's largest face lies, as `nn.embedding` takes it; zeros: nowhere
    drawn: bool = False  # patterns alone: of these the truth is wanted at every fidelity

    @property
    def plain(self) -> bool:
        """Whether nothing is judged by VGG19 or the game: no repaint, and nothing below fidelity 1 but patterns."""
        return self.drawn or (not len(self.style) and bool((self.fidelity == 1).all()))

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        moved: dict[str, Any] = {
            name: x.to(device, non_blocking=True) for name, x in vars(self).items() if isinstance(x, Tensor)
        }
        return replace(self, **moved)


def scan(paths: Sequence[Path | str]) -> list[Entry]:
    """List the pictures of folders (recursively) and tar shards, in a fixed order.

    A pattern such as `shards/{000..099}.tar`, an address (`https:`, `pipe:` and whatever else webdataset opens) and a
    folder of tars become one stream each. Raises DataError where a path is missing, no tar and no folder, or holds no
    picture.
    """
    entries: list[Entry] = []
    for source in map(str, paths):
        path = Path(source)
        if path.is_dir():
            entries += _scan_folder(path)
        elif path.is_file():  # what is packed cannot be read at any place, only from its beginning
            is_packed = path.name.lower().endswith((".tar.gz", ".tgz"))
            entries += [stream_of([path])] if is_packed else _scan_shard(path)
        elif is_pattern(source):
            entries.append(expand(source))
        else:
            raise DataError(f"{path}: no such file or folder; give a folder of pictures or a .tar of them")
    return entries


def _scan_folder(path: Path) -> list[Entry]:
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    tars = [file for file in files if file.name.lower().endswith(TARS)]
    found: list[Entry] = [
        Indexed(file, str(file.relative_to(path)), file.parent.name) for file in files if file.suffix.lower() in ENDINGS
    ]
    if found and tars:
        raise DataError(f"{path}: holds pictures and tars, such as {tars[0].name}; give the one or the other by name")
    if not found and not tars:
        raise DataError(f"{path}: holds no picture; expected {', '.join(sorted(ENDINGS))}")
    return found or [stream_of(tars)]


def _scan_shard(path: Path) -> list[Indexed]:
    pictures, notes = {}, {}
    try:
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                stem, _, ending = member.name.rpartition(".")
                if f".{ending.lower()}" in ENDINGS:
                    pictures[stem] = member
                elif ending == "json" and (file := shard.extractfile(member)):
                    notes[stem] = streaming.noted_kind(file.read())
    except (tarfile.TarError, OSError, EOFError) as error:
        reason = str(error).splitlines()[0]  # tarfile tells each way of opening it on a line of its own
        raise DataError(f"{path}: is not a whole tar shard ({reason}); expected pictures, each with a .json") from None
    if not pictures:
        raise DataError(f"{path}: holds no picture; expected {', '.join(sorted(ENDINGS))}")
    return [
        Indexed(path, f"{path.name}:{m.name}", notes.get(stem) or path.stem, m.offset_data, m.size)
        for stem, m in pictures.items()
    ]


class Batches(Dataset[Batch]):
    """The batches of a run, by step; with streamed pictures, those of one reader, and to be asked for in order."""

    def __init__(
        self,
        entries: Sequence[Entry],
        config: Config,
        rank: int = 0,
        reader: Reader = ALONE,
        first_step: int = 0,
        faces: Path | None = None,
    ):
        self.config, self.rank, self.faces = config, rank, faces
        data = config.data
        self.entries = [entry for entry in entries if isinstance(entry, Indexed)]
        groups = defaultdict(list)
        for index, entry in enumerate(self.entries):
            groups[entry.kind].append(index)
        self.kinds = {kind: np.array(indices) for kind, indices in groups.items()}
        self.streams = _by_kind(entries)
        if both := self.kinds.keys() & self.streams.keys():
            raise DataError(f"pictures of kind {min(both)!r} are given both indexed and as a stream; give one of them")
        known = [*self.kinds, *self.streams]
        self.shares = {k: share for k, share in data.mix.items() if share > 0} or self._natural_shares()
        self.style_kinds = data.style_kinds or tuple(known)
        for wanted in (*self.shares, *self.style_kinds):
            if wanted not in known:
                raise DataError(f"the recipe asks for pictures of kind {wanted!r}; the data has {sorted(known)}")
        seed = f"{config.train.seed}:{first_step}"
        self.contents = {kind: self._pick_of(kind, f"{seed}:content", reader) for kind in self.shares}
        self.style = self._style_pick(f"{seed}:style", reader)
        at_hand = photographs.files() if data.photographs else []
        self.photographs = [Indexed(path, path.name, "photograph") for path in at_hand]
        self.bad: set[str] = set()

    def _natural_shares(self) -> dict[str, float]:
        """Every picture alike; of streams, whose pictures nobody has counted, every shard."""
        if self.kinds and self.streams:
            raise DataError("data.mix is empty: say the share of each kind where some are indexed and some are streams")
        counts = Counter({kind: len(indices) for kind, indices in self.kinds.items()})
        counts.update({kind: len(shards.urls) for kind, shards in self.streams.items()})
        return {kind: number / counts.total() for kind, number in counts.items()}

    def _pick_of(self, kind: str, seed: str, reader: Reader) -> Pick:
        if kind in self.kinds:
            return partial(self._one_of, self.kinds[kind])
        pictures = stream(self.streams[kind], f"{seed}:{kind}", reader, self.config.data.buffer)
        return lambda rng: next(pictures)

    def _style_pick(self, seed: str, reader: Reader) -> Pick:
        if not self.streams.keys() & set(self.style_kinds):
            return partial(self._one_of, np.concatenate([self.kinds[kind] for kind in self.style_kinds]))
        picks = [self._pick_of(kind, seed, reader) for kind in self.style_kinds]
        return lambda rng: picks[rng.integers(len(picks))](rng)

    def _content(self, kind: str, rng: np.random.Generator) -> Pick:
        """Where a picture that is painted comes from: the data's of this kind, or photographs at hand."""
        if self.photographs and rng.random() < self.config.data.photographs:
            return lambda rng: self.photographs[rng.integers(len(self.photographs))]
        return self.contents[kind]

    def _one_of(self, among: np.ndarray, rng: np.random.Generator) -> Indexed:
        return self.entries[int(among[rng.integers(len(among))])]

    def __getitem__(self, step: int) -> Batch:
        """The batch of one step."""
        data, loss = self.config.data, self.config.loss
        rng = np.random.default_rng((self.config.train.seed, step, self.rank))
        if data.patterns_at(step):
            return self.patterns(rng, 4 * int(rng.integers(data.crop_px // 8, data.crop_px // 2 + 1)))
        count = data.pictures
        mixed = step % (1 + data.plain_batches) == 0
        repaint, restore = (data.repaint, data.restore) if mixed else (0, count)
        names, shares = list(self.shares), np.array(list(self.shares.values()))
        kinds = rng.choice(len(names), count, p=shares / shares.sum())
        cut = partial(crops.content, data=data)
        picks = [self._content(names[kind], rng) for kind in kinds]
        high = torch.stack([self._draw(rng, pick, cut, data.crop_px) for pick in picks])
        styles = [self._draw(rng, self.style, crops.style, STYLE_PX) for _ in range(repaint)]
        style = torch.stack(styles) if styles else torch.zeros(0, 3, STYLE_PX, STYLE_PX)
        strength = np.zeros(count)
        if repaint:
            blend = rng.random(repaint) < loss.blends
            strength[-repaint:] = np.where(blend, rng.random(repaint), 1)
        fidelity = np.where(np.arange(count) < restore, 1, rng.random(count) ** data.fidelity_power)
        bicubic_shares = np.full(count, data.bicubic_share)
        if data.sharp_bicubic_share is not None:
            bicubic_shares[restore : count - repaint] = data.sharp_bicubic_share
        return Batch(
            high,
            self._degraded(high, rng, bicubic_shares),
            style,
            torch.from_numpy(strength).float(),
            torch.from_numpy(fidelity).float(),
            self._faces(high),
        )

    def patterns(self, rng: np.random.Generator, side: int) -> Batch:
        """Patterns alone, about half of them at fidelity 1, and together as many pixels as other batches have.

        Layers can answer in step with what repeats, farther than other batches show; and, as borders are mirrored, in
        step with the size of the picture, of which other batches have one. side: pixels, a multiple of 4.
        """
        count = self.config.data.patterns_of(side)
        high = torch.stack([_tensor(patterns.drawn(side, rng)) for _ in range(count)])
        fidelity = torch.from_numpy(np.where(rng.random(count) < 0.5, 1, rng.random(count))).float()
        style, strength, faces = torch.zeros(0, 3, STYLE_PX, STYLE_PX), torch.zeros(count), torch.zeros(count, 2, 3)
        low = self._degraded(high, rng, self.config.data.bicubic_share)
        return Batch(high, low, style, strength, fidelity, faces, drawn=True)

    @cached_property
    def _detector(self) -> Detector:  # opened where it is used: in a worker, not in the process that it comes from
        import cv2

        cv2.setNumThreads(1)
        return Detector(self.faces or Path(), self.config.data.crop_px)

    def _faces(self, high: Tensor) -> Tensor:
        """Where the largest face of each picture lies, if it is whole and large enough to be somebody's."""
        found = torch.zeros(len(high), 2, 3)
        side = high.shape[2]
        for i in range(len(high)) if self.faces else ():
            pixels = (high[i].permute(1, 2, 0) * 255).round().byte().numpy()
            for face in self._detector.find(pixels)[:1]:
                outside = max(*-face.box[:2], *(face.box[:2] + face.box[2:] - side))
                if outside < CUT_OFF * face.box[2] and face.to_crop.any():
                    placed = _placed(face.to_crop, side)
                    found[i] = placed if side * placed[:, 0].norm() >= LEAST_FACE_PX else 0
        return found

    def _degraded(self, high: Tensor, rng: np.random.Generator, bicubic_shares: np.ndarray | float) -> Tensor:
        """Low pictures: plain bicubic each by its own chance, the others degraded."""
        real = torch.from_numpy(rng.random(len(high)) >= bicubic_shares)
        low = high.new_empty(*high.shape[:2], high.shape[2] // 4, high.shape[3] // 4)
        low[~real] = ((bicubic(high[~real]) * 255).round() / 255).clamp(0, 1)
        if real.any():
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            low[real] = degrade(high[real], generator, settings=self.config.degradation)
        return low

    def _draw(self, rng: np.random.Generator, pick: Pick, cut: Cut, side: int) -> Tensor:
        """One picture, cut; a picture that cannot be read is reported by name, once, and another is drawn.

        side: what `cut` leaves, for the shares of pictures that are drawn by code.
        """
        for share, source in ((self.config.data.drawn, patterns.drawn), (self.config.data.leaves, leaves.drawn)):
            if share and rng.random() < share:
                return _tensor(source(side, rng))
        for _ in range(TRIES):
            entry = pick(rng)
            try:
                with Image.open(io.BytesIO(entry.read()), formats=FORMATS) as image:
                    pixels = cut(image if image.mode == "RGB" else image.convert("RGB"), rng=rng)
                return _tensor(pixels)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                if entry.name not in self.bad:
                    self.bad.add(entry.name)
                    log.warning("%s: cannot be read (%s); skipped", entry.name, error)
        raise DataError(f"{TRIES} pictures in a row could not be read, the last {entry.name}; look at the warnings")


def _tensor(pixels: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 to (3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float() / 255


def _placed(to_crop: np.ndarray, side: int) -> Tensor:
    """A similarity from pixels to an aligned crop's, turned round, in torch's units: -1 and 1 are the outer edges."""
    forth = np.vstack([to_crop, [0, 0, 1]])
    pixels = np.array([[CROP_PX / 2, 0, (CROP_PX - 1) / 2], [0, CROP_PX / 2, (CROP_PX - 1) / 2], [0, 0, 1]])
    edges = np.array([[2 / side, 0, 1 / side - 1], [0, 2 / side, 1 / side - 1], [0, 0, 1]])
    return torch.from_numpy((edges @ np.linalg.inv(forth) @ pixels)[:2]).float()


def _ignore_interrupts(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal: the loop saves its state, its workers only end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def batches(
    entries: Sequence[Entry],
    config: Config,
    *,
    first_step: int,
    rank: int = 0,
    ranks: int | None = None,
    faces: Path | None = None,
) -> Iterator[Batch]:
    """The batches of the steps from `first_step` to the run's last, read ahead by worker processes.

    rank, ranks: which of the processes that train together this is, and of how many; None asks torch.distributed. Of
    indexed pictures a batch is a function of seed, step and rank. Of streams it is one of first_step, ranks and workers
    too: a run that goes on begins a new pass. faces: a folder of face networks (`measure.faces`); with it, faces are
    found.
    """
    steps = range(first_step, config.train.steps)
    workers = config.data.workers
    streamed = any(isinstance(entry, Shards) for entry in entries)
    if streamed and first_step and rank == 0:
        log.info("streamed pictures begin a new pass at step %d", first_step)
    if ranks is None:
        ranks = distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
    loader: DataLoader[Batch] = DataLoader(
        _InOrder(entries, config, steps, rank, ranks, faces)
        if streamed
        else Batches(entries, config, rank, faces=faces),
        batch_size=None,
        sampler=None if streamed else steps,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_ignore_interrupts,
    )
    return _plainly(iter(loader))


def _plainly(found: Iterator[Batch]) -> Iterator[Batch]:
    """An error of a worker's comes with the worker's traceback in its message: only its last line is for the user."""
    try:
        yield from found
    except DataError as error:
        raise DataError(str(error).strip().rpartition("DataError: ")[2]) from None


class _InOrder(IterableDataset[Batch]):
    """The batches of streamed pictures: of n workers, each makes every n-th."""

    def __init__(
        self, entries: Sequence[Entry], config: Config, steps: range, rank: int, ranks: int, faces: Path | None
    ):
        Batches(entries, config)  # what is wrong with the recipe is said here, and not by a worker
        self.entries, self.config, self.steps, self.rank, self.ranks = entries, config, steps, rank, ranks
        self.faces = faces

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        reader = Reader(self.rank * workers + worker, self.ranks * workers)
        drawn = Batches(self.entries, self.config, self.rank, reader, self.steps.start, self.faces)
        for step in self.steps[worker::workers]:
            yield drawn[step]


def _by_kind(entries: Sequence[Entry]) -> dict[str, Shards]:
    """The streams by their kinds; several of one kind are one."""
    urls: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        if isinstance(entry, Shards):
            urls[entry.kind] += entry.urls
    return {kind: Shards(kind, tuple(found)) for kind, found in urls.items()}
