"""What tuning to a family of pictures gains there, and what it forgets elsewhere.

    python runs/tuning.py --art train-art.tar --artist toshusai-sharaku --val val/ -o runs-out/tuning [--minutes 30]

An artist's pictures are taken out of a tar: every fifth is kept apart, the shipped weights are tuned to the others by
`upbrush train --from shipped`. Measured before and after: val/ restored and repainted, which should not fall by more
than 3 %, and val's faces repainted in the pictures that were kept apart. A run that was stopped goes on. --set changes
a setting of the tuning, as game.weight=8 (upbrush train --set); without it, what is measured is what people get.

--features and --faces (or UPBRUSH_FEATURES and UPBRUSH_FACES) name the networks that the losses and metrics need.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import ablations
import numpy as np
import torch

from upbrush.engine import MODEL_DIR
from upbrush.measure import catalogue

MOST_FORGOTTEN = 0.03
FACES = 4  # of val, each repainted in every picture that was kept apart


def take(art: Path, artist: str, folder: Path) -> None:
    """The artist's pictures as files: folder/tuned and folder/apart."""
    with tarfile.open(art) as shard:
        members = {member.name: member for member in shard}
        notes = [name for name in sorted(members) if name.endswith(".json")]
        chosen = [name for name in notes if json.load(shard.extractfile(members[name]))["artist"] == artist]
        if len(chosen) < 10:
            sys.exit(f"{art}: {len(chosen)} pictures by {artist!r}; expected ten or more")
        for number, name in enumerate(chosen):
            picture = members[name.replace(".json", ".webp")]
            target = folder / ("apart" if number % 5 == 4 else "tuned") / picture.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(shard.extractfile(picture).read())


def in_family(weights: Path, told: argparse.Namespace) -> dict[str, float]:
    """Faces of val repainted in the pictures kept apart."""
    styles = sorted((told.out / "apart").iterdir())
    pairs = [
        (low, style) for low in sorted((told.val / "low-bicubic" / "faces").glob("*.png"))[:FACES] for style in styles
    ]
    rows = [f"{low.stem},{style.stem}" for low, style in pairs]
    manifest = weights / "family.csv"
    manifest.write_text("\n".join(["content,style", *rows]) + "\n")
    ablations.repaint(weights, pairs, weights / "family")
    return ablations.means(
        weights, "family", ("style", "content", "identity"), told,
        truth=told.val / "faces", style=told.out / "apart", manifest=manifest,
    )  # fmt: skip


def main() -> None:
    """Tune, measure before and after, print every change; ends with 1 where something was forgotten."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--art", type=Path, required=True)
    parser.add_argument("--artist", default="toshusai-sharaku")
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", "-o", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--set", action="append", default=[], dest="changes", help="as game.weight=8, of tune.toml")
    for name in ("features", "faces"):
        parser.add_argument(f"--{name}", type=Path, default=os.environ.get(f"UPBRUSH_{name.upper()}"))
    told = parser.parse_args()
    before, after = told.out / "before", told.out / "after"
    if not (told.out / "tuned").exists():
        take(told.art, told.artist, told.out)
        before.mkdir()
        (before / "weights.safetensors").symlink_to(MODEL_DIR / "weights.safetensors")
    upbrush = [sys.executable, "-m", "upbrush", "train", "--from", "shipped", "--data", str(told.out / "tuned")]
    networks = [word for name in ("features", "faces") if (path := getattr(told, name)) for word in (f"--{name}", path)]
    upbrush += ["--out", str(after), "--minutes", str(told.minutes)]
    upbrush += [word for change in told.changes for word in ("--set", change)]
    subprocess.run([*upbrush, *map(str, networks)], check=True)
    found = []
    for folder in (before, after):
        ablations.paint(folder, told.val, told.pairs)
        found.append(ablations.measure(folder, told.val, told.pairs, told) | in_family(folder, told))
    forgotten = 0
    for name, first in found[0].items():
        last, better = found[1][name], catalogue.BY_KEY[name.split()[1]].better
        worse = (last - first) / first * (1 if better == "lower" else -1)
        lost = worse > MOST_FORGOTTEN and not name.startswith("family") and "grid" not in name
        forgotten += lost
        print(f"{name:24} {first:9.4f} {last:9.4f}  {-worse:+.1%}{'  forgotten' if lost else ''}")
    sys.exit(bool(forgotten))


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    np.seterr(all="raise")
    main()
