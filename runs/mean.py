"""The weighted mean of two weights of one run.

    python runs/mean.py FIRST.safetensors SECOND.safetensors --share 0.45 -o MEAN.safetensors

Parts of a run lie close enough together for it: see "Model soups" (Wortsman et al., ICML 2022) and docs/log.md, 26.
share is the second's. The settings in the header are the second's, with a line that tells of both.
"""

import argparse
from pathlib import Path

from upbrush import weights


def main() -> None:
    """Read two, write one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--share", type=float, required=True)
    parser.add_argument("--out", "-o", type=Path, required=True)
    told = parser.parse_args()
    (one, _, first), (other, config, second) = weights.load(told.first), weights.load(told.second)
    mixed = {key: value.lerp(other.state_dict()[key], told.share) for key, value in one.state_dict().items()}
    other.load_state_dict(mixed)
    origin = f"{1 - told.share:g} of {first['identity']} and {told.share:g} of {second['identity']}"
    note = {key: value for key, value in second.items() if key in ("data", "step", "seconds")} | {"from": origin}
    weights.save(told.out, other, config, note)


if __name__ == "__main__":
    main()
