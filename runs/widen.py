"""Weights of version 1.2, whose Modulator was one network, as the two networks of today: the same pictures.

    python runs/widen.py OLD.safetensors -o NEW.safetensors

What restores keeps its weights. What repainting adds is the old network with a style less the old one without, side by
side in layers twice as wide.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from upbrush import weights
from upbrush.config import check
from upbrush.nn.generator import Generator


def main() -> None:
    """Read, split, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("--out", "-o", type=Path, required=True)
    told = parser.parse_args()
    with safe_open(told.old, "pt") as file:
        header = file.metadata()
        old = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 (not a dict)
    tree = json.loads(header["config"])
    tree["model"]["style_hidden"] = 2 * tree["model"]["hidden"]
    config = check(tree, str(told.old))
    generator = Generator(config.model)
    state = generator.state_dict() | {key: value for key, value in old.items() if key in generator.state_dict()}
    generator.load_state_dict(state | split(old, config.model.code_size))
    origin = f"{header['identity']}, its Modulator split in two"
    weights.save(told.out, generator, config, weights.handed_down(header, origin))


def split(old: dict[str, Tensor], code_size: int) -> dict[str, Tensor]:
    """The two networks' weights. Inputs of the old one: what is seen, the code, fidelity, whether there is a style."""
    inner, outer, last = (old[f"modulator.{name}.weight"] for name in ("inner", "outer", "last"))
    biases = [old[f"modulator.{name}.bias"] for name in ("inner", "outer", "last")]
    seen, fidelity, is_style = inner[:, : -code_size - 2], inner[:, -2:-1], inner[:, -1]
    without = torch.cat([seen, torch.zeros(len(inner), code_size), fidelity], 1)
    restore = [torch.cat([seen, fidelity], 1), outer, last], biases
    repaint = (
        [torch.cat([inner[:, :-1], without]), torch.block_diag(outer, outer), torch.cat([last, -last], 1)],
        [torch.cat([biases[0] + is_style, biases[0]]), biases[1].repeat(2), torch.zeros_like(biases[2])],
    )
    found = {}
    for name, layers in (("restore", restore), ("repaint", repaint)):
        for place, weight, bias in zip((0, 2, 4), *layers, strict=True):  # between them are the rectifiers
            found |= {f"modulator.{name}.{place}.weight": weight, f"modulator.{name}.{place}.bias": bias}
    return found


if __name__ == "__main__":
    main()
