"""The game: what the discriminator is dealt, its losses and its step.

The generator's pictures and the true ones are cut into patches of two sizes, at places that no reference patch covers.
Deals are a pure function of (seed, step, rank), so a run that resumes plays the game that it would have played.
"""

from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from upbrush.config import GameConfig
from upbrush.dataset import Batch
from upbrush.nn.discriminator import Discriminator, Hand

Logits = list[Tensor]


class Deal(NamedTuple):
    """One step's patches: a hand for each size, true and painted ones side by side, and each picture's weight (N,)."""

    real: list[Tensor]
    fake: list[Tensor]
    reference: list[Tensor]
    weight: Tensor

    def hands(self, *kinds: list[Tensor]) -> list[Hand]:
        """Patches of these kinds together, against the references."""
        return [
            Hand(torch.cat(judged, 1), reference) for *judged, reference in zip(*kinds, self.reference, strict=True)
        ]


def relativistic(ours: Logits, theirs: Logits, weight: Tensor) -> Tensor:
    """Softplus of how much more real the others' patches look: the loss of the side that `ours` belongs to.

    After the relativistic pairing of Jolicoeur-Martineau (ICLR 2019) as in R3GAN (Huang et al., NeurIPS 2024). For the
    discriminator ours are the real patches, for the generator the painted ones. ours, theirs: (N, J) a size; weight:
    (N,). Returns a scalar.
    """
    return _mean([F.softplus(b - a) for a, b in zip(ours, theirs, strict=True)], weight)


def hinge(real: Logits, fake: Logits, weight: Tensor) -> Tensor:
    """The discriminator's hinge loss (Lim & Ye, 2017), the ablation of `relativistic`; the generator's is `-fake`.

    real, fake: (N, J) a size; weight: (N,). Returns a scalar.
    """
    return _mean([F.relu(1 - a) + F.relu(1 + b) for a, b in zip(real, fake, strict=True)], weight)


def gradient_penalty(logits: Logits, judged: list[Tensor], weight: Tensor) -> Tensor:
    """Squared length of the logits' gradient by the judged patches: R1 on real patches, R2 on painted ones.

    Mescheder et al., "Which Training Methods for GANs do actually Converge?" (ICML 2018). logits: (N, J) a size;
    judged: (N, J, 3, P, P) a size, in the logits' graph; weight: (N,). Returns a scalar; halves and gamma are the
    caller's.
    """
    gradients = torch.autograd.grad([x.sum() for x in logits], judged, create_graph=True)
    return _mean([g.square().sum((2, 3, 4)) for g in gradients], weight)


def _mean(values: Logits, weight: Tensor) -> Tensor:
    """Mean over patches of every size alike, over pictures by their weight; by 1 where all of them weigh less."""
    each = torch.cat(values, 1).mean(1)
    return (each * weight).sum() / weight.sum().clamp(min=1)


