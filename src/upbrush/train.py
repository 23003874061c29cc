"""The training loop: batches in, weights out.

One flat loop on Lightning Fabric: two CPU cores in bfloat16, one GPU, or several GPUs and machines by `fabric run`
with the same code. A run's folder holds config.json, log.jsonl, TensorBoard's events, samples/*.png, the weights of
the moving average and the state to go on from.
"""

import copy
import json
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from PIL import Image
from torch import Tensor, nn

from upbrush import weights
from upbrush.config import Config
from upbrush.dataset import Batch, Entry, batches, scan
from upbrush.errors import ConfigError, WeightsError
from upbrush.losses import objective
from upbrush.nn import features as vgg
from upbrush.nn.generator import Generator

SNAPSHOT_STEPS = 50  # between copies of the last good state
MOST_ROLLBACKS = 5  # in a row, before a run gives up
log = logging.getLogger(__name__)


def run(
    config: Config,
    data: Sequence[Path],
    out: Path,
    *,
    features: Path | None = None,
    start: Path | None = None,
    minutes: float | None = None,
    devices: int | None = None,
    nodes: int = 1,
) -> Path:
    """Train, or go on training where `out` holds the state of an unfinished run with the same settings.

    data: folders of pictures and tar shards. features: VGG19 as safetensors, None to download. start: weights to
    begin from. minutes: wall-clock budget of this call; the run can be resumed after it. devices: GPUs, or processes
    where there is no GPU, of each machine; None takes all GPUs, or one process. nodes: machines, each of which runs
    this same command by torchrun. Returns the weights' path.

    Raises ConfigError, DataError, WeightsError; KeyboardInterrupt after the state has been saved.
    """
    several = (devices or 1) * nodes > 1
    fabric = Fabric(devices=devices or "auto", num_nodes=nodes, strategy=_together() if several else "auto")
    fabric.launch()
    fabric.seed_everything(config.train.seed, verbose=False)
    entries = scan(data)
    judge = vgg.load(features) if config.data.sharp + config.data.repaint else None
    note = {"data": ", ".join(Path(path).name for path in data)}
    trainer = Trainer(config, out, fabric, judge, start, note)
    trainer.fit(entries, None if minutes is None else time.monotonic() + 60 * minutes)
    return out / "weights.safetensors"


