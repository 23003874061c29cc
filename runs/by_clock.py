"""Train a recipe for so many seconds on whatever machine there is: the learning rate falls by the clock, not by steps.

    python runs/by_clock.py recipes/joint.toml --seconds 300 --data pack --features vgg19.safetensors -o run

For a machine that is lent by the minute, and of which nobody knows how many steps it takes in one. A run cannot be gone
on with. `upbrush train` tells of the other options, which are the same here.
"""

import argparse
import logging
import time
from functools import partial
from pathlib import Path

import pool
import torch

from upbrush import config, train


def main() -> None:
    """Train, with steps as many as there is time for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--from", type=Path, dest="start")
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--pool", type=int, help="pictures kept on the device and shown several times (pool.py)")
    parser.add_argument("--out", "-o", type=Path, required=True)
    told = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    settings = config.load(told.recipe, [*told.changes, "train.steps=1000000"])
    began, by_steps = time.monotonic(), train.learning_rate

    def rate(settings: config.Config, step: int) -> float:
        """Warm-up by steps, then a plateau, then half a cosine that ends with the time."""
        rise = min(1.0, (step + 1) / max(1, settings.train.warmup_steps))
        done = (time.monotonic() - began) / told.seconds
        return rise * by_steps(settings, round(done * settings.train.steps))

    train.learning_rate = rate
    if told.pool:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        train.batches = partial(pool.batches, room=told.pool, device=device)
    networks = {"features": told.features, "faces": told.faces}
    minutes = told.seconds / 60
    train.run(settings, told.data, told.out, **networks, start=told.start, minutes=minutes)


if __name__ == "__main__":
    main()
