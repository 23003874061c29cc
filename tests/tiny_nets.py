"""A generator small enough for tests, with random weights large enough that every mod shows."""

import torch

from upbrush.config import Config, check
from upbrush.nn.generator import Generator

TINY = {
    "model": {
        "channels": 8,
        "pairs": 1,
        "up_channels": 4,
        "code_size": 16,
        "encoder_channels": [4, 8],
        "hidden": 8,
        "style_hidden": 8,
    },
    "data": {"crop_px": 32, "restore": 2, "sharp": 1, "repaint": 1, "workers": 0, "bicubic_share": 0.5},
    "train": {
        "steps": 6,
        "warmup_steps": 2,
        "log_every_steps": 2,
        "sample_every_steps": 4,
        "precision": "float32",
        "ema_halflife_steps": 4,
    },
}
TINY_GAME = {"weight": 1.0, "channels": [8, 16], "embedding": 16, "patch_px": 16, "patches": 4, "warmup_steps": 2}


def tiny_config(**changes) -> Config:
    """TINY with changes by table: tiny_config(data={"repaint": 0})."""
    tree = {table: {**TINY.get(table, {}), **changes.get(table, {})} for table in {*TINY, *changes}}
    return check(tree, "test")


def tiny_generator(seed: int = 0) -> Generator:
    """Random weights, none of them small: what is initialised near zero would hide what it does."""
    torch.manual_seed(seed)
    generator = Generator(tiny_config().model)
    with torch.no_grad():
        for parameter in generator.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=(2 / parameter[0].numel()) ** 0.5)
            else:
                parameter.normal_(std=0.1)
        for network in (generator.modulator.restore, generator.modulator.repaint):
            network[-1].weight.mul_(0.3)
    return generator.eval()
