"""Do loading, cutting and degrading give more pictures than a training step eats?

    python benchmarks/loader.py recipes/small.toml --data train-faces.tar ... [--run runs-out/a | --step 35]

What the step eats is told by a run that was made with the recipe (--run, its log: the fastest tenth of it, so that what
disturbed the run does not flatter the loader), or given in pictures a second (--step), or measured by training for some
steps (--features as for `upbrush train`). Loading is measured alone, with the data indexed and with the same data
streamed: in processor time, which holds on a machine that is not quiet, and by the clock with a worker on each core,
which does not.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import record
import torch

from upbrush.config import Config, load
from upbrush.dataset import Batch, Entry, batches, scan

TARGET = 3.0
WARM_UP = 4  # batches of each worker
STEPS = 60  # trained where nothing tells what a step eats


def drawn(entries: list[Entry], config: Config, workers: int, steps: int) -> Iterator[Batch]:
    """Batches after the first few, which pay for what is only paid once."""
    changes = {"data": {"workers": workers}, "train": {"steps": steps + WARM_UP * max(1, workers)}}
    found = batches(entries, config.model_validate(merged(config.model_dump(), changes)), first_step=0)
    for _ in range(WARM_UP * max(1, workers)):
        next(found)
    return found


def of_a_core(sources: dict[str, list[Entry]], config: Config, size: int, count: int) -> dict[str, dict[str, float]]:
    """Pictures a second of processor time, a batch of each source in turn."""
    streams = {name: drawn(entries, config, 0, count) for name, entries in sources.items()}
    rates: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(count):
        for name, found in streams.items():
            began = time.process_time()
            next(found)
            rates[name].append(size / (time.process_time() - began))
    return {name: record.spread(values) for name, values in rates.items()}


def of_the_machine(entries: list[Entry], config: Config, size: int, count: int) -> float:
    """Pictures a second by the clock, with a worker on each core."""
    cores = os.cpu_count() or 1
    found = drawn(entries, config, cores, cores * count)
    began = time.perf_counter()
    return size * sum(1 for _ in found) / (time.perf_counter() - began)


def merged(tree: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Settings with some of their values changed."""
    return tree | {table: tree[table] | values for table, values in changes.items()}


def eaten(rows: list[dict[str, Any]], size: int) -> dict[str, float]:
    """Pictures a second that a run took, from its log: the median, and the fastest tenth."""
    pairs = zip(rows, rows[1:], strict=False)
    rates = [size * (b["step"] - a["step"]) / (b["seconds"] - a["seconds"]) for a, b in pairs if b["step"] > a["step"]]
    tenth = statistics.quantiles(rates, n=10, method="inclusive")[-1]
    return {"median": statistics.median(rates), "fastest_tenth": tenth, "samples": len(rates)}


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def trained(config: Config, data: list[Path], features: Path | None) -> list[dict[str, Any]]:
    """The log of a short run."""
    from upbrush import train

    changes = {"train": {"steps": STEPS, "log_every_steps": 5, "sample_every_steps": 10**9}}
    with tempfile.TemporaryDirectory() as folder:
        train.run(config.model_validate(merged(config.model_dump(), changes)), data, Path(folder), features=features)
        return log_of(Path(folder))[2:]  # the first rows hold compiling and the loader's start


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="tars, or folders of tars or pictures")
    parser.add_argument("--batches", type=int, default=40, help="measured, on each core")
    parser.add_argument("--run", type=Path, help="a run's folder")
    parser.add_argument("--step", type=float, help="pictures a second that the step eats")
    parser.add_argument("--features", type=Path, default=os.environ.get("UPBRUSH_FEATURES"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    config, cores = load(args.recipe), os.cpu_count() or 1
    facts = record.circumstances(cores)
    record.introduce(facts)
    sources = {"indexed": scan(args.data)}
    if all(path.is_file() for path in args.data):
        sources["streamed"] = scan([f"file:{path.resolve()}" for path in args.data])
    size = config.data.pictures
    results: dict[str, Any] = {
        name: {"core": core, "machine_clock": of_the_machine(sources[name], config, size, args.batches)}
        for name, core in of_a_core(sources, config, size, args.batches).items()
    }
    if args.step:
        step = {"median": args.step, "fastest_tenth": args.step}
    else:
        torch.set_num_threads(cores)
        step = eaten(log_of(args.run)[2:] if args.run else trained(config, args.data, args.features), size)
    need = step["fastest_tenth"]
    print(f"\nthe step eats {need:.0f} pictures/s (median {step['median']:.0f})\n")
    rows = []
    for name, found in results.items():
        core = found["core"]
        found["ratio"] = core["median"] * cores / need
        found["ratio_clock"] = found["machine_clock"] / need
        numbers = [
            f"{core['median']:.0f}",
            f"{core['iqr']:.0f}",
            f"{core['median'] * cores:.0f}",
            f"{found['ratio']:.1f}",
        ]
        numbers += [f"{found['machine_clock']:.0f}", f"{found['ratio_clock']:.1f}"]
        rows.append([name, *numbers, "enough" if found["ratio"] >= TARGET else "TOO SLOW"])
    heads = ["pictures/s", "a core", "IQR", f"x {cores} cores", "/ step", "by the clock", "/ step", f"{TARGET:.0f} x?"]
    record.show(heads, rows)
    settings = {"recipe": args.recipe.name, "batches": args.batches, "pictures_a_batch": size}
    kept = {"circumstances": facts, "settings": settings, "step": step, "results": results}
    print(f"\nwritten: {record.write('loader', kept)}")


if __name__ == "__main__":
    main()
