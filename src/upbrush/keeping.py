"""What a run holds on to while it learns from few pictures: the weights that it began from, and other styles' mods."""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from upbrush import styles
from upbrush.config import TrainConfig
from upbrush.errors import ConfigError
from upbrush.nn.generator import Generator, thumbnails

CODES = 256  # drawn at random once, of styles that the run does not show
SHOWN = 32  # of them held at each step


class Keeping:
    """The weights and the Modulator of the beginning, as far as the settings ask for them."""

    def __init__(self, generator: Generator, config: TrainConfig, start: Path | None, device: torch.device):
        """generator: at its beginning. start: where it was read from, with random.npz, which says what styles are like.

        Raises ConfigError where there is nothing to hold on to, StyleError where there is no random.npz.
        """
        self.config = config
        self.weights: list[Tensor] = []
        self.modulator: nn.Module | None = None
        for name, told in (("anchor", config.anchor), ("keep", config.keep)):
            if told and start is None:
                raise ConfigError(f"train.{name} = {told:g} holds on to weights to start from; give --from")
        if config.anchor:
            self.weights = [p.detach().clone().to(device) for p in generator.parameters()]
        if config.keep and start is not None:
            self.modulator = copy.deepcopy(generator.modulator).requires_grad_(False).to(device)
            codes = np.stack([styles.random(seed, start.parent).code for seed in range(CODES)])
            self.codes = torch.from_numpy(codes).to(device)

    @torch.no_grad()
    def pull(self, generator: nn.Module, rate: float) -> None:
        """Towards the weights that the run began from: L2-SP (Li et al., ICML 2018), decoupled from the gradient."""
        for ours, theirs in zip(generator.parameters(), self.weights, strict=bool(self.weights)):
            ours.lerp_(theirs, min(1.0, self.config.anchor * rate))

    def error(self, generator: Generator, low: Tensor, step: int) -> Tensor:
        """How far the mods of styles at random have moved: squared, over the size of what repainting adds.

        After "Learning without Forgetting" (Li & Hoiem, ECCV 2016); no picture is painted for it. low: (B, 3, h, w).
        Returns a scalar.
        """
        assert self.modulator is not None
        rows = torch.arange(SHOWN, device=low.device)
        seen = thumbnails(low)[rows % len(low)]
        code = self.codes[(rows + step * SHOWN) % CODES]
        knobs = torch.ones(SHOWN, 1, device=low.device), ((rows + step) % 5 / 4)[:, None]
        with torch.autocast(low.device.type, enabled=False):
            now = generator.modulator(seen, code, *knobs)
            with torch.no_grad():
                then = self.modulator(seen, code, *knobs)
                added = then - self.modulator(seen, code, torch.zeros_like(knobs[0]), knobs[1])
        distance: Tensor = (now - then).square().mean() / added.square().mean()
        return distance
