"""Give the whole fidelity knob to the part of it that restored pictures answer to.

    python runs/knob.py WEIGHTS.safetensors --lowest 0.25 -o KNOB.safetensors

What weights restored at --lowest they restore at 0 afterwards, 1 stays 1, and between lies a line. Nothing is learnt:
fidelity is one number of a linear layer's input, so a stretch of it is another weight and another bias. For weights
whose pictures below --lowest are none that a person would choose (docs/log.md, 53). Repaints are given what strength 1
adds as before, on pictures restored so.
"""

import argparse
from pathlib import Path

import torch

from upbrush import weights


def main() -> None:
    """Read weights, write weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--lowest", type=float, required=True, help="fidelity that is to be 0, in [0, 1)")
    parser.add_argument("--out", "-o", type=Path, required=True)
    told = parser.parse_args()
    if not 0 <= told.lowest < 1:
        parser.error(f"--lowest {told.lowest:g}: expected a fidelity in [0, 1)")
    generator, config, header = weights.load(told.weights)
    first = generator.modulator.restore[0]
    with torch.no_grad():
        first.bias += told.lowest * first.weight[:, -1]  # fidelity is the last of its inputs
        first.weight[:, -1] *= 1 - told.lowest
    origin = f"{header['identity']}, with its fidelity {told.lowest:g} as 0"
    weights.save(told.out, generator, config, weights.handed_down(header, origin))


if __name__ == "__main__":
    main()