def deal(output: Tensor, batch: Batch, config: GameConfig, generator: torch.Generator) -> Deal:
    """Cut a batch's judged pictures, those below fidelity 1 and the repaints, into patches.

    output: (B, 3, H, W), the painted batch. Restored pictures are judged at the places where the true one is, too;
    their references are the true one's other places. A repaint's references and real patches are the style's.
    """
    count = len(batch.style)
    plain = len(output) - count
    sharp = torch.arange(plain, device=output.device)[batch.fidelity[:plain] < 1]
    rows = torch.cat([sharp, torch.arange(plain, len(output), device=output.device)])
    weight = torch.cat([F.relu(1 - batch.fidelity[sharp] / config.until), batch.strength[plain:]])
    dealt = Deal([], [], [], weight)
    for wide in (config.patch_px, 2 * config.patch_px):
        places = _places(output.shape[2], output.shape[3], wide, generator)
        styles = _places(batch.style.shape[2], batch.style.shape[3], wide, generator) if count else places
        number = min(config.patches, len(places) // 2, len(styles) // 2)
        judged, others = places[:number], places[number : 2 * number]
        real, reference = _cut(batch.high[sharp], judged, wide), _cut(batch.high[sharp], others, wide)
        if count:
            real = torch.cat([real, _cut(batch.style, styles[:number], wide)])
            reference = torch.cat([reference, _cut(batch.style, styles[number : 2 * number], wide)])
        patches = [real, _cut(output[rows], judged, wide), reference]
        for pile, cut in zip(dealt[:3], patches, strict=True):
            reduced = F.avg_pool2d(cut.flatten(0, 1), wide // config.patch_px)
            pile.append(reduced.view(*cut.shape[:3], config.patch_px, config.patch_px))
    return _augmented(dealt, len(sharp), generator) if config.augment else dealt


def _places(height: int, width: int, wide: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """Upper left corners of squares that do not overlap, in random order, on a grid at a random place."""
    rows, columns = height // wide, width // wide
    top, left = (
        int(torch.randint(extent - n * wide + 1, (), generator=generator))
        for extent, n in ((height, rows), (width, columns))
    )
    order = torch.randperm(rows * columns, generator=generator).tolist()
    return [(top + i // columns * wide, left + i % columns * wide) for i in order]


def _cut(pictures: Tensor, places: list[tuple[int, int]], wide: int) -> Tensor:
    """(N, 3, H, W) to (N, len(places), 3, wide, wide)."""
    return torch.stack([pictures[..., y : y + wide, x : x + wide] for y, x in places], 1)


def _augmented(dealt: Deal, restored: int, generator: torch.Generator) -> Deal:
    """DiffAugment (Zhao et al., NeurIPS 2020): translation and cutout everywhere, colour where pictures are restored.

    A picture's real, painted and reference patches get the same colour, or the question would be answered by it. What a
    repaint is asked for is the style's colour, so there it stays.
    """
    count = len(dealt.weight)
    brightness, saturation, contrast = torch.rand(3, count, 1, 1, 1, 1, generator=generator).to(dealt.weight.device)
    keep = torch.arange(count, device=dealt.weight.device).view(-1, 1, 1, 1, 1) >= restored

    def colour(x: Tensor) -> Tensor:
        y = x + (brightness - 0.5) * 0.5
        y = (y - y.mean(2, keepdim=True)) * (2 * saturation) + y.mean(2, keepdim=True)
        middle = y.mean((1, 2, 3, 4), keepdim=True)
        return torch.where(keep, x, (y - middle) * (0.5 + contrast) + middle)

    def moved(x: Tensor) -> Tensor:
        side = x.shape[-1]
        reach = side // 8
        dy, dx = (int(torch.randint(-reach, reach + 1, (), generator=generator)) for _ in range(2))
        x = F.pad(x, (reach,) * 4)
        x = x[..., reach + dy : reach + dy + side, reach + dx : reach + dx + side]
        top, left = (int(torch.randint(side, (), generator=generator)) for _ in range(2))
        hole = torch.ones(side, side, device=x.device)
        hole[max(0, top - side // 4) : top + side // 4, max(0, left - side // 4) : left + side // 4] = 0
        return x * hole

    real, fake, reference = ([moved(colour(x)) for x in pile] for pile in dealt[:3])
    return Deal(real, fake, reference, dealt.weight)


class Game:
    """The discriminator's side of a training run: its network, its optimiser, its step."""

    def __init__(self, config: GameConfig, fabric: Fabric, seed: int):
        self.config, self.fabric, self.seed = config, fabric, seed
        discriminator = Discriminator(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.Adam(discriminator.parameters(), config.lr, (0.0, 0.99), fused=True)
        # wrapped apart from the generator: in one wrapper, each would wait for the other's gradients
        self.discriminator, self.optimiser = fabric.setup(discriminator, optimiser)

    def deal(self, output: Tensor, batch: Batch, step: int) -> Deal:
        """Patches of one step."""
        number = (self.seed * 1_000_003 + step) * 1009 + self.fabric.global_rank
        return deal(output, batch, self.config, torch.Generator().manual_seed(number))

    def generator_loss(self, dealt: Deal) -> Tensor:
        """How the painted patches fare; the discriminator learns nothing from it."""
        network: nn.Module = self.discriminator.module  # the wrapper would gather gradients that nobody wants
        network.requires_grad_(False)
        fake = network(dealt.hands(dealt.fake))
        if self.config.loss == "hinge":
            value = -_mean(fake, dealt.weight)
        else:
            with torch.no_grad():
                real = network(dealt.hands(dealt.real))
            value = relativistic(fake, real, dealt.weight)
        network.requires_grad_(True)
        return value

    def losses(self, dealt: Deal, turn: int, autocast: torch.autocast) -> tuple[Tensor, dict[str, float]]:
        """The discriminator's loss, with R1 and R2 every `penalty_every` turns, and its terms by name."""
        penalised = self.config.penalty > 0 and turn % self.config.penalty_every == 0
        real, fake = ([x.detach().requires_grad_(penalised) for x in pile] for pile in (dealt.real, dealt.fake))
        if penalised:  # the gradient of a gradient, in bfloat16, is noise
            logits = self.discriminator(dealt.hands(real, fake))
        else:
            with autocast:
                logits = self.discriminator(dealt.hands(real, fake))
        ours, theirs = ([x.chunk(2, 1)[place] for x in logits] for place in range(2))
        judge = hinge if self.config.loss == "hinge" else relativistic
        loss = judge(ours, theirs, dealt.weight)
        terms = {"discriminator": float(loss.detach())}
        if dealt.weight.any():  # as the losses are weighed: what is out of the game is not won
            won = _mean([(a > b).float() for a, b in zip(ours, theirs, strict=True)], dealt.weight)
            terms["accuracy"] = float(won)
        if penalised:
            r1, r2 = (gradient_penalty(x, y, dealt.weight) for x, y in ((ours, real), (theirs, fake)))
            terms |= {"r1": float(r1.detach()), "r2": float(r2.detach())}
            loss = loss + 0.5 * self.config.penalty * self.config.penalty_every * (r1 + r2)
        return loss, terms

    def state(self) -> dict[str, Any]:
        """What a run needs to go on."""
        return {"discriminator": self.discriminator.module.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to such a state."""
        self.discriminator.module.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(state["optimiser"])
