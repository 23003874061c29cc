"""The discriminator: do these patches come from the same picture as those reference patches?

One network and one question for both tasks, after the patch co-occurrence discriminator of the Swapping Autoencoder
(Park et al., NeurIPS 2020). When restoring, the reference patches are the true picture's; when repainting, the style's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from upbrush.config import GameConfig

SLOPE = 0.2  # of the leaky rectifier


class Hand(NamedTuple):
    """Patches of one size: (N, J, 3, P, P) to judge and (N, K, 3, P, P) to compare them with, in [0, 1]."""

    judged: Tensor
    reference: Tensor


class Discriminator(nn.Module):
    """A patch encoder shared by judged and reference patches, and a head that compares each with the references' mean.

    Patches of the second size are cut twice as wide and reduced to the first, so that the one encoder sees texture in
    the first and strokes in the second; the head is told which.
    """

    def __init__(self, config: GameConfig):
        super().__init__()
        widths = config.channels
        self.stem = nn.Conv2d(3, widths[0], 3, 1, 1)
        self.stages = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in zip(widths[:-1], widths[1:], strict=True))
        side = config.patch_px >> (len(widths) - 1)
        self.embed = nn.Linear(widths[-1] * side * side, config.embedding)
        self.inner = nn.Linear(2 * config.embedding + 1, config.embedding)
        self.outer = nn.Linear(config.embedding, 1)
        if config.spectral:
            for module in [m for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)]:
                spectral_norm(module)

    def forward(self, hands: Sequence[Hand]) -> list[Tensor]:
        """Judge hands of one size each, texture first. Returns a logit for each judged patch, (N, J) float32 a hand."""
        patches = [x.flatten(0, 1) for hand in hands for x in hand]
        embedded = torch.split(self._embedded(torch.cat(patches)), [len(x) for x in patches])
        logits = []
        for place, hand in enumerate(hands):
            judged = embedded[2 * place].view(*hand.judged.shape[:2], -1)
            reference = embedded[2 * place + 1].view(*hand.reference.shape[:2], -1).mean(1, keepdim=True)
            size = judged.new_full((*judged.shape[:2], 1), float(place))
            seen = torch.cat([judged, reference.expand_as(judged), size], 2)
            logits.append(self.outer(F.leaky_relu(self.inner(seen), SLOPE)).squeeze(2).float())
        return logits

    def _embedded(self, patches: Tensor) -> Tensor:
        x = F.leaky_relu(self.stem(patches.contiguous(memory_format=torch.channels_last) * 2 - 1), SLOPE)
        for stage in self.stages:
            x = F.leaky_relu(stage(x), SLOPE)
        return F.leaky_relu(self.embed(x.flatten(1)), SLOPE)
