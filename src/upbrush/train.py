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
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from PIL import Image
from torch import Tensor, nn

from upbrush import weights
from upbrush.config import Config, check, differences
from upbrush.dataset import Batch, Entry, batches, scan
from upbrush.errors import ConfigError, WeightsError
from upbrush.game import Deal, Game
from upbrush.keeping import Keeping
from upbrush.losses import diversity, objective
from upbrush.muon import Muon
from upbrush.nn import embedding
from upbrush.nn import features as vgg
from upbrush.nn.generator import Generator
from upbrush.precision import in_bf16

SNAPSHOT_STEPS = 50  # between copies of the last good state
MOST_ROLLBACKS = 5  # in a row, before a run gives up
ALARM_REPORTS = 10  # in a row with a sign of collapse, before it is one
CUT = 0.7  # of the learning rates, at each rollback: what broke at one rate may hold at a lower one
log = logging.getLogger(__name__)


def run(
    config: Config,
    data: Sequence[Path | str],
    out: Path,
    *,
    features: Path | None = None,
    faces: Path | None = None,
    start: Path | None = None,
    minutes: float | None = None,
    devices: int | None = None,
    nodes: int = 1,
) -> Path:
    """Train, or go on training where `out` holds the state of an unfinished run with the same settings.

    data: folders of pictures, tar shards, patterns and addresses of shards (`dataset.scan`). features: VGG19 as
    safetensors, None to download. faces: a folder of face networks (`measure.faces`), for loss.identity. start: weights
    to begin from. minutes: wall-clock budget of this call; the run can be resumed after it. devices: GPUs, or processes
    where there is no GPU, of each machine; None takes all GPUs, or one process. nodes: machines, each of which runs
    this same command by torchrun. Returns the weights' path.

    Raises ConfigError, DataError, WeightsError; KeyboardInterrupt after the state has been saved.
    """
    several = (devices or max(1, torch.cuda.device_count())) * nodes > 1  # without devices, Fabric takes all GPUs
    fabric = Fabric(devices=devices or "auto", num_nodes=nodes, strategy=_together() if several else "auto")
    fabric.launch()
    fabric.seed_everything(config.train.seed, verbose=False)
    likeness = embedding.load(faces) if faces and config.loss.identity else None
    if config.loss.identity and likeness is None:
        raise ConfigError(
            "loss.identity compares faces; give the folder of face networks with --faces, or --set loss.identity=0"
        )
    entries = scan(data)
    judge = vgg.load(features) if config.data.sharp + config.data.repaint else None
    note = {"data": ", ".join(_told(str(source)) for source in data)}
    trainer = Trainer(config, out, fabric, judge, likeness, start, note)
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    trainer.fit(entries, deadline, faces if likeness else None)
    return out / "weights.safetensors"


