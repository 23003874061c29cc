"""Weights of version 1.2, whose Modulator was one network, as the two networks of today: the same pictures.

    python runs/widen.py OLD.safetensors -o NEW.safetensors [--hidden 384]

What restores keeps its weights. What repainting adds is the old network with a style less the old one without, side by
side in layers twice as wide; hidden layers wider than both begin with random weights that nothing reads yet.
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
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--out", "-o", type=Path, required=True)
    told = parser.parse_args()
    with safe_open(told.old, "pt") as file:
        header = file.metadata()
        old = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 (not a dict)
    tree = json.loads(header["config"])
    tree["model"]["style_hidden"] = told.hidden
    config = check(tree, str(told.old))
    generator = Generator(config.model)
    state = generator.state_dict() | {key: value for key, value in old.items() if key in generator.state_dict()}
    state |= split(old, generator, config.model.code_size, config.model.hidden)
    generator.load_state_dict(state)
    note = {key: header[key] for key in ("data", "step", "seconds") if key in header}
    weights.save(told.out, generator, config, note | {"from": f"{header['identity']}, its Modulator split in two"})


def split(old: dict[str, Tensor], generator: Generator, code_size: int, width: int) -> dict[str, Tensor]:
    """The two networks' weights. Inputs of the old one: what is seen, the code, fidelity, whether there is a style."""
    inner, outer, last = (old[f"modulator.{name}.weight"] for name in ("inner", "outer", "last"))
    biases = [old[f"modulator.{name}.bias"] for name in ("inner", "outer", "last")]
    seen = inner.shape[1] - code_size - 2
    fidelity = inner[:, -2:-1]
    found = {
        "modulator.restore.0.weight": torch.cat([inner[:, :seen], fidelity], 1),
        "modulator.restore.0.bias": biases[0],
    }
    found |= {"modulator.restore.2.weight": outer, "modulator.restore.2.bias": biases[1]}
    found |= {"modulator.restore.4.weight": last, "modulator.restore.4.bias": biases[2]}
    repaint = {
        f"modulator.repaint.{key}": value.clone() for key, value in generator.modulator.repaint.state_dict().items()
    }
    with_style, without = slice(0, width), slice(width, 2 * width)
    first, second, third = (repaint[f"modulator.repaint.{place}.weight"] for place in (0, 2, 4))
    first[with_style] = inner[:, :-1]
    first[without] = torch.cat([inner[:, :seen], torch.zeros(width, code_size), fidelity], 1)
    repaint["modulator.repaint.0.bias"][: 2 * width] = torch.cat([biases[0] + inner[:, -1], biases[0]])
    second[: 2 * width] = 0
    second[with_style, with_style] = second[without, without] = outer
    repaint["modulator.repaint.2.bias"][: 2 * width] = biases[1].repeat(2)
    third.zero_()
    third[:, with_style], third[:, without] = last, -last
    repaint["modulator.repaint.4.bias"].zero_()
    return found | repaint


if __name__ == "__main__":
    main()
