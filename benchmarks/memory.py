"""How much memory does a large picture take, does tiling show, and how long until a small file is written?

And what do the rivals' networks take in the same engine: the peak of a process that renders one picture.

    python benchmarks/memory.py [--low 2000x1500] [--memory 1GB] [--cold 5] [--sizes 128x128,480x270] [--no-rrdb]

Every measurement runs in a process of its own, through the command line or the public Painter. This process imports
neither numpy nor Pillow, because on Linux a child's peak begins at what its parent held.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

UPBRUSH = [sys.executable, "-m", "upbrush"]
TARGETS = {"peak_bytes": 1.5e9, "tiled_off_by": 1, "cold_seconds": 1.5}  # of the shipped model, two quiet cores

DRAW = """
import sys
import numpy as np
from PIL import Image
width, height = (int(side) for side in sys.argv[2].split("x"))
rng = np.random.default_rng(0)
cells = rng.integers(0, 256, (height // 25 + 2, width // 25 + 2, 3), np.uint8)  # smooth colours under fine noise
smooth = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
noisy = np.asarray(smooth, np.int16) + rng.integers(-12, 13, (height, width, 3), np.int16)
Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(sys.argv[1])
"""

COMPARE = """
import json, sys
import numpy as np
from PIL import Image
import upbrush
low = np.asarray(Image.open(sys.argv[1]))

def paint(memory, knobs):
    tiles = []
    high = upbrush.Painter(memory=memory).paint(low, **knobs, progress=lambda done, total: tiles.append(total))
    return high.astype(int), tiles[-1]

found = []
for knobs in ({}, {"style": sys.argv[2]}):
    whole, count = paint("8GB", knobs)
    assert count == 1, f"--medium is painted in {count} tiles, not whole; take a smaller picture"
    for memory in sys.argv[3:]:
        tiled, count = paint(memory, knobs)
        assert count > 1, f"{memory} is painted whole; take a larger picture"
        off = np.abs(tiled - whole)
        numbers = {"tiles": count, "off_by": int(off.max()), "share_off": float((off > 0).mean())}
        found.append({"task": "repaint" if knobs else "restore", "memory": memory, **numbers})
print(json.dumps(found))
"""

EXPORT = """
import sys
import record, rivals
names = rivals.NAMES[:2] if sys.argv[1] == "no-rrdb" else rivals.NAMES
for name, path in rivals.export(record.RESULTS / "rivals", names).items():
    print(name, path, sep="\t")
"""

RENDER = """
import sys
import numpy as np
import onnxruntime
path, size, threads = sys.argv[1], [int(side) for side in sys.argv[2].split("x")], int(sys.argv[3])
low = np.random.default_rng(0).random((1, 3, size[1], size[0]), dtype=np.float32)
if path:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, {"low": low})
else:
    import upbrush.views
    from upbrush.engine import open_engine
    engine = open_engine("onnxruntime", threads=threads)
    pixels = (low[0].transpose(1, 2, 0) * 255).round().astype(np.uint8)
    code = np.zeros(engine.code_size, np.float32)
    engine.render(low, engine.modulate(upbrush.views.thumbnail(pixels), code, 1.0, 0.5))
"""


def run(command: list[str]) -> tuple[float, int]:
    """Run a command to its end. Returns the seconds it took and its peak resident memory in bytes."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{said}")
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return time.perf_counter() - start, usage.ru_maxrss * unit


def draw(path: Path, size: str) -> Path:
    """Draw a picture of smooth colours and noise."""
    subprocess.run([sys.executable, "-c", DRAW, str(path), size], check=True)
    return path


def make_style(folder: Path) -> Path:
    """A style file of a drawn picture."""
    picture, style = draw(folder / "style.png", "300x300"), folder / "drawn.style"
    run([*UPBRUSH, "style", "make", str(picture), "-o", str(style)])
    return style


def large(folder: Path, style: Path, size: str, memory: str, threads: int) -> list[dict[str, Any]]:
    """Restore and repaint a large picture from file to file."""
    low = draw(folder / "large.png", size)
    results = []
    for task, words in (("restore", []), ("repaint", ["--style", str(style)])):
        high = folder / f"large-{task}.png"
        command = [*UPBRUSH, "paint", str(low), "-o", str(high), "--memory", memory, "--threads", str(threads), *words]
        seconds, peak = run(command)
        results.append({"task": task, "low": size, "memory": memory, "seconds": seconds, "peak_bytes": peak})
        high.unlink()
    return results


