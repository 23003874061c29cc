"""Batches out of pictures that stay on the device, each shown several times: where loading is slower than learning.

Workers cut and degrade pictures a little larger than the recipe's crops and go on for as long as the run does; each
step draws its pictures from the newest of them, cut once more at a random place and mirrored half the time. Not a
function of the seed, as `dataset.batches` is: what there is to draw from depends on how fast the machine loads.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from upbrush.config import Config
from upbrush.dataset import Batch, Batches, Entry
from upbrush.errors import ConfigError
from upbrush.views import STYLE_PX

MARGIN_PX = 32  # by which the pictures are larger than the crops; a multiple of 4
LOADED = 32  # pictures, and as many styles, that a worker makes at a time; of patterns a quarter as many
FACE = 0.6  # of an aligned crop's side, that a face takes
OUTSIDE = 1.1  # of half the crop's side: as far out as a face may reach to count
log = logging.getLogger(__name__)
Bytes = tuple[Tensor, ...]  # high, low, style (K, H, W, 3) uint8; faces (K, 2, 3)


class Loaded(Dataset[Bytes]):
    """What the workers make: repaints alone, since those have all that any picture may need; and patterns."""

    def __init__(self, entries: Sequence[Entry], config: Config, faces: Path | None):
        data = {"restore": 0, "sharp": 0, "repaint": LOADED, "plain_batches": 0}
        data["crop_px"] = config.data.crop_px + MARGIN_PX
        larger = config.model_copy(update={"data": config.data.model_copy(update=data)})
        self.batches = Batches(entries, larger, faces=faces)

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, step: int) -> Bytes:
        data = self.batches.config.data
        if data.patterns_at(step):
            batch = self.batches.patterns(
                np.random.default_rng((self.batches.config.train.seed, step)), 2 * data.crop_px
            )
        else:
            batch = self.batches[step]
        pictures = (batch.high, batch.low, batch.style)
        return *((x.permute(0, 2, 3, 1) * 255).round().byte() for x in pictures), batch.faces


class Store:
    """The newest of what was loaded, on the device."""

    def __init__(self, room: int, device: torch.device):
        self.room, self.device, self.loaded = room, device, 0
        self.held: list[Tensor] = []

    def add(self, loaded: Bytes) -> None:
        """In the place of the oldest."""
        lot = len(loaded[0])
        if not self.held:
            self.room -= self.room % lot
            self.held = [torch.zeros(self.room, *x.shape[1:], dtype=x.dtype, device=self.device) for x in loaded]
        at = self.loaded % self.room
        for held, new in zip(self.held, loaded, strict=True):
            if len(new):  # patterns bring no styles
                held[at : at + lot].copy_(new, non_blocking=True)
        self.loaded += lot

    @property
    def there(self) -> int:
        """How many are there to draw from."""
        return min(self.loaded, self.room)

    def choose(self, count: int, crop: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Which pictures, where from the top and the left (low pixels) `crop` pixels are cut, and whether mirrored."""
        top, left = torch.randint(self.held[1].shape[1] - crop // 4 + 1, (2, count), device=self.device)
        which = torch.randint(self.there, (count,), device=self.device)
        return which, top, left, torch.rand(count, device=self.device) < 0.5

    def cut(self, which: Tensor, top: Tensor, left: Tensor, mirrored: Tensor, crop: int) -> tuple[Tensor, Tensor]:
        """High and low crops of what was chosen."""
        high = _cut(self.held[0], which, 4 * top, 4 * left, crop, mirrored)
        return high, _cut(self.held[1], which, top, left, crop // 4, mirrored)


class Pool:
    """Pictures, and patterns where the recipe asks for batches of them."""

    def __init__(self, config: Config, room: int, device: torch.device):
        self.data, self.blends, self.device = config.data, config.loss.blends, device
        self.pictures, self.patterns = Store(room, device), Store(room // 8, device)

    def add(self, loaded: Bytes) -> None:
        """To those of their kind."""
        (self.pictures if len(loaded[2]) else self.patterns).add(loaded)

    def draw(self, step: int) -> Batch:
        """A batch of the recipe's."""
        if self.data.patterns_at(step):
            return self._patterns()
        data, count, store = self.data, self.data.pictures, self.pictures
        which, top, left, mirrored = store.choose(count, data.crop_px)
        high, low = store.cut(which, top, left, mirrored, data.crop_px)
        _, _, paintings, faces = store.held
        styles = torch.randint(store.there, (data.repaint,), device=self.device)
        zero = torch.zeros_like(styles)
        style = _cut(paintings, styles, zero, zero, STYLE_PX, torch.rand(len(styles), device=self.device) < 0.5)
        row = torch.arange(count, device=self.device)
        below = torch.rand(count, device=self.device) ** data.fidelity_power
        fidelity = torch.where(row < data.restore, 1.0, below)
        draws = torch.rand(2, count, device=self.device)
        strength = torch.where(draws[0] < self.blends, draws[1], 1.0) * (row >= count - data.repaint)
        faces = self._placed(faces[which], 4 * top, 4 * left, mirrored)
        return Batch(high, low, style, strength, fidelity, faces)

    def _patterns(self) -> Batch:
        data, device = self.data, self.device
        crop = 4 * int(torch.randint(data.crop_px // 8, data.crop_px // 2 + 1, ()))
        count = data.patterns_of(crop)
        high, low = self.patterns.cut(*self.patterns.choose(count, crop), crop)
        draws = torch.rand(2, count, device=device)
        fidelity = torch.where(draws[0] < 0.5, 1.0, draws[1])
        style, strength = torch.zeros(0, 3, STYLE_PX, STYLE_PX, device=device), torch.zeros(count, device=device)
        return Batch(high, low, style, strength, fidelity, torch.zeros(count, 2, 3, device=device), drawn=True)

    def _placed(self, faces: Tensor, top: Tensor, left: Tensor, mirrored: Tensor) -> Tensor:
        """Where the faces lie in the crops; zeros where they are cut off. faces: (B, 2, 3)."""
        crop = self.data.crop_px
        side, offset = crop + MARGIN_PX, torch.stack([left, top], 1)
        placed = faces * (side / crop)
        placed[:, :, 2] += (side - 2 * offset) / crop - 1
        placed[:, 0] *= 1 - 2 * mirrored.float()[:, None]
        reach = placed[:, :, :2].abs().sum(2) * FACE + placed[:, :, 2].abs()
        return placed * ((reach < OUTSIDE).all(1) & faces.any(2).any(1)).view(-1, 1, 1)


def _cut(held: Tensor, which: Tensor, top: Tensor, left: Tensor, side: int, mirrored: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 to (B, 3, side, side) float32 in [0, 1], channels last."""
    steps = torch.arange(side, device=held.device)
    across = torch.where(mirrored[:, None], left[:, None] + steps.flip(0), left[:, None] + steps)
    pixels = held[which[:, None, None], (top[:, None] + steps)[:, :, None], across[:, None]]
    return pixels.permute(0, 3, 1, 2).float() / 255


def batches(
    entries: Sequence[Entry],
    config: Config,
    *,
    room: int,
    device: torch.device,
    faces: Path | None = None,
    first_step: int = 0,
    rank: int = 0,
) -> Iterator[Batch]:
    """As `dataset.batches`, out of a pool of `room` pictures, from when an eighth of it is filled.

    Raises ConfigError where the recipe wants other low pictures below fidelity 1: a pool's are shown at any.
    """
    if config.data.sharp_bicubic_share is not None:
        raise ConfigError("data.sharp_bicubic_share: a pool shows its low pictures at any fidelity; leave it out")
    workers = config.data.workers
    loader: DataLoader[Bytes] = DataLoader(
        Loaded(entries, config, faces), batch_size=None, num_workers=workers, pin_memory=device.type == "cuda"
    )
    waiting: Queue[Bytes | Exception] = Queue(8)
    stop = Event()
    feeder = Thread(target=_feed, args=(iter(loader), waiting, stop), daemon=True)  # the workers fork here, not in it
    feeder.start()
    try:
        yield from _drawn(config, room, device, waiting, first_step)
    finally:  # a thread that computes while Python ends takes it down
        stop.set()
        feeder.join()


def _drawn(
    config: Config, room: int, device: torch.device, waiting: "Queue[Bytes | Exception]", first_step: int
) -> Iterator[Batch]:
    pool = Pool(config, room, device)
    enough = 0 if config.data.patterns_every == 1 else room // 8  # then there are no others
    while pool.pictures.loaded < enough or (config.data.patterns_every and not pool.patterns.loaded):
        pool.add(_whole(waiting.get()))
    for step in range(first_step, config.train.steps):
        with suppress(Empty):
            pool.add(_whole(waiting.get_nowait()))
        if step % 500 == 0:
            log.info("step %d: %d pictures loaded so far", step, pool.pictures.loaded)
        yield pool.draw(step)


def _feed(loader: Iterator[Bytes], waiting: "Queue[Bytes | Exception]", stop: Event) -> None:
    try:
        for loaded in loader:
            _put(loaded, waiting, stop)
            if stop.is_set():
                return
    except Exception as error:  # noqa: BLE001 (nobody sees what a thread raises: the run ends with it)
        _put(error, waiting, stop)


def _put(found: Bytes | Exception, waiting: "Queue[Bytes | Exception]", stop: Event) -> None:
    """Wait for a place, or for the end."""
    while not stop.is_set():
        with suppress(Full):
            waiting.put(found, timeout=0.1)
            return


def _whole(found: Bytes | Exception) -> Bytes:
    if isinstance(found, Exception):
        raise found
    return found
