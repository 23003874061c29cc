"""What a run holds on to while it learns something else: the weights that it began from, and its repaints."""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from upbrush import styles
from upbrush.config import Config
from upbrush.errors import ConfigError
from upbrush.nn.generator import Generator, thumbnails

CODES = 256  # drawn at random once, of styles that the run does not show
SHOWN = 32  # of them held at each step
PAINTED = 2  # pictures held where mods do not tell: one restored, if that is not what the run learns, else repainted


class Keeping:
    """The weights of the beginning and what they repaint, as far as the settings ask for them."""

    def __init__(self, generator: Generator, settings: Config, start: Path | None, device: torch.device):
        """generator: at its beginning. start: where it was read from, with random.npz, which says what styles are like.

        Raises ConfigError where there is nothing to hold on to, StyleError where there is no random.npz.
        """
        self.config = config = settings.train
        self.sharp = settings.data.sharp > 0
        self.weights: list[Tensor] = []
        for name, told in (("anchor", config.anchor), ("keep", config.keep)):
            if told and start is None:
                raise ConfigError(f"train.{name} = {told:g} holds on to weights to start from; give --from")
        if config.anchor:
            self.weights = [p.detach().clone().to(device) for p in generator.parameters()]
        if config.keep and start is not None:
            self.before = copy.deepcopy(generator).requires_grad_(False).eval().to(device)
            codes = np.stack([styles.random(seed, start.parent).code for seed in range(CODES)])
            self.codes = torch.from_numpy(codes).to(device)

    @torch.no_grad()
    def pull(self, generator: nn.Module, rate: float) -> None:
        """Towards the weights that the run began from: L2-SP (Li et al., ICML 2018), decoupled from the gradient."""
        for ours, theirs in zip(generator.parameters(), self.weights, strict=bool(self.weights)):
            ours.lerp_(theirs, min(1.0, self.config.anchor * rate))

    def error(self, generator: Generator, low: Tensor, step: int) -> Tensor:
        """How far what the run does not learn has moved from the beginning: by mods where the Renderer is frozen.

        After "Learning without Forgetting" (Li & Hoiem, ECCV 2016). low: (B, 3, h, w). Returns a scalar.
        """
        if "renderer" in self.config.frozen:
            return self._of_mods(generator, low, step)
        return self._of_pictures(generator, low, step)

    def _of_mods(self, generator: Generator, low: Tensor, step: int) -> Tensor:
        """Of repaints in styles at random, unpainted: squared distance over the size of what repainting adds."""
        rows = torch.arange(SHOWN, device=low.device)
        code, fidelity = self.codes[(rows + step * SHOWN) % CODES], ((rows + step) % 5 / 4)[:, None]
        ones = torch.ones_like(fidelity)
        with torch.autocast(low.device.type, enabled=False):
            seen = thumbnails(low)[rows % len(low)]
            now = generator.modulator(seen, code, ones, fidelity)
            with torch.no_grad():
                then, restored = (
                    self.before.modulator(seen, code, strength, fidelity) for strength in (ones, 0 * ones)
                )
            distance: Tensor = (now - then).square().mean() / (then - restored).square().mean()
        return distance

    def _of_pictures(self, generator: Generator, low: Tensor, step: int) -> Tensor:
        """Of two pictures: absolute distance over their mean deviation.

        One is restored below fidelity 1 and one repainted; both are repainted where the run learns to restore there.
        """
        rows = torch.arange(PAINTED, device=low.device)
        low, code = low[(rows + step) % len(low)], self.codes[(rows + step * PAINTED) % CODES]
        if self.sharp:
            strength, fidelity = torch.ones_like(rows, dtype=torch.float32)[:, None], ((rows + step) % 5 / 4)[:, None]
        else:
            strength, fidelity = (rows % 2).float()[:, None], ((rows + step) % 4 / 4)[:, None]
        with torch.autocast(low.device.type, enabled=False):
            seen = thumbnails(low)
            now = generator.modulator(seen, code, strength, fidelity)
            with torch.no_grad():
                then = self.before.modulator(seen, code, strength, fidelity)
        with torch.no_grad():
            picture = self.before.renderer(low, then)
            size = (picture - picture.mean((2, 3), keepdim=True)).abs().mean()
        # forward: a compiled Renderer would be compiled for this number of pictures once more
        distance: Tensor = (generator.renderer.forward(low, now) - picture).abs().mean() / size
        return distance
