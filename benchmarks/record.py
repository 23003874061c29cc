"""What every benchmark here does the same way: who ran it, how samples are summed up, where results go."""

import argparse
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upbrush.engine import Engine

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("upbrush", "numpy", "pillow", "onnxruntime", "openvino", "torch", "spandrel")
BUSY = 0.5  # load average beside our own threads from which a result is marked: the machine was not quiet


def spread(samples: Sequence[float]) -> dict[str, float]:
    """Median and interquartile range. samples: two or more, any unit; kept in it."""
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return {"median": middle, "iqr": high - low, "least": min(samples), "samples": len(samples)}


def processor() -> str:
    """The CPU's model, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def bfloat16() -> bool | None:
    """Whether the CPU computes in bfloat16 itself; None where the system does not say."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return None
    return "avx512_bf16" in flags or "amx_bf16" in flags


def commit() -> str:
    """The commit that was measured, with `+` where the tree had changes on it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        return "none"
    changes = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False)
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def version(package: str) -> str | None:
    """An installed package's version, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def circumstances(threads: int) -> dict[str, Any]:
    """Everything about this run that a number may depend on. Take it before the work: the load is the others'."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "bfloat16": bfloat16(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load_before": load,
        "quiet": None if load is None else load < BUSY,
        "versions": {package: version(package) for package in PACKAGES},
    }


def introduce(facts: dict[str, Any]) -> None:
    """Print the circumstances in two lines."""
    versions = " ".join(f"{name} {number}" for name, number in facts["versions"].items() if number)
    bf16 = ", bfloat16" if facts["bfloat16"] else ""
    print(f"{facts['processor']}{bf16}, {facts['threads']} of {facts['cores']} cores, commit {facts['commit']}")
    print(versions)
    if facts["quiet"] is False:
        print(f"NOT QUIET: load was {facts['load_before']:.1f} before it began; ratios hold better than milliseconds")


def opened(parser: argparse.ArgumentParser) -> "tuple[argparse.Namespace, dict[str, Any], Engine]":
    """Begin a benchmark of one model: --model and --threads are added, circumstances printed, the engine opened."""
    from upbrush.engine import open_engine  # here: what measures memory or starts reads this module, too

    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    told = parser.parse_args()
    facts = circumstances(told.threads)
    introduce(facts)
    return told, facts, open_engine(model_dir=told.model, threads=told.threads)


def write(name: str, result: dict[str, Any]) -> Path:
    """Keep a result as benchmarks/results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return path


def show(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: the first column to the left, the others to the right."""
    columns = list(zip(heads, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    for row in [heads, *rows]:
        first, *others = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        numbers = [cell.strip().rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first, *numbers]).rstrip())
