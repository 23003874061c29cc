"""What the fidelity knob trades: error against the look, at several places of it, on damaged pictures.

    python benchmarks/fidelity.py --val val/ -o fidelity/ [--model MODEL] [--features VGG19] [--faces FOLDER]

val/ holds low-real/{faces,photos,art} and their truths. Each kind is restored at every fidelity and measured as
`upbrush evaluate` does; fidelity/KIND/report.html has the plane of distortion and perception (Blau & Michaeli, CVPR
2018). The law: along the knob PSNR rises and the texture distance does not fall, so that every place of it is worth
having. Ends with 1 where that does not hold. Beside them the VGG distance, which compares place by place and so is no
perception in their sense; the grain, which texture distance takes for detail; and the weave (`losses.weave_error`),
which no measure of pictures shows: fine detail that lies in some directions only, of which two pictures of the same
kind have about 0.1.
"""

import argparse
import os
import sys
from itertools import pairwise
from pathlib import Path
from statistics import mean as average

import numpy as np
import torch

from upbrush import Painter, picture
from upbrush.engine import open_engine
from upbrush.losses import weave_error
from upbrush.measure import evaluate, instruments

KINDS = ("faces", "photos", "art")
STOPS = (0.0, 0.25, 0.5, 0.75, 1.0)


def restore(painter: Painter, lows: Path, out: Path, fidelity: float) -> None:
    """Restore a folder's pictures at one fidelity; what is there stays."""
    for low in sorted(lows.glob("*.png")):
        target = out / low.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            picture.write(painter.paint(picture.read(low), fidelity=fidelity), target)


def tensor(of: picture.Picture) -> torch.Tensor:
    """A picture as losses take it: (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(of.pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]


def weave(painted: Path, truths: Path) -> float:
    """Mean over a folder's pictures of what they have of a weave beyond their truths."""
    pairs = ((tensor(picture.read(path)), tensor(picture.read(truths / path.name))) for path in painted.glob("*.png"))
    return average(float(weave_error(output, truth)) for output, truth in pairs)


def measure(kind: str, val: Path, out: Path, settings: instruments.Settings) -> list[dict[str, float]]:
    """A report on one kind; returns the means, a stop each."""
    outputs = {f"fidelity {stop:g}": out / "painted" / f"{stop:g}" / kind for stop in STOPS}
    job = evaluate.Job(outputs, val / kind, low=val / "low-real" / kind, title=f"{kind}, along the fidelity knob")
    measurer = evaluate.Measurer(settings, instruments.open_all(settings))
    (out / kind).mkdir(parents=True, exist_ok=True)
    cases = job.cases()
    rows = list(evaluate.run(cases, measurer, out / kind, begun=lambda name: print(f"\r{kind} {name}", end="\x1b[K")))
    summary = evaluate.finish(job, cases, rows, measurer, out / kind)
    return [
        {key: mean.value for key, mean in summary.means[name].items()} | {"weave": weave(painted, val / kind)}
        for name, painted in outputs.items()
    ]


def main() -> None:
    """Restore, measure, print the curve of each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", "-o", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    for name in ("features", "faces"):
        parser.add_argument(f"--{name}", type=Path, default=os.environ.get(f"UPBRUSH_{name.upper()}"))
    told = parser.parse_args()
    if told.features is None:
        parser.error("the law is about what VGG19 sees: name it with --features or UPBRUSH_FEATURES")
    painter = Painter(open_engine(model_dir=told.model))
    settings = instruments.Settings(features=told.features, faces=told.faces)
    bends = []
    for kind in KINDS:
        for stop in STOPS:
            restore(painter, told.val / "low-real" / kind, told.out / "painted" / f"{stop:g}" / kind, stop)
        means = measure(kind, told.val, told.out, settings)
        print(f"\r{kind:8} fidelity  PSNR-Y  VGG distance  texture  weave  grain  identity\x1b[K")
        for stop, mean in zip(STOPS, means, strict=True):
            identity = f"{mean['identity']:9.3f}" if "identity" in mean else ""
            seen = f"{mean['vgg']:13.3f} {mean['texture']:8.3f} {mean['weave']:6.3f} {mean['grain']:6.3f}"
            print(f"{'':8} {stop:8.2f} {mean['psnr_y']:7.2f} {seen} {identity}")
        for (low, a), (high, b) in pairwise(zip(STOPS, means, strict=True)):
            if b["psnr_y"] <= a["psnr_y"] or b["texture"] < a["texture"]:
                bends.append(f"{kind}: not monotone between fidelity {low:g} and {high:g}")
    print("\n".join(bends) or "monotone everywhere")
    sys.exit(bool(bends))


if __name__ == "__main__":
    main()
