"""How fast is `upbrush batch` on many small pictures, here and on two Ray nodes? Is anything lost when one dies?

    python benchmarks/folders.py [--pictures 2000] [--side 72] [--anew]
    python benchmarks/plan.py docs/folders.md           # what that means for a million pictures

Pictures are drawn by code. What is compared is what a user can call: the command line, and beside it the bare engine in
one process, which is the ceiling. Each part is kept when it is measured: stopped, the same command goes on.

A Ray node stands for a machine of one core: all its processes are held to that core, and the first one's core also has
the head of the cluster and the command that asks. So the second node's speed-up is what a second machine would bring;
both together cannot be faster than this machine without Ray. Held to cores by Linux alone.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
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
from upbrush.folders import split
from upbrush.folders.easel import Materials
from upbrush.folders.run import Wanted, planned
from upbrush.folders.task import Asked

SEED = 0
PROGRAM = Path(sys.executable).with_name("upbrush")
KILLS = 4  # workers killed in one run
CEILING_SECONDS = 10.0
ROWS = 20_000  # of the manifest by which planning is timed
UNFINISHED = "folders-unfinished"


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


@contextmanager
def batch(source: Path, out: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The command line, running."""
    command = [PROGRAM, "batch", source, "-o", out, "--quiet", *words]
    process = subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:  # we are being stopped
            process.send_signal(signal.SIGINT)
            process.communicate()


def timed(source: Path, out: Path, *words: str) -> dict[str, Any]:
    """Seconds in all, pictures a second between the first and the last that ended, and what came out."""
    shutil.rmtree(out, ignore_errors=True)
    begun = time.perf_counter()
    with batch(source, out, *words) as process:
        _, told = process.communicate()
    if process.returncode:
        raise SystemExit(f"upbrush batch ended with {process.returncode}: {told}")
    return {"seconds": time.perf_counter() - begun, "pictures_a_second": steady_rate(out), "digest": digest(out)}


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


def by_trial(source: Path, work: Path) -> dict[str, Any]:
    """The split that is chosen by trial, and a second run that finds all done."""
    found = timed(source, work / "here")
    begun = time.perf_counter()
    with batch(source, work / "here") as process:
        process.communicate()
    return found | {"again_seconds": time.perf_counter() - begun}


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
    before: set[int] = set()
    with batch(source, out, "--processes", "2", "--threads", "1") as process:
        while process.poll() is None and len(before) < KILLS:
            time.sleep(1.0)
            kill_a_worker(out, before)
        _, told = process.communicate()
    return {"kills": len(before), "exit_code": process.returncode, "digest": digest(out), "told": told.splitlines()}


def kill_a_worker(out: Path, before: set[int]) -> None:
    """Kill the one that ended a picture last, unless it was killed before; note its number."""
    if (worker := last_worker(out)) and worker not in before:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
            before.add(worker)


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
    """A Ray cluster of so many nodes, each held to a core of its own, and the commands that we give to the first's."""
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # of a busy core
    room = {"num_cpus": 1, "object_store_memory": 200_000_000}
    cores = sorted(os.sched_getaffinity(0))
    cluster = None
    try:
        for number in range(count):
            os.sched_setaffinity(0, {cores[number % len(cores)]})  # what we begin from now on is held there, too
            if cluster is None:
                cluster = Cluster(initialize_head=True, head_node_args=room)
            else:
                cluster.add_node(**room)
        os.sched_setaffinity(0, {cores[0]})
        assert cluster is not None
        cluster.wait_for_nodes()
        yield cluster
    finally:
        os.sched_setaffinity(0, cores)
        if cluster is not None:
            cluster.shutdown()


def on_ray(source: Path, work: Path, count: int) -> dict[str, Any]:
    """A cluster of so many nodes."""
    with nodes(count) as cluster:
        return timed(source, work / f"ray{count}", "--ray", cluster.address)