class Trainer:
    """What changes while a run goes on: the networks, the optimiser, the step."""

    def __init__(
        self,
        config: Config,
        out: Path,
        fabric: Fabric,
        judge: vgg.Features | None,
        start: Path | None,
        note: dict[str, str],
    ):
        self.config, self.out, self.fabric = config, out, fabric
        generator = Generator(config.model)
        self.note = dict(note)  # what the weights' header tells beside the settings
        if start is not None:
            loaded, theirs, header = weights.load(start)
            self.note["from"] = f"{header['identity']} after {header.get('step', '?')} steps"
            if theirs.model != config.model:
                raise ConfigError(f"{start}: a model of other sizes than the recipe's; take its recipe, or none")
            generator.load_state_dict(loaded.state_dict())
        generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = copy.deepcopy(generator).requires_grad_(False).eval().to(fabric.device)
        optimiser = torch.optim.Adam(generator.parameters(), config.train.lr, config.train.betas, fused=True)
        self.generator, self.optimiser = fabric.setup(generator, optimiser)
        self.judge = None if judge is None else judge.to(fabric.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.inset_px = config.data.crop_px // 20 if config.loss.border else 0  # a fifth of the low crop, at each side
        self.step, self.seconds = 0, 0.0
        self.rollbacks = 0
        self.good: dict[str, Any] = {}
        if (out / "state.pt").exists():
            self._resume()
        out.mkdir(parents=True, exist_ok=True)
        if fabric.is_global_zero:
            (out / "config.json").write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def fit(self, entries: Sequence[Entry], deadline: float | None) -> None:
        """Run the steps that are left, or until the deadline."""
        config, began, saved = self.config.train, time.monotonic(), time.monotonic()
        before = self.seconds
        writer = _tensorboard(self.out) if self.fabric.is_global_zero else None
        sums: dict[str, float] = {}
        stream = batches(entries, self.config, first_step=self.step, rank=self.fabric.global_rank)
        self._snapshot()
        try:
            for batch in stream:
                batch = batch.to(self.fabric.device)
                terms, output = self._train_step(batch)
                self.seconds = before + time.monotonic() - began
                for name, value in terms.items():
                    sums[name] = sums.get(name, 0.0) + value / config.log_every_steps
                if self.step % config.log_every_steps == 0:
                    self._report(sums, writer)
                    sums = {}
                if self.fabric.is_global_zero and self.step % config.sample_every_steps == 0:
                    _sheet(self.out / "samples" / f"{self.step:07d}.png", batch, output)
                if time.monotonic() - saved > 60 * config.save_every_minutes:
                    self.save()
                    saved = time.monotonic()
                if self._agreed(deadline is not None and time.monotonic() > deadline):
                    break
        finally:  # also on Ctrl-C: nothing that was learnt is lost
            self.save()
            if writer:
                writer.close()

    def _train_step(self, batch: Batch) -> tuple[dict[str, float], Tensor]:
        """One step of the optimiser, or a rollback where a loss or the gradient is not finite."""
        config = self.config.train
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.config, self.step)
        # not Fabric's "bf16-mixed": that rounds the inputs too, and a low picture in bfloat16 has lost its last bits
        with torch.autocast(self.fabric.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            painted = self.generator(batch.low, batch.style, batch.strength, batch.fidelity, self.inset_px)
            loss, terms = objective(painted, batch, self.judge, self.config.loss)
        values = {name: float(value.detach()) for name, value in terms.items()} | {"loss": float(loss.detach())}
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        self.optimiser.zero_grad(set_to_none=True)
        if not self._agreed(bool(broken)):
            self.fabric.backward(loss)
            norm = self.fabric.clip_gradients(
                self.generator, self.optimiser, max_norm=config.clip_norm, error_if_nonfinite=False
            )
            values["gradient"] = float(norm)  # type: ignore[arg-type]
            broken = [] if math.isfinite(values["gradient"]) else ["gradient"]
        self.step += 1
        if self._agreed(bool(broken)):
            self._roll_back(broken)
            return {}, painted.high.detach()
        self.optimiser.step()
        self._update_ema()
        if self.step % SNAPSHOT_STEPS == 0:
            self._snapshot()
        return values, painted.high.detach()

    def _agreed(self, here: bool) -> bool:
        """Whether it is so on any process: all of them must stop, or roll back, at the same step."""
        if self.fabric.world_size == 1:
            return here
        flag = self.fabric.all_reduce(torch.tensor(float(here), device=self.fabric.device), reduce_op="sum")
        return bool(flag > 0)  # type: ignore[operator]

    @torch.no_grad()
    def _update_ema(self) -> None:
        keep = 0.5 ** (1 / self.config.train.ema_halflife_steps)
        keep = min(keep, self.step / (self.step + 10))  # at first, the average follows closely
        live = self.generator.module.state_dict()
        for name, value in self.ema.state_dict().items():
            value.lerp_(live[name], 1 - keep)

    def _snapshot(self) -> None:
        self.rollbacks = 0
        self.good = copy.deepcopy(self._networks())

    def _roll_back(self, broken: list[str]) -> None:
        self.rollbacks += 1
        names = ", ".join(broken) or "a loss on another process"
        if self.rollbacks > MOST_ROLLBACKS:
            raise WeightsError(
                f"step {self.step}: {names} is not finite, {self.rollbacks} times in a row; "
                "lower train.lr or the weight of that loss, and start again from the last weights"
            )
        log.warning("step %d: %s is not finite; back to the last good state", self.step, names)
        self._restore(self.good)

    def _networks(self) -> dict[str, Any]:
        return {
            "generator": self.generator.module.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.generator.module.load_state_dict(state["generator"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(copy.deepcopy(state["optimiser"]))  # it keeps what it is given

    def _resume(self) -> None:
        state = weights.load_state(self.out / "state.pt")
        if changed := _differences(state["config"], self.config.model_dump(mode="json")):
            raise ConfigError(
                f"{self.out}: holds a run with other settings ({', '.join(changed)}); "
                "take another --out, with --from for its weights"
            )
        self._restore(state)
        self.step, self.seconds = state["step"], state["seconds"]
        log.info("resumed %s at step %d", self.out, self.step)

    def save(self) -> None:
        """Write the state and the moving average's weights."""
        if not self.fabric.is_global_zero:
            return
        note = self.note | {"step": str(self.step), "seconds": f"{self.seconds:.0f}"}
        state = self._networks() | {"config": self.config.model_dump(mode="json")}
        weights.save_state(self.out / "state.pt", state | {"step": self.step, "seconds": self.seconds})
        weights.save(self.out / "weights.safetensors", self.ema, self.config, note)

    def _report(self, sums: dict[str, float], writer: Any) -> None:
        if not self.fabric.is_global_zero:
            return
        row = {"step": self.step, "seconds": round(self.seconds, 1), "lr": learning_rate(self.config, self.step)}
        row |= {name: round(value, 5) for name, value in sums.items()}
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in sums.items():
            writer.add_scalar(f"train/{name}", value, self.step)
        log.info(
            "step %d/%d  %s", self.step, self.config.train.steps, "  ".join(f"{k} {v:.4f}" for k, v in sums.items())
        )


def _together() -> DDPStrategy:
    """How several processes train one generator; its one buffer is a constant, and need not be sent around."""
    return DDPStrategy(forward_sync_buffers=False)


def learning_rate(config: Config, step: int) -> float:
    """Warm-up, then a plateau, then half a cosine down to zero over the last share of the steps."""
    train = config.train
    rise = min(1.0, (step + 1) / max(1, train.warmup_steps))
    tail = train.decay_share * train.steps
    done = max(0.0, (step - (train.steps - tail)) / tail) if tail else 0.0
    return train.lr * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            keys += _differences(a, b, f"{prefix}{key}.")
        elif a != b:
            keys.append(prefix + key)
    return keys


def _tensorboard(out: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and only the first process needs it

    return SummaryWriter(str(out))


def _sheet(path: Path, batch: Batch, output: Tensor) -> None:
    """Rows of low (enlarged), output, truth and style, for the eye."""
    path.parent.mkdir(parents=True, exist_ok=True)
    low = nn.functional.interpolate(batch.low, scale_factor=4, mode="nearest")
    side = output.shape[-1]
    rows = [low, output, batch.high]
    if count := len(batch.style):
        style = torch.zeros_like(output)
        style[-count:] = nn.functional.interpolate(batch.style, size=(side, side), mode="area")
        rows.append(style)
    grid = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    pixels = (grid.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)
