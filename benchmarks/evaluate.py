"""How long does `upbrush evaluate` take for 500 pairs of 256x256, and does it go on after a kill?

    python benchmarks/evaluate.py [--pairs 500] [--threads 2] --features VGG19 --faces FOLDER

The pairs are made by code from scikit-image's astronaut: turned, tinted and cut at random, so that every truth has a
face; outputs are the truths reduced four times and enlarged again. All metrics that need no download are measured:
with low pictures, with styles (25 drawn ones), with faces. The command is killed once on the way and started again.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import record
from PIL import Image, ImageEnhance

from upbrush import photographs

SIDE, STYLES, SEED = 256, 25, 0
TARGET_SECONDS = 300  # for 500 pairs on two quiet cores


def make(folder: Path, pairs: int) -> None:
    """Write truth/, low/, out/, style/ and pairs.csv."""
    rng = np.random.default_rng(SEED)
    portrait = Image.fromarray(photographs.photograph("astronaut", 384))
    for name in ("truth", "low", "out", "style"):
        (folder / name).mkdir()
    for number in range(STYLES):
        cells = Image.fromarray(rng.integers(0, 256, (rng.integers(4, 40),) * 2 + (3,), np.uint8))
        cells.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / "style" / f"{number}.png")
    lines = ["content,style"]
    for number in range(pairs):
        left, upper = rng.integers(0, 384 - SIDE, 2)
        turned = portrait.rotate(rng.uniform(-15, 15), Image.Resampling.BICUBIC, center=(192, 160))
        truth = turned.crop((left, upper, left + SIDE, upper + SIDE))
        truth = ImageEnhance.Color(ImageEnhance.Brightness(truth).enhance(rng.uniform(0.7, 1.2))).enhance(
            rng.uniform(0, 2)
        )
        low = truth.resize((SIDE // 4, SIDE // 4), Image.Resampling.BICUBIC)
        style = number % STYLES
        truth.save(folder / "truth" / f"{number:04}.png")
        low.save(folder / "low" / f"{number:04}.png")
        low.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / "out" / f"{number:04}_{style}.png")
        lines.append(f"{number:04},{style}")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Make the pairs, measure them with one kill on the way, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--features", default=os.environ.get("UPBRUSH_FEATURES"), help="VGG19 as safetensors")
    parser.add_argument("--faces", default=os.environ.get("UPBRUSH_FACES"), help="folder of the face networks")
    args = parser.parse_args()
    if not args.features or not args.faces:
        parser.error("all metrics need --features and --faces")
    facts = record.circumstances(args.threads)
    record.introduce(facts)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, args.pairs)
        command = [sys.executable, "-m", "upbrush", "evaluate", folder / "out", "--truth", folder / "truth"]
        command += ["--low", folder / "low", "--style", folder / "style", "--pairs", folder / "pairs.csv"]
        command += ["--features", args.features, "--faces", args.faces, "--threads", args.threads, "-q"]
        command = [str(word) for word in [*command, "-o", folder / "report"]]
        began = time.perf_counter()
        first = subprocess.Popen(command)
        rows = folder / "report" / "rows.jsonl"
        while first.poll() is None and (not rows.exists() or rows.read_bytes().count(b"\n") < args.pairs // 2):
            time.sleep(0.5)
        first.kill()
        first.wait()
        kept = rows.read_bytes().count(b"\n")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        report = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
        sizes = {path.name: path.stat().st_size for path in (folder / "report").iterdir()}
    cpu = used.ru_utime + used.ru_stime
    metrics = report["means"]["out"]
    rows_shown = [
        ["seconds in all", f"{seconds:.0f}", f"{TARGET_SECONDS * args.pairs / 500:.0f}"],
        ["CPU seconds, all threads", f"{cpu:.0f}", ""],
        ["CPU seconds a pair", f"{cpu / args.pairs:.2f}", ""],
        ["pairs kept at the kill", str(kept), ""],
        ["faces found", str(metrics["identity"]["n"]), ""],
        ["metrics", str(len(metrics)), ""],
        ["peak GB", f"{used.ru_maxrss * 1024 / 1e9:.2f}", ""],
        ["report.html, MB", f"{sizes['report.html'] / 1e6:.1f}", ""],
    ]
    record.show([f"{args.pairs} pairs", "measured", "target"], rows_shown)
    load_after = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    found = {
        "pairs": args.pairs,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "kept_at_kill": kept,
        "load_after": load_after,
    }
    print(f"\nwritten: {record.write('evaluate', {'circumstances': facts, 'found': found})}")


if __name__ == "__main__":
    main()