def tiled_against_whole(folder: Path, style: Path, size: str) -> list[dict[str, Any]]:
    """Paint a medium picture whole and in tiles of two sizes."""
    low = draw(folder / "medium.png", size)
    command = [sys.executable, "-c", COMPARE, str(low), str(style), "40MB", "120MB"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def cold_start(folder: Path, style: Path, times: int) -> list[dict[str, Any]]:
    """From typing the command to a written file, 128x128."""
    low = draw(folder / "small.png", "128x128")
    results = []
    for task, words in (("restore", []), ("repaint", ["--style", str(style)])):
        seconds, peaks = [], []
        for turn in range(times + 1):
            took, peak = run([*UPBRUSH, "paint", str(low), "-o", str(folder / f"small-{task}-{turn}.png"), *words])
            seconds.append(took)
            peaks.append(peak)
        results.append({"task": task, "seconds": record.spread(seconds[1:]), "peak_bytes": statistics.median(peaks)})
    return results


def networks(sizes: list[str], threads: int, no_rrdb: bool) -> list[dict[str, Any]]:
    """The peak of a process that renders one picture, for ours and each rival; Python and the runtime are in it."""
    command = [sys.executable, "-c", EXPORT, "no-rrdb" if no_rrdb else "all"]  # there, because it imports torch
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent)
    paths = {"upbrush": ""} | dict(line.split("\t") for line in done.stdout.splitlines() if "\t" in line)
    found = []
    for size in sizes:
        for name, path in paths.items():
            _, peak = run([sys.executable, "-c", RENDER, path, size, str(threads)])
            found.append({"network": name, "low": size, "engine": "onnxruntime", "peak_bytes": peak})
    return found


def verdict(value: float, target: str) -> str:
    """Whether a target is kept, in a word."""
    return "kept" if value <= TARGETS[target] else "MISSED"


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--low", default="2000x1500", help="size of the large picture")
    parser.add_argument("--medium", default="360x300", help="size of the picture painted whole and in tiles")
    parser.add_argument("--memory", default="1GB", help="the budget of the large picture")
    parser.add_argument("--cold", type=int, default=5, help="cold starts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", default="128x128,480x270", help="low sizes for the networks, WxH, comma between")
    parser.add_argument("--no-rrdb", action="store_true", help="leave the largest rival out")
    args = parser.parse_args()
    facts = record.circumstances(args.threads)
    record.introduce(facts)
    rivals = networks(args.sizes.split(","), args.threads, args.no_rrdb)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        style = make_style(folder)
        cold = cold_start(folder, style, args.cold)
        same = tiled_against_whole(folder, style, args.medium)
        peaks = large(folder, style, args.low, args.memory, args.threads)
    rows = [
        [f"cold start, {r['task']}, s", f"{r['seconds']['median']:.2f}", f"{TARGETS['cold_seconds']:.1f}"]
        + [verdict(r["seconds"]["median"], "cold_seconds")]
        for r in cold
    ]
    rows += [
        [f"{r['tiles']} tiles - whole, {r['task']}, of 255", str(r["off_by"])]
        + [f"{TARGETS['tiled_off_by']}", verdict(r["off_by"], "tiled_off_by")]
        for r in same
    ]
    for r in peaks:
        peak, target = r["peak_bytes"], TARGETS["peak_bytes"]
        rows.append([f"{r['low']} x4, {r['task']}, peak GB", f"{peak / 1e9:.2f}", f"{target / 1e9:.1f}"])
        rows[-1].append(verdict(peak, "peak_bytes"))
        rows.append([f"{r['low']} x4, {r['task']}, s", f"{r['seconds']:.1f}", "", ""])
    rows += [[f"{r['low']} x4, {r['network']}, peak GB", f"{r['peak_bytes'] / 1e9:.2f}", "", ""] for r in rivals]
    record.show(["", "measured", "target", ""], rows)
    result = {
        "circumstances": facts,
        "targets": TARGETS,
        "cold_start": cold,
        "tiled": same,
        "large": peaks,
        "networks": rivals,
    }
    print(f"\nwritten: {record.write('memory', result)}")


if __name__ == "__main__":
    main()
