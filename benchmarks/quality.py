"""How good are the shipped pictures, by the reference measurements that the rivals were measured with?

    python benchmarks/quality.py --data DATA --measure measure.py [--model DIR] [--only faces,Set5] [--out FOLDER]

Paints every set through the public Painter, then has measure.py (the reference script that stands with the data) judge
the files. The rivals' numbers are printed beside ours; theirs were made by the same script on the same sets.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import record
from PIL import Image

from upbrush import Painter
from upbrush.engine import open_engine
from upbrush.styles import resolve

KINDS = ("faces", "photos", "art")
TESTS = ("Set5", "Set14", "B100")
RIVALS = {  # PSNR-Y; VGG distance; identity, from the data's own README
    "faces": "bicubic 29.94 .258 .877 | RFDN 32.46 .167 .938 | Real-ESRGAN general 27.96 .252 .829",
    "photos": "bicubic 27.91 .364 | RFDN 29.77 .248 | Real-ESRGAN general 26.87 .334",
    "art": "bicubic 27.30 .398 | RFDN 29.10 .290 | Real-ESRGAN general 26.53 .390",
    "faces-real": "bicubic 27.72 .471 .678 | RFDN 27.53 .497 .652 | Real-ESRGAN general 26.74 .352 .708",
    "photos-real": "bicubic 26.38 .618 | RFDN 26.11 .630 | Real-ESRGAN general 25.46 .455",
    "art-real": "bicubic 25.68 .639 | RFDN 25.57 .641 | Real-ESRGAN general 25.24 .520",
    "Set5": "bicubic 28.43 | RFDN 32.16 | IMDN 32.21 | FSRCNN 30.71",
    "Set14": "bicubic 26.09 | RFDN 28.65 | IMDN 28.59 | FSRCNN 27.6",
    "B100": "bicubic 25.96 | RFDN 27.61 | IMDN 27.56 | FSRCNN 26.98",
    "repaint": "style, content, identity, grid: cascade .037 .531 .600 23.7 | reversed .185 .777 .192 2.6",
}


def main() -> None:
    """Paint, measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with val/ and test/")
    parser.add_argument("--measure", type=Path, required=True, help="the reference script")
    parser.add_argument("--model", type=Path, help="folder of an exported model; the shipped one if left out")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--fidelity", type=float, default=0.5, help="of the sets with real degradations")
    parser.add_argument("--only", default=",".join([*KINDS, *(f"{k}-real" for k in KINDS), *TESTS, "repaint"]))
    parser.add_argument("--out", type=Path, help="keep the painted pictures here")
    arguments = parser.parse_args()
    facts = record.circumstances(arguments.threads or os.cpu_count() or 1)
    painter = Painter(open_engine(arguments.engine, arguments.model, arguments.threads))
    result = {"circumstances": facts, "model": painter.engine.identity, "engine": arguments.engine, "sets": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.only.split(","):
            out = (arguments.out or Path(scratch)) / name
            out.mkdir(parents=True, exist_ok=True)
            began = time.perf_counter()
            command = paint_set(name, arguments, painter, out)
            found = json.loads(measured([sys.executable, str(arguments.measure), *map(str, command)]))
            result["sets"][name] = found | {"painting_seconds": round(time.perf_counter() - began, 1)}
            print(name, json.dumps(found), f"   rivals: {RIVALS[name]}", sep="  ", flush=True)
    print(record.write("quality", result))


def paint_set(name: str, arguments: argparse.Namespace, painter: Painter, out: Path) -> list[object]:
    """Paint one set into `out`; returns the words that measure.py takes for it."""
    if name == "repaint":
        return paint_pairs(arguments.data / "val", painter, out)
    kind, real = name.removesuffix("-real"), name.endswith("-real")
    if kind in TESTS:
        low, truth = arguments.data / "test" / kind / "low-bicubic", arguments.data / "test" / kind / "high"
    else:
        low = arguments.data / "val" / ("low-real" if real else "low-bicubic") / kind
        truth = arguments.data / "val" / kind
    for path in sorted(low.iterdir()):
        with Image.open(path) as image:
            painter.paint(image.convert("RGB"), fidelity=arguments.fidelity if real else 1.0).save(
                out / f"{path.stem}.png"
            )
    return ["restore", out, "--truth", truth, "--low", low, *(["--identity"] if kind == "faces" else [])]


def paint_pairs(val: Path, painter: Painter, out: Path) -> list[object]:
    """Paint the pairs of pairs.csv at strength 1, each style encoded once."""
    looks = {}
    with (val / "pairs.csv").open() as file:
        for row in csv.DictReader(file):
            if row["style"] not in looks:
                with Image.open(val / "art" / f"{row['style']}.png") as image:
                    looks[row["style"]] = resolve(np.asarray(image.convert("RGB")), painter.engine)
            with Image.open(val / "low-bicubic" / "faces" / f"{row['content']}.png") as image:
                high = painter.paint(image.convert("RGB"), looks[row["style"]])
            high.save(out / f"{row['content']}_{row['style']}.png")
    return [
        "repaint",
        out,
        "--pairs",
        val / "pairs.csv",
        "--content",
        val / "faces",
        "--style",
        val / "art",
        "--identity",
    ]


def measured(command: list[str]) -> str:
    """The last line that the reference script prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[1]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
