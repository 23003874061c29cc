"""Short equal training runs that differ in one thing each; docs/log.md, 21 and 28, tells what came of them.

    python runs/ablations.py --from WEIGHTS --data train-faces.tar --data ... --val val/ -o runs-out/ablations

Every variant of the first group begins from the same weights, sees the same batches and plays for the same number of
steps of a small recipe; those of the second begin from nothing. Then each restores val/low-real at fidelity 0.5 and
repaints the first pairs of val/pairs.csv. What is done already is kept: run it again to go on.

--features and --faces (or UPBRUSH_FEATURES and UPBRUSH_FACES) name the networks that the losses and metrics need.
"""

import argparse
import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from torch.nn import functional as F

from upbrush import config, game, losses, train, views, weights
from upbrush.config import GameConfig
from upbrush.measure import evaluate, instruments, pairing
from upbrush.nn import generator as networks
from upbrush.nn.discriminator import Discriminator, Hand

SMALL = [
    *("data.crop_px=128", "data.restore=2", "data.sharp=3", "data.repaint=3", "train.compile=false"),
    *("train.lr=5e-4", "train.warmup_steps=20", "train.decay_share=0.6", "train.ema_halflife_steps=30"),
    *("game.warmup_steps=50", "train.save_every_minutes=2"),
    # the recipe as it was when the first of them ran
    *("data.drawn=0", "loss.texture=0", "loss.content=2.4", "loss.structure=35"),
    *("data.bicubic_share=0.3", "loss.ghost=0", "loss.weave=0", "loss.pixel_share=1", "loss.perceptual=100"),
    *("loss.style=50", "loss.range=1", "data.plain_batches=0", "data.detail_tries=1"),
    "data.mix={face = 0.45, photo = 0.35, art = 0.2}",
]
PLAIN = ["data.sharp=0", "data.repaint=0", "data.restore=6", "train.lr=2e-3", "train.ema_halflife_steps=50"]
STYLES = ["data.sharp=0", "data.restore=2", "data.repaint=4", "game.weight=0", "train.lr=1e-3"]
GAMES = {
    "relativistic": [],
    "no game": ["game.weight=0"],
    "hinge": ['game.loss="hinge"'],
    "spectral norm": ["game.spectral=true"],
    "two heads": [],
    "artefact map": [],
    "texture": ["loss.texture=4.0"],
}
BEGINNINGS = {
    "stage at x2: 16 channels": [*PLAIN, "model.up_channels=16"],
    "stage at x2: 32 channels": PLAIN,
    "stage at x2: 48 channels": [*PLAIN, "model.up_channels=48"],
    "large: 4.6 M parameters": [*PLAIN, "model.channels=160", "model.pairs=9", "model.up_channels=64"],
    "style view: 256": STYLES,
    "style view: 128": STYLES,
}


class TwoHeads(Discriminator):
    """The ablation of one question for both tasks: what follows the embedding is learnt apart for each of them."""

    restored = 0  # rows of the deal that are restored pictures; they come first

    def __init__(self, settings: GameConfig):
        super().__init__(settings)
        self.inner_2 = nn.Linear(self.inner.in_features, self.inner.out_features)
        self.outer_2 = nn.Linear(self.outer.in_features, 1)

    def forward(self, hands: list[Hand]) -> list[Tensor]:
        """As Discriminator's."""
        both = []
        for inner, outer in ((self.inner, self.outer), (self.inner_2, self.outer_2)):
            with mock.patch.multiple(self, inner=inner, outer=outer):
                both.append(super().forward(hands))
        rows = torch.arange(len(hands[0].judged))[:, None]
        return [torch.where(rows < TwoHeads.restored, a, b) for a, b in zip(*both, strict=True)]


def two_heads() -> list[Any]:
    """Patches that put TwoHeads into the game, and tell it which rows are restored."""
    plain = game.deal

    def deal(output: Tensor, batch: Any, *rest: Any) -> game.Deal:
        dealt = plain(output, batch, *rest)
        TwoHeads.restored = len(dealt.weight) - len(batch.style)
        return dealt

    return [mock.patch.object(game, "Discriminator", TwoHeads), mock.patch.object(game, "deal", deal)]


