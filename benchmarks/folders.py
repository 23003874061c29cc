"""How fast is `upbrush batch` on many small pictures, here and on two Ray nodes? Is anything lost when one dies?

    python benchmarks/folders.py [--pictures 2000] [--side 96] [--only here,killed,ray]
    python benchmarks/folders.py --plan docs/folders.md [--price 0.04]

Pictures are drawn by code. What is compared is what a user can call: the command line, and beside it the bare engine in
one process, which is the ceiling. `--plan` measures nothing: it reckons a million pictures and a film from the results.
"""

import argparse
import hashlib
import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import record
from PIL import Image

from upbrush import Painter, open_engine, picture
from upbrush.folders.easel import Materials
from upbrush.folders.run import Wanted, planned
from upbrush.folders.task import Asked

SEED = 0
PROGRAM = Path(sys.executable).with_name("upbrush")
KILLS = 4  # workers killed in one run
CEILING_SECONDS = 10.0
ROWS = 20_000  # of the manifest by which planning is timed
CORES_EACH, HOURS = 16, 10  # of the plan: a machine's cores, and how long it may take
FPS = 24
MARKS = ("<!-- made by benchmarks/folders.py -->", "<!-- end of what benchmarks/folders.py made -->")


def draw(folder: Path, count: int, side: int) -> None:
    """Pictures of about side x side, no two of one size or content: slopes, a disc and grain, as JPEG."""
    rng = np.random.default_rng(SEED)
    for number in range(count):
        height, width = side + rng.integers(-side // 8, side // 8 + 1, 2)
        rows, columns = np.mgrid[:height, :width] / side
        slopes = np.stack([rows, columns, 1 - (rows + columns) / 2], -1)
        disc = (rows - rng.random()) ** 2 + (columns - rng.random()) ** 2 < 0.05
        slopes[disc] = rng.random(3)
        pixels = (slopes + rng.normal(0, 0.03, slopes.shape)).clip(0, 1) * 255
        path = folder / f"{number // 100:04d}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.round().astype(np.uint8)).save(path, quality=92)


def batch(source: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    """The command line, running."""
    command = [PROGRAM, "batch", source, "-o", out, "--quiet", *words]
    return subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE, text=True)


def timed(source: Path, out: Path, *words: str) -> dict[str, Any]:
    """Run it into a fresh folder: seconds in all, and pictures a second between the first and the last that ended."""
    shutil.rmtree(out, ignore_errors=True)
    begun = time.perf_counter()
    process = batch(source, out, *words)
    _, told = process.communicate()
    if process.returncode:
        raise SystemExit(f"upbrush batch ended with {process.returncode}: {told}")
    return {"seconds": time.perf_counter() - begun, "pictures_a_second": steady_rate(out)}


def steady_rate(out: Path) -> float:
    """Of the ledger: without the start of the program and its processes, which a million pictures pay once."""
    with closing(sqlite3.connect(out / "upbrush-ledger.sqlite")) as base:
        rows = base.execute("SELECT finished FROM pictures WHERE status = 'done' ORDER BY 1").fetchall()
    ends = [datetime.fromisoformat(row[0]).timestamp() for row in rows]
    return (len(ends) - 1) / max(ends[-1] - ends[0], 1e-9)


def ceiling(source: Path, cores: int) -> float:
    """Pictures a second that as many single-threaded engines as there are cores paint, decoded and never encoded."""
    code = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[3]); import folders; "
        "print(folders.bare(Path(sys.argv[1]), float(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(source), str(CEILING_SECONDS), str(Path(__file__).parent)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(cores)]
    return sum(float(process.communicate()[0]) for process in running)


def bare(source: Path, seconds: float) -> float:
    """Pictures a second of one engine with one thread."""
    painter = Painter(open_engine(threads=1))
    lows = [picture.read(path) for path in sorted(source.rglob("*.jpg"))[:50]]
    painter.paint(lows[0])
    begun, number = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        painter.paint(lows[number % len(lows)])
        number += 1
    return number / (time.perf_counter() - begun)


def digest(out: Path) -> str:
    """One number for all results: names and bytes."""
    found = hashlib.sha256()
    for path in sorted(out.rglob("*.jpg")):
        found.update(str(path.relative_to(out)).encode() + path.read_bytes())
    return found.hexdigest()[:16]