def with_a_node_killed(source: Path, work: Path) -> dict[str, Any]:
    """Of two nodes; a worker goes when one is heard of, a whole node when a quarter of the pictures is there."""
    out, total = work / "ray-killed", len(list(source.rglob("*.jpg")))
    before: set[int] = set()
    begun = time.perf_counter()
    with nodes(2) as cluster, batch(source, out, "--ray", cluster.address) as process:
        while process.poll() is None and not before:
            time.sleep(0.3)
            kill_a_worker(out, before)
        there = wait_for(process, out, total // 4)
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        _, told = process.communicate()
        seconds = time.perf_counter() - begun
    return {
        "kills": len(before), "killed_after": there, "seconds": seconds, "exit_code": process.returncode,
        "digest": digest(out), "told": told.splitlines(),
    }  # fmt: skip


def wait_for(process: subprocess.Popen[str], out: Path, count: int) -> int:
    """Until so many pictures are there; how many are."""
    there = 0
    while process.poll() is None and there < count:
        time.sleep(0.3)
        there = len(list(out.rglob("*.jpg")))
    return there


class Kept:
    """What is measured so far, on the disk after each part. anew: forget what an earlier run measured."""

    def __init__(self, settings: dict[str, Any], facts: dict[str, Any], anew: bool) -> None:
        self._path = record.RESULTS / f"{UNFINISHED}.json"
        self.results: dict[str, Any] = {"circumstances": facts, "settings": settings}
        if self._path.exists() and not anew:
            before = json.loads(self._path.read_text(encoding="utf-8"))
            if before["settings"] == settings and before["circumstances"]["commit"] == facts["commit"]:
                self.results = before
                self.results["circumstances"]["quiet"] &= facts["quiet"]

    def part(self, name: str, measure: Callable[[], Any]) -> Any:
        """A part's result; measured unless it is there."""
        if name not in self.results:
            print(f"{name} …", end=" ", flush=True)
            begun = time.perf_counter()
            self.results[name] = measure()
            print(f"{time.perf_counter() - begun:.0f} s", flush=True)
            record.write(UNFINISHED, self.results)
        return self.results[name]

    def finish(self) -> Path:
        """All parts are there."""
        path = record.write("folders", self.results)
        self._path.unlink(missing_ok=True)
        return path


def measure_all(kept: Kept, source: Path, work: Path, cores: int) -> None:
    """Every part, one after the other."""
    kept.part("ceiling", lambda: ceiling(source, cores))
    for count in (cores >> shift for shift in range(cores.bit_length())):
        threads = str(cores // count)
        words = ("--processes", str(count), "--threads", threads)
        name = f"here, {count} x {threads}"
        kept.part(name, lambda words=words: timed(source, work / "split", *words))
    kept.part("by trial", lambda: by_trial(source, work))
    kept.part("rows a second", lambda: planning(source, work))
    kept.part("workers killed", lambda: killed(source, work))
    for count in (1, 2):
        kept.part(f"Ray, {count} x 1 core", lambda count=count: on_ray(source, work, count))
    kept.part("a node killed", lambda: with_a_node_killed(source, work))


def rates(results: dict[str, Any]) -> dict[str, float]:
    """Pictures a second of each way."""
    ways = [name for name in results if name.startswith(("here, ", "Ray, "))]
    return {name: results[name]["pictures_a_second"] for name in ways}


def speed_up(results: dict[str, Any]) -> float:
    """Of the second node."""
    found = rates(results)
    return found["Ray, 2 x 1 core"] / found["Ray, 1 x 1 core"]


def losses(results: dict[str, Any]) -> list[str]:
    """The parts that gave other bytes than the first way."""
    found = {name: part["digest"] for name, part in results.items() if isinstance(part, dict) and "digest" in part}
    return [name for name, one in found.items() if one != next(iter(found.values()))]


def show(results: dict[str, Any]) -> None:
    """Print what was found, losses too."""
    top = results["ceiling"]
    rows = [
        [name, f"{rate:.1f}", f"{rate / top:.0%}", f"{results[name]['seconds']:.0f}"]
        for name, rate in rates(results).items()
    ]
    print(f"\n{results['settings']['pictures']} pictures; bare engines on all cores: {top:.1f} a second")
    record.show(["", "pictures/s", "of the ceiling", "seconds in all"], rows)
    gain = speed_up(results)
    print(f"a second node of one core: {gain:.2f} times the pictures of one, {gain / 2:.0%} of twice")
    for name in ("workers killed", "a node killed"):
        found = results[name]
        print(f"{name}: {found['kills']} workers killed, exit code {found['exit_code']}")
    print(f"other bytes than the first: {', '.join(losses(results)) or 'none'}")


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--side", type=int, default=72, help="of a low picture, in pixels")
    parser.add_argument("--anew", action="store_true", help="forget what a run that was stopped has measured")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that what we began ends with us
    cores = split.cores()
    facts = record.circumstances(cores)
    record.introduce(facts)
    kept = Kept({"pictures": args.pictures, "side": args.side, "seed": SEED}, facts, args.anew)
    with tempfile.TemporaryDirectory(prefix="upbrush-folders-") as name:
        work = Path(name)
        source = work / "in"
        draw(source, args.pictures, args.side)
        measure_all(kept, source, work, cores)
    show(kept.results)
    print(f"\nwritten: {kept.finish()}")


if __name__ == "__main__":
    main()