def artefact_map() -> list[Any]:
    """Patches that add LDL's loss (Liang et al., "Details or Artifacts", CVPR 2022) on the sharp pictures.

    The absolute error is weighted by the local variance of the residual, times the whole residual's variance to the
    power of 1/5, where the moving average's picture is nearer to the truth than the generator's.
    """
    trainers: list[train.Trainer] = []
    plain_init, plain_objective = train.Trainer.__init__, losses.objective

    def init(self: train.Trainer, *rest: Any) -> None:
        plain_init(self, *rest)
        trainers.append(self)

    def objective(output: Any, batch: Any, features: Any, settings: Any, *rest: Any) -> Any:
        loss, terms = plain_objective(output, batch, features, settings, *rest)
        plain = len(batch.low) - len(batch.style)
        sharp = (batch.fidelity[:plain] < 1).nonzero()[:, 0]
        ones = torch.zeros(len(sharp))
        with torch.no_grad():
            mean = trainers[-1].ema(batch.low[sharp], batch.style[:0], ones, batch.fidelity[sharp])
            truth, made = batch.high[sharp], output[sharp]
            residual, steady = (truth - made).abs().sum(1, True), (truth - mean).abs().sum(1, True)
            square = F.avg_pool2d(F.pad(residual, (3,) * 4, mode="reflect").square(), 7, 1)
            local = square - F.avg_pool2d(F.pad(residual, (3,) * 4, mode="reflect"), 7, 1).square()
            chart = local.clamp(min=0) * residual.var((1, 2, 3), keepdim=True) ** 0.2
            chart = torch.where(residual < steady, 0, chart)
        terms["artefacts"] = (chart * (made - truth).abs()).mean()
        return loss + 10 * settings.pixel * terms["artefacts"], terms

    return [mock.patch.object(train.Trainer, "__init__", init), mock.patch.object(train, "objective", objective)]


def small_view() -> list[Any]:
    """Patches that halve the StyleEncoder's working size; its palette keeps 32 cells a side."""
    from upbrush import crops, dataset

    return [mock.patch.object(module, "STYLE_PX", 128) for module in (views, crops, dataset, networks)]


PATCHES: dict[str, Callable[[], list[Any]]] = {
    "two heads": two_heads,
    "artefact map": artefact_map,
    "style view: 128": small_view,
}


def learn(name: str, changes: list[str], start: Path | None, told: argparse.Namespace, out: Path) -> None:
    """Train one variant, or go on with it."""
    steps = told.steps if start else told.beginnings
    settings = config.load(told.recipe, [*SMALL, *changes, f"train.steps={steps}"])
    torch.manual_seed(0)
    train.run(settings, told.data, out, features=told.features, start=start)


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array)).permute(2, 0, 1)[None].float() / 255