def here(source: Path, work: Path, cores: int) -> dict[str, Any]:
    """This machine: each split, the one that is chosen by trial, and a second run that finds all done."""
    splits = {}
    count = cores
    while count:
        name = f"{count} x {max(1, cores // count)}"
        words = ("--processes", str(count), "--threads", str(max(1, cores // count)))
        splits[name] = timed(source, work / "split", *words)
        print(f"{name}: {splits[name]['pictures_a_second']:.1f} pictures a second", flush=True)
        count //= 2
    chosen = timed(source, work / "here")
    begun = time.perf_counter()
    assert batch(source, work / "here").wait() == 0
    again = time.perf_counter() - begun
    print(f"by trial: {chosen['seconds']:.0f} s; found all done in {again:.1f} s")
    low, high = (sum(path.stat().st_size for path in folder.rglob("*.jpg")) for folder in (source, work / "here"))
    found = {"splits": splits, "by_trial": chosen, "again_seconds": again, "low_bytes": low, "high_bytes": high}
    return found | {"rows_a_second": planning(source, work), "digest": digest(work / "here")}


def planning(source: Path, work: Path) -> float:
    """Rows of a manifest that are read, looked at and written into the ledger in a second."""
    one = next(source.rglob("*.jpg"))
    lines = ["input,output", *(f"{one},{number // 1000}/{number}.jpg" for number in range(ROWS))]
    (work / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    wanted = Wanted([str(work / "list.csv")], str(work / "planned"), Asked(), Materials(""))
    begun = time.perf_counter()
    with planned(wanted):
        return ROWS / (time.perf_counter() - begun)


def killed(source: Path, work: Path) -> dict[str, Any]:
    """Workers are killed while they paint: what is there at the end?"""
    out = work / "killed"
    process = batch(source, out, "--processes", "2", "--threads", "1")
    deaths, killed_before = 0, set()
    while process.poll() is None and deaths < KILLS:
        time.sleep(1.0)
        if (worker := last_worker(out)) and worker not in killed_before:
            killed_before.add(worker)
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
                deaths += 1
    _, told = process.communicate()
    return {"kills": deaths, "exit_code": process.returncode, "digest": digest(out), "told": told.splitlines()}


def last_worker(out: Path) -> int | None:
    """The process that ended a picture last, by the ledger."""
    ledger = out / "upbrush-ledger.sqlite"
    if not ledger.exists():
        return None
    with closing(sqlite3.connect(ledger)) as base, suppress(sqlite3.OperationalError):  # whose tables are being made
        row = base.execute("SELECT worker FROM pictures WHERE worker NOTNULL ORDER BY finished DESC").fetchone()
        return int(row[0].rpartition(":")[2]) if row else None
    return None


@contextmanager
def nodes(count: int) -> Iterator[Any]:
    """A Ray cluster of so many nodes on this machine, with one core each."""
    from ray.cluster_utils import Cluster

    room = {"num_cpus": 1, "object_store_memory": 200_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=room)
    try:
        for _ in range(count - 1):
            cluster.add_node(**room)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def on_ray(source: Path, work: Path) -> dict[str, Any]:
    """One node, two, and two of which one is killed in the middle."""
    found: dict[str, Any] = {}
    for count in (1, 2):
        with nodes(count) as cluster:
            out = work / f"ray{count}"
            found[f"nodes_{count}"] = timed(source, out, "--ray", cluster.address) | {"digest": digest(out)}
            print(
                f"{count} Ray nodes: {found[f'nodes_{count}']['pictures_a_second']:.1f} pictures a second", flush=True
            )
    with nodes(2) as cluster:
        found["one_killed"] = with_a_node_killed(source, work / "ray-killed", cluster)
    rates = [found[f"nodes_{count}"]["pictures_a_second"] for count in (1, 2)]
    return found | {"speed_up": rates[1] / rates[0]}


def with_a_node_killed(source: Path, out: Path, cluster: Any) -> dict[str, Any]:
    """The second node goes, without a word, when a quarter of the pictures is there."""
    total = len(list(source.rglob("*.jpg")))
    begun = time.perf_counter()
    process = batch(source, out, "--ray", cluster.address)
    there = 0
    while process.poll() is None and there < total / 4:
        time.sleep(0.5)
        there = len(list(out.rglob("*.jpg")))
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    _, told = process.communicate()
    seconds = time.perf_counter() - begun
    return {
        "killed_after": there, "seconds": seconds, "exit_code": process.returncode, "digest": digest(out),
        "told": told.splitlines(),
    }  # fmt: skip


def show(results: dict[str, Any], count: int) -> None:
    """Print what was found, losses too."""
    rows = []
    local = results.get("here", {})
    for name, found in local.get("splits", {}).items():
        share = found["pictures_a_second"] / results["ceiling"]
        rows.append([f"here, {name}", f"{found['pictures_a_second']:.1f}", f"{share:.0%}", f"{found['seconds']:.0f}"])
    ray = results.get("ray", {})
    for nodes_there in (1, 2):
        if found := ray.get(f"nodes_{nodes_there}"):
            rows.append(
                [f"Ray, {nodes_there} nodes", f"{found['pictures_a_second']:.1f}", "", f"{found['seconds']:.0f}"]
            )
    print(f"\n{count} pictures; bare engines on all cores: {results['ceiling']:.1f} a second")
    record.show(["", "pictures/s", "of the ceiling", "seconds in all"], rows)
    if ray:
        print(f"speed-up of the second node: {ray['speed_up']:.2f}")
    reference = local.get("digest") or ray.get("nodes_1", {}).get("digest")
    for name, found in {"workers killed": results.get("killed"), "a node killed": ray.get("one_killed")}.items():
        if found:
            verdict = "the same bytes" if found["digest"] == reference else "OTHER BYTES"
            print(f"{name}: exit code {found['exit_code']}, {verdict}")


def plan(page: Path | None, price: float) -> None:
    """Reckon a million pictures and a film of two hours, and put the tables into a page. price: of a core's hour."""
    path = record.RESULTS / "folders.json"
    if not path.exists():
        raise SystemExit(f"{path}: not there; run this script without --plan first")
    kept = json.loads(path.read_text(encoding="utf-8"))
    facts, local, side = kept["circumstances"], kept["here"], kept["settings"]["side"]
    count, ray = kept["settings"]["pictures"], kept.get("ray")
    best = max(found["pictures_a_second"] for found in local["splits"].values())
    rate = best * side * side / facts["cores"]  # low pixels a second of one core
    ways = ", ".join(f"{name} {found['pictures_a_second']:.1f}" for name, found in local["splits"].items())
    lines = [
        f"Measured on {facts['cores']} cores of an {facts['processor']}{'' if facts['quiet'] else ' (not quiet)'}, "
        f"{count} pictures of about {side}×{side}, ×4: {ways} pictures a second (processes × threads), beside "
        f"{kept['ceiling']:.1f} of bare engines on all cores, which write nothing. So one core paints "
        f"{rate / 1e3:,.0f} thousand low pixels a second, reading and writing included. Planning takes "
        f"{1e6 / local['rows_a_second'] / 60:.1f} minutes for a "
        "million rows.",
    ]
    if ray:
        same = ray["one_killed"]["digest"] == ray["nodes_1"]["digest"]
        lines.append(
            f"Two Ray nodes of one core each: {ray['nodes_2']['pictures_a_second']:.1f} pictures a second, "
            f"{ray['speed_up']:.2f} times one; with one of them killed, {'the same bytes' if same else 'OTHER BYTES'}."
        )
    lines += ["", f"| | low pixels | core hours | at {price:g} a core and hour | machines of {CORES_EACH} cores, "
              f"{HOURS} hours |", "|---|---|---|---|---|"]  # fmt: skip
    film = 2 * 3600 * FPS
    work = {
        "a million pictures of 256×256 → 1024×1024": 1e6 * 256 * 256,
        "a million pictures of 640×480 → 2560×1920": 1e6 * 640 * 480,
        f"two hours at {FPS} frames/s, 480×270 → 1920×1080": film * 480 * 270,
        f"two hours at {FPS} frames/s, 960×540 → 3840×2160": film * 960 * 540,
    }
    for name, pixels in work.items():
        hours = pixels / rate / 3600
        machines = max(1, math.ceil(hours / CORES_EACH / HOURS))
        lines.append(f"| {name} | {pixels / 1e9:,.0f} × 10⁹ | {hours:,.0f} | {hours * price:,.0f} | {machines} |")
    print("\n".join(lines))
    if page is not None:
        before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        page.write_text("\n".join([f"{before}{MARKS[0]}", *wrapped(lines), f"{MARKS[1]}{after}"]), encoding="utf-8")


def wrapped(lines: list[str]) -> list[str]:
    """Sentences in lines of a page's width; rows of a table as they are."""
    return [part for line in lines for part in (textwrap.wrap(line, 120) if line[:1] not in ("", "|") else [line])]


def main() -> None:
    """Measure, print, keep; or plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--side", type=int, default=96, help="of a low picture, in pixels")
    parser.add_argument("--only", default="here,killed,ray", help="comma between")
    parser.add_argument("--plan", nargs="?", const="", metavar="PAGE", help="reckon, and put the tables into a page")
    parser.add_argument("--price", type=float, default=0.04, help="of one core for an hour")
    args = parser.parse_args()
    if args.plan is not None:
        plan(Path(args.plan) if args.plan else None, args.price)
        return
    wanted = args.only.split(",")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    facts = record.circumstances(cores)
    record.introduce(facts)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="upbrush-folders-") as name:
        work = Path(name)
        source = work / "in"
        draw(source, args.pictures, args.side)
        results["ceiling"] = ceiling(source, cores)
        parts: dict[str, Callable[[], Any]] = {
            "here": lambda: here(source, work, cores),
            "killed": lambda: killed(source, work),
            "ray": lambda: on_ray(source, work),
        }
        for part in wanted:
            results[part] = parts[part]()
    show(results, args.pictures)
    settings = {"pictures": args.pictures, "side": args.side, "seed": SEED}
    print(f"\nwritten: {record.write('folders', {'circumstances': facts, 'settings': settings, **results})}")


if __name__ == "__main__":
    main()