class Trainer:
    """What changes while a run goes on: the networks, the optimiser, the step."""

    def __init__(
        self,
        config: Config,
        out: Path,
        fabric: Fabric,
        judge: vgg.Features | None,
        likeness: embedding.FaceEmbedding | None,
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
        self.keeping = Keeping(generator, config, start, fabric.device)
        generator.freeze(config.train.frozen)
        generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = copy.deepcopy(generator).requires_grad_(False).eval().to(fabric.device)
        optimiser = _optimiser(generator, config)
        self.generator, self.optimiser = fabric.setup(generator, optimiser)
        self.game = Game(config.game, fabric, config.train.seed) if config.game.weight else None
        self.judge = None if judge is None else judge.to(fabric.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.likeness = None if likeness is None else likeness.to(fabric.device)
        self.halved = in_bf16(config.train.precision, fabric.device)
        if config.train.compile:  # in place: the keys of the weights stay what they are
            generator.renderer.compile(dynamic=False)
            if self.judge:
                self.judge.compile_unheard()
        self.step, self.seconds = 0, 0.0
        self.rollbacks = 0  # in a row
        self.broken: dict[str, int] = {}  # how often each loss was not finite, over the whole run
        self.lost: dict[str, int] = {}  # reports in a row with a sign of collapse
        self.alarms: list[str] = []
        self.good: dict[str, Any] = {}
        if (out / "state.pt").exists():
            self._resume()
        out.mkdir(parents=True, exist_ok=True)
        if fabric.is_global_zero:
            (out / "config.json").write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def fit(self, entries: Sequence[Entry], deadline: float | None, faces: Path | None = None) -> None:
        """Run the steps that are left, or until the deadline. faces: as for `dataset.batches`."""
        config, began, saved = self.config.train, time.monotonic(), time.monotonic()
        before = self.seconds
        writer = _tensorboard(self.out) if self.fabric.is_global_zero else None
        means: dict[str, list[float]] = {}
        shown: tuple[Batch, Tensor] | None = None  # the last mixed batch: of a plain one there is little to see
        stream = batches(entries, self.config, first_step=self.step, rank=self.fabric.global_rank, faces=faces)
        self._snapshot()
        idle = time.monotonic()
        try:
            for batch in stream:
                means.setdefault("wait", []).append(time.monotonic() - idle)  # seconds; long: the loader is slow
                batch = batch.to(self.fabric.device)
                terms, output = self._train_step(batch)
                self.seconds = before + time.monotonic() - began
                for name, value in terms.items():
                    means.setdefault(name, []).append(value)
                if shown is None or not batch.plain:
                    shown = batch, output
                if self.step % config.log_every_steps == 0:
                    if len(shown[0].style) > 1:
                        means["diversity"] = [self._diversity(shown[0])]
                    self._report({name: sum(values) / len(values) for name, values in means.items()}, writer)
                    means = {}
                if self.fabric.is_global_zero and self.step % config.sample_every_steps == 0:
                    _sheet(self.out / "samples" / f"{self.step:07d}.png", *shown)
                if time.monotonic() - saved > 60 * config.save_every_minutes:
                    self.save()
                    saved = time.monotonic()
                if self._agreed(deadline is not None and time.monotonic() > deadline):
                    break
                idle = time.monotonic()
        finally:  # also on Ctrl-C: nothing that was learnt is lost
            self.save()
            self._summarise()
            if writer:
                writer.close()

    def _train_step(self, batch: Batch) -> tuple[dict[str, float], Tensor]:
        """One step of both sides, or a rollback where a loss or a gradient is not finite."""
        config = self.config.train
        game, turn = None if batch.plain else self.game, self.step // (1 + self.config.data.plain_batches)
        rate = learning_rate(self.config, self.step) * CUT ** sum(self.broken.values())
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        # not Fabric's "bf16-mixed": that rounds the inputs too, and a low picture in bfloat16 has lost its last bits
        autocast = torch.autocast(self.fabric.device.type, torch.bfloat16, enabled=self.halved)
        # patterns come in many sizes, and each would be compiled anew
        with autocast, torch.compiler.set_stance("force_eager") if batch.drawn else nullcontext():
            output = self.generator(batch.low, batch.style, batch.strength, batch.fidelity)
            loss, terms = objective(output, batch, self.judge, self.config.loss, self.likeness, compiled=config.compile)
            if config.keep and not batch.drawn:  # what resonates in patterns is not to be kept
                terms["keep"] = self.keeping.error(self.generator.module, batch.low, self.step)
                loss = loss + config.keep * terms["keep"]
            if game is not None:
                dealt = game.deal(output, batch, self.step)
                terms["game"] = game.generator_loss(dealt)
                rise = min(1.0, self.step / max(1, self.config.game.warmup_steps))
                loss = loss + self.config.game.weight * rise * terms["game"]
        told = torch.stack([*terms.values(), loss]).tolist()  # all at once: the device is waited for once
        values = dict(zip([*terms, "loss"], told, strict=True))
        self.optimiser.zero_grad(set_to_none=True)
        # on every process or on none: a gradient is a sum over all of them
        if not self._agreed(not all(math.isfinite(value) for value in values.values())):
            values["gradient"] = self._backward(loss, self.generator, self.optimiser, config.clip_norm)
            if game is not None:
                values |= self._discriminate(game, dealt, rate / config.lr, autocast, turn)
        self.step += 1
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if self._agreed(bool(broken)):
            self._roll_back(broken)
            return {}, output.detach()
        if self.step % SNAPSHOT_STEPS == 0:  # before it: with these weights losses were finite, with the next who knows
            self._snapshot()
        self.optimiser.step()
        self.keeping.pull(self.generator, rate)
        if game is not None:
            game.optimiser.step()
        self._update_ema()
        return values, output.detach()

    def _discriminate(
        self, game: Game, dealt: Deal, rate: float, autocast: torch.autocast, turn: int
    ) -> dict[str, float]:
        """The discriminator's gradients, at the same pictures; its step is taken when all is known to be finite."""
        for group in game.optimiser.param_groups:
            group["lr"] = game.config.lr * rate
        game.optimiser.zero_grad(set_to_none=True)
        loss, values = game.losses(dealt, turn, autocast)
        if self._agreed(not math.isfinite(float(loss.detach()))):
            return values | {"discriminator": math.nan}
        norm = self._backward(loss, game.discriminator, game.optimiser, game.config.clip_norm)
        return values | {"discriminator gradient": norm}

    def _backward(self, loss: Tensor, network: Any, optimiser: Any, most: float) -> float:
        self.fabric.backward(loss)
        return float(self.fabric.clip_gradients(network, optimiser, max_norm=most, error_if_nonfinite=False))  # type: ignore[arg-type]

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
        live, mean = self.generator.module, self.ema
        torch._foreach_lerp_(list(mean.parameters()), list(live.parameters()), 1 - keep)

    def _snapshot(self) -> None:
        self.rollbacks = 0
        self.good = copy.deepcopy(self._networks())

    def _roll_back(self, broken: list[str]) -> None:
        self.rollbacks += 1
        names = ", ".join(broken) or "a loss on another process"
        self.broken[names] = self.broken.get(names, 0) + 1
        self._restore(self.good)  # also before giving up, when what is there is saved
        if self.rollbacks > MOST_ROLLBACKS:
            raise WeightsError(
                f"step {self.step}: {names} is not finite, {self.rollbacks} times in a row; "
                "lower train.lr or the weight of that loss, and start again from the last weights"
            )
        log.warning(
            "step %d: %s is not finite; back to the last good state, learning rates times %.2g", self.step, names, CUT
        )

    def _networks(self) -> dict[str, Any]:
        networks = {
            "generator": self.generator.module.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        return networks if self.game is None else networks | {"game": self.game.state()}

    def _restore(self, state: dict[str, Any]) -> None:
        self.generator.module.load_state_dict(state["generator"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(copy.deepcopy(state["optimiser"]))  # it keeps what it is given
        if self.game is not None:
            self.game.restore(copy.deepcopy(state["game"]))

    def _resume(self) -> None:
        state = weights.load_state(self.out / "state.pt")
        theirs = check(state["config"], str(self.out / "state.pt"))  # fills in what settings have come since
        if changed := differences(theirs.model_dump(mode="json"), self.config.model_dump(mode="json")):
            raise ConfigError(
                f"{self.out}: holds a run with other settings ({', '.join(changed)}); "
                "take another --out, with --from for its weights"
            )
        self._restore(state)
        self.step, self.seconds = state["step"], state["seconds"]
        self.broken, self.alarms = state.get("broken", {}), state.get("alarms", [])
        log.info("resumed %s at step %d", self.out, self.step)

    def save(self) -> None:
        """Write the state and the moving average's weights."""
        if not self.fabric.is_global_zero:
            return
        note = self.note | {"step": str(self.step), "seconds": f"{self.seconds:.0f}"}
        state = self._networks() | {"config": self.config.model_dump(mode="json")}
        counts = {"step": self.step, "seconds": self.seconds, "broken": self.broken, "alarms": self.alarms}
        weights.save_state(self.out / "state.pt", state | counts)
        weights.save(self.out / "weights.safetensors", self.ema, self.config, note)

    @torch.no_grad()
    def _diversity(self, batch: Batch) -> float:
        """How far the batch's last picture, painted in each of its styles, follows their colours: 0 is one look."""
        low = batch.low[-1:].expand(len(batch.style), -1, -1, -1)
        ones = torch.ones(len(batch.style), device=low.device)
        painted = self.ema(low, batch.style, ones, ones)  # not the compiled one: this is another number of pictures
        return float(diversity(painted) / diversity(batch.style).clamp(min=1e-3))

    def _watch(self, values: dict[str, float]) -> None:
        """Raise an alarm for a game that one side has won, once for each way of losing it."""
        found = {}  # a report between two mixed batches knows less, and is no sign of health
        if "accuracy" in values:
            found["the discriminator is always right; lower game.lr or raise game.penalty"] = values["accuracy"] > 0.995
        if "diversity" in values:
            found["pictures in different styles look alike; lower game.weight"] = values["diversity"] < 0.05
        for name, lost in found.items():
            self.lost[name] = self.lost.get(name, 0) + 1 if lost else 0
            if self.lost[name] == ALARM_REPORTS:
                self.alarms.append(f"step {self.step}: {name}")
                log.warning("step %d: the game may have collapsed: %s", self.step, name)

    def _summarise(self) -> None:
        """What happened in the run so far, in its last lines."""
        if not self.fabric.is_global_zero:
            return
        log.info("%d of %d steps in %.0f s", self.step, self.config.train.steps, self.seconds)
        for names, times in self.broken.items():
            log.info("not finite, and rolled back: %s, %d times", names, times)
        if self.broken:
            log.info("learning rates stand at %.3g of the recipe's", CUT ** sum(self.broken.values()))
        for alarm in self.alarms:
            log.info("alarm at %s", alarm)

    def _report(self, sums: dict[str, float], writer: Any) -> None:
        if self.fabric.world_size > 1:  # each process has seen its own pictures
            values = torch.tensor(list(sums.values()), device=self.fabric.device)
            gathered: Any = self.fabric.all_reduce(values, reduce_op="mean")
            sums = dict(zip(sums, gathered.tolist(), strict=True))
        self._watch(sums)
        if not self.fabric.is_global_zero:
            return
        rate = learning_rate(self.config, self.step) * CUT ** sum(self.broken.values())
        row = {"step": self.step, "seconds": round(self.seconds, 1), "lr": rate}
        row |= {name: round(value, 5) for name, value in sums.items()}
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in sums.items():
            writer.add_scalar(f"train/{name}", value, self.step)
        log.info(
            "step %d/%d  %s", self.step, self.config.train.steps, "  ".join(f"{k} {v:.4f}" for k, v in sums.items())
        )


def _told(source: str) -> str:
    """What the weights' header says of a source: its last name, and nothing that an address or a command may hold."""
    if source.startswith("pipe:"):
        return "a pipe"
    return Path(source.partition("?")[0]).name


def _optimiser(generator: Generator, config: Config) -> torch.optim.Optimizer:
    train = config.train
    learning = [parameter for parameter in generator.parameters() if parameter.requires_grad]
    if train.optimiser == "muon":
        return Muon(learning, train.lr, train.betas, weight_decay=train.weight_decay)
    return torch.optim.Adam(learning, train.lr, train.betas, fused=True)


def _together() -> DDPStrategy:
    return DDPStrategy(forward_sync_buffers=False)  # the generator's one buffer is a constant


def learning_rate(config: Config, step: int) -> float:
    """Warm-up, then a plateau, then half a cosine down to zero over the last share of the steps."""
    train = config.train
    rise = min(1.0, (step + 1) / max(1, train.warmup_steps))
    tail = train.decay_share * train.steps
    done = max(0.0, (step - (train.steps - tail)) / tail) if tail else 0.0
    return train.lr * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _tensorboard(out: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and only the first process needs it

    return SummaryWriter(str(out))


def _sheet(path: Path, batch: Batch, output: Tensor) -> None:
    """Rows of low (enlarged), output, truth and style, for the eye."""
    path.parent.mkdir(parents=True, exist_ok=True)
    low = nn.functional.interpolate(batch.low, scale_factor=4, mode="nearest")
    rows = [low, output, batch.high]
    if count := len(batch.style):
        style = torch.zeros_like(output)
        style[-count:] = nn.functional.interpolate(batch.style, size=output.shape[-2:], mode="area")
        rows.append(style)
    grid = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    pixels = (grid.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)