class Painter:
    """A run's averaged weights, painting files."""

    def __init__(self, out: Path):
        self.generator = weights.load(out / "weights.safetensors")[0]

    @torch.no_grad()
    def put(self, target: Path, low: Path, style: Path | None, fidelity: float) -> None:
        """Restore, or repaint at strength 1."""
        size = networks.STYLE_PX
        seen = torch.zeros(0, 3, size, size) if style is None else _tensor(views.style_view(_pixels(style)))
        knobs = (torch.tensor([value]) for value in (float(style is not None), fidelity))
        high = self.generator(_tensor(_pixels(low)), seen, *knobs)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((high[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()).save(target)


def repaint(out: Path, pairs: list[tuple[Path, Path]], folder: Path) -> None:
    """Repaint each low picture in its style."""
    painter = Painter(out)
    for low, style in pairs:
        painter.put(folder / f"{low.stem}_{style.stem}.png", low, style, 1.0)


def paint(out: Path, val: Path, pairs: int) -> None:
    """Restore val/low-real at fidelity 0.5, and low-bicubic at 1; repaint the first pairs."""
    painter = Painter(out)
    for kind in ("faces", "photos"):
        for low in sorted((val / "low-real" / kind).glob("*.png")):
            painter.put(out / "damaged" / kind / low.name, low, None, 0.5)
        for low in sorted((val / "low-bicubic" / kind).glob("*.png")):
            painter.put(out / "clean" / kind / low.name, low, None, 1.0)
    chosen = list(csv.DictReader((val / "pairs.csv").open()))[:pairs]
    lows, styles = val / "low-bicubic" / "faces", val / "art"
    repaint(out, [(lows / f"{p['content']}.png", styles / f"{p['style']}.png") for p in chosen], out / "repaint")


def means(out: Path, kind: str, keys: tuple[str, ...], told: argparse.Namespace, **given: Any) -> dict[str, float]:
    """Mean metrics of the outputs in out/kind, as `upbrush evaluate` takes them."""
    chosen = instruments.Settings(features=told.features, faces=told.faces)
    measurer = evaluate.Measurer(chosen, instruments.open_all(chosen))
    (out / "measured" / kind).mkdir(parents=True, exist_ok=True)
    rows = list(evaluate.run(pairing.pair({"x": out / kind}, **given), measurer, out / "measured" / kind))
    found = {}
    for key in keys:
        values = [row.values[key] for row in rows if row.values.get(key) is not None]
        found[f"{kind} {key}"] = round(float(np.mean(np.array(values, float))), 4)
    return found


def measure(out: Path, val: Path, pairs: int, told: argparse.Namespace) -> dict[str, float]:
    """The means that the log tells."""
    found: dict[str, float] = {}
    for kind in ("faces", "photos"):
        found |= means(out, f"damaged/{kind}", ("psnr_y", "vgg"), told, truth=val / kind)
        found |= means(out, f"clean/{kind}", ("psnr_y",), told, truth=val / kind)
    manifest = out / "pairs.csv"
    with (val / "pairs.csv").open() as file:
        manifest.write_text("".join([next(file), *[next(file) for _ in range(pairs)]]))
    keys = ("style", "content", "identity", "grid")
    return found | means(out, "repaint", keys, told, truth=val / "faces", style=val / "art", manifest=manifest)


def sheet(out: Path, names: list[str], val: Path) -> None:
    """What each variant makes of scikit-image's astronaut, restored and in three styles: out/sheet.jpg."""
    from skimage import data

    face = Image.fromarray(data.astronaut()).crop((120, 0, 328, 208))
    face.resize((52, 52), Image.Resampling.BICUBIC).save(out / "astronaut.png")
    styles = [None, *sorted((val / "art").glob("*.png"))[5:14:4]]
    page = Image.new("RGB", (208 * len(styles), 226 * len(names)), "white")
    for row, name in enumerate(names):
        painter = Painter(out / folder_name(name))
        ImageDraw.Draw(page).text((4, 226 * row + 2), name, "black", ImageFont.load_default(13))
        for column, style in enumerate(styles):
            painter.put(out / "cell.png", out / "astronaut.png", style, 0.5)
            page.paste(Image.open(out / "cell.png"), (208 * column, 226 * row + 18))
    page.save(out / "sheet.jpg", quality=88)


def folder_name(name: str) -> str:
    """Where a variant's files lie."""
    return name.replace(" ", "-").replace(":", "")


def main() -> None:
    """Train, paint and measure every variant; a row of JSON each in results.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="start", type=Path, required=True)
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", "-o", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/game.toml"))
    parser.add_argument("--steps", type=int, default=250, help="of variants that begin from weights")
    parser.add_argument("--beginnings", type=int, default=500, help="of those that begin from nothing")
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--only", action="append", help="one variant by its name; again for more")
    for name in ("features", "faces"):
        parser.add_argument(f"--{name}", type=Path, default=os.environ.get(f"UPBRUSH_{name.upper()}"))
    told = parser.parse_args()
    done = told.out / "results.jsonl"
    known = {json.loads(line)["name"] for line in done.read_text().splitlines()} if done.exists() else set()
    for group, start in ((GAMES, told.start), (BEGINNINGS, None)):
        for name, changes in group.items():
            if name in known or (told.only and name not in told.only):
                continue
            out = told.out / folder_name(name)
            patches = PATCHES.get(name, list)()
            for patch in patches:
                patch.start()
            learn(name, changes, start, told, out)
            paint(out, told.val, told.pairs)
            for patch in patches:
                patch.stop()
            with done.open("a") as file:
                file.write(json.dumps({"name": name, **measure(out, told.val, told.pairs, told)}) + "\n")
            print(done.read_text().splitlines()[-1], flush=True)
    names = [json.loads(line)["name"] for line in done.read_text().splitlines()]
    sheet(told.out, [name for name in GAMES if name in names], told.val)


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    main()
