"""The weighted mean of two weights of one run.

    python runs/mean.py FIRST.safetensors SECOND.safetensors --share 0.45 [--only modulator.repaint] -o MEAN.safetensors

Parts of a run lie close enough together for it: see "Model soups" (Wortsman et al., ICML 2022) and docs/log.md, 26.
share is the second's. With --only it is that of one part, and all else is the first's: two runs that learnt different
parts become one. The settings in the header are the second's, with a line that tells of both.
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
    parser.add_argument("--only", default="", help="a part such as modulator.repaint; all else is the first's")
    parser.add_argument("--out", "-o", type=Path, required=True)
    told = parser.parse_args()
    (one, _, first), (other, config, second) = weights.load(told.first), weights.load(told.second)
    mixed, second_state = one.state_dict(), other.state_dict()
    parts = [key for key in mixed if key.startswith(told.only)]
    if not parts:
        parser.error(f"no weights begin with {told.only}; take a part of {', '.join(dict(one.named_children()))}")
    mixed |= {key: mixed[key].lerp(second_state[key], told.share) for key in parts}
    other.load_state_dict(mixed)
    of_what = f" in {told.only}, and the first's elsewhere" if told.only else ""
    origin = f"{1 - told.share:g} of {first['identity']} and {told.share:g} of {second['identity']}{of_what}"
    weights.save(told.out, other, config, weights.handed_down(second, origin))


if __name__ == "__main__":
    main()
