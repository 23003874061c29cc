"""Does `upbrush serve` keep up with its engine, and does its memory stay where it is?

    python benchmarks/load.py [--clients 32] [--requests 20] [--size 256] [--soak 2000] [--previews 60]

Starts `upbrush serve` on a free port with a folder of its own, and asks it as clients do, over loopback and HTTP:

- `clients` at once, `requests` each, of different pictures drawn by code: errors, p50, p95, pictures/s;
- beside that the ceiling: how many pictures/s the bare engine renders in as many processes and threads (nothing read,
  nothing written, no web), taken before and after, the better of the two; and the Painter, pixels to pixels;
- previews of 128 pixels one after the other: p50, p95 (the target is 150 ms);
- `soak` requests of 64 pixels: the resident memory of all its processes after each hundredth.

The clients run on the same cores and are paid for by the service's figure, not by the ceiling's.
"""

import argparse
import asyncio
import io
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import record
from PIL import Image

TARGETS = {"share_of_ceiling": 0.85, "preview_ms": 150.0, "growth": 0.05}
STYLE = "monet"


def drawn(size: int, seed: int) -> np.ndarray:
    """A picture with smooth colours, edges and grain: (size, size, 3) uint8."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (size // 16 + 2, size // 16 + 2, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC), np.int16)
    smooth[: size // 3, : size // 3] += 40
    return (smooth + rng.integers(-6, 7, smooth.shape)).clip(0, 255).astype(np.uint8)


def sent(size: int, seed: int) -> bytes:
    """The same as a PNG."""
    file = io.BytesIO()
    Image.fromarray(drawn(size, seed)).save(file, "PNG")
    return file.getvalue()


def rendered(size: int, threads: int, seconds: float, whole: bool) -> float:
    """Pictures/s of this process alone: the engine's render, or the whole Painter."""
    from upbrush import Painter, styles
    from upbrush.engine import open_engine
    from upbrush.views import thumbnail

    engine = open_engine(threads=threads)
    picture, style = drawn(size, 0), styles.resolve(STYLE, engine)
    low = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / 255
    mods = engine.modulate(thumbnail(picture), style.code, 1.0, 0.5)
    painter = Painter(engine)

    def once() -> None:
        if whole:
            painter.paint(picture, style)
        else:
            engine.render(low, mods)

    for _ in range(2):  # warm-up
        once()
    count, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        once()
        count += 1
    return count / (time.perf_counter() - start)


def ceiling(size: int, workers: int, threads: int, seconds: float, whole: bool = False) -> float:
    """Pictures/s of as many processes as the service has."""
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(rendered, size, threads, seconds, whole) for _ in range(workers)]
        return sum(one.result() for one in running)


class Service:
    """`upbrush serve` in a process of its own."""

    def __init__(self, workers: int, threads: int, waiting: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        words = ["--workers", workers, "--threads", threads, "--limit", f"waiting={waiting}", "--port", 0]
        command = [sys.executable, "-m", "upbrush", "serve", "--data", self.folder.name, *map(str, words)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        with httpx.Client(base_url=self.address) as client:
            while f"upbrush_workers {workers}.0" not in client.get("/metrics").text:
                time.sleep(0.1)

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def memory_mb(self) -> float:
        """Resident memory of the service and its workers; what they share is counted once for each."""
        pid = self.process.pid
        pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in pids)
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def crowd(
    address: str, clients: int, requests: int, pictures: list[bytes], fields: dict[str, str]
) -> dict[str, Any]:
    """`clients` at once, each asking again as soon as it is answered."""
    seconds: list[float] = []
    errors: dict[str, int] = {}

    async def one(number: int) -> None:
        async with httpx.AsyncClient(base_url=address, timeout=300) as client:
            for turn in range(requests):
                content = pictures[(number * requests + turn) % len(pictures)]
                start = time.perf_counter()
                answer = await client.post("/v1/paint", files={"picture": content}, data=fields)
                seconds.append(time.perf_counter() - start)
                if answer.status_code != 200:
                    errors[str(answer.status_code)] = errors.get(str(answer.status_code), 0) + 1

    start = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(clients)))
    wall = time.perf_counter() - start
    count = clients * requests
    return {"requests": count, "errors": errors, "pictures_per_second": count / wall, **percentiles(seconds)}


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p95 and the most, in ms."""
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"p50_ms": 1000 * cuts[9], "p95_ms": 1000 * cuts[18], "most_ms": 1000 * max(seconds)}


def soak(service: Service, count: int, clients: int) -> list[float]:
    """Memory after each hundredth of `count` requests, in MB."""
    pictures = [sent(64, seed) for seed in range(20)]
    found = []
    for _ in range(max(1, count // 100)):
        answer = asyncio.run(
            crowd(service.address, clients, max(1, min(100, count) // clients), pictures, {"style": STYLE})
        )
        assert not answer["errors"], answer["errors"]
        found.append(service.memory_mb())
    return found


def main() -> None:
    """Measure, print, keep."""
    words = argparse.ArgumentParser()
    for name, usual in (
        ("clients", 32),
        ("requests", 20),
        ("size", 256),
        ("soak", 2000),
        ("previews", 60),
        ("seconds", 10),
    ):
        words.add_argument(f"--{name}", type=int, default=usual)
    words.add_argument("--workers", type=int, default=min(4, max(2, os.cpu_count() or 2)))
    words.add_argument("--threads", type=int, default=None)
    words.add_argument("--format", default="jpeg")
    asked = words.parse_args()
    threads = asked.threads or max(1, (os.cpu_count() or 1) // asked.workers)
    facts = record.circumstances(asked.workers * threads)
    record.introduce(facts)
    engine = [ceiling(asked.size, asked.workers, threads, asked.seconds)]
    painter = ceiling(asked.size, asked.workers, threads, asked.seconds, whole=True)
    pictures = [sent(asked.size, seed) for seed in range(40)]
    with Service(asked.workers, threads, max(64, asked.clients)) as service:
        fields = {"style": STYLE, "format": asked.format}
        asyncio.run(crowd(service.address, 2, 3, pictures, fields))  # warm-up
        load = asyncio.run(crowd(service.address, asked.clients, asked.requests, pictures, fields))
        live = {"style": STYLE, "format": "jpeg", "preview": "128"}
        preview = asyncio.run(crowd(service.address, 1, asked.previews, [sent(128, seed) for seed in range(9)], live))
        memory = soak(service, asked.soak, min(8, asked.clients))
    engine.append(ceiling(asked.size, asked.workers, threads, asked.seconds))
    best = max(engine)
    share = load["pictures_per_second"] / best
    half = len(memory) // 2
    growth = statistics.mean(memory[half:]) / statistics.mean(memory[: half or 1]) - 1
    setup = {"workers": asked.workers, "threads": threads, "size": asked.size, "format": asked.format}
    found = {
        "circumstances": facts, "setup": setup | {"clients": asked.clients, "style": STYLE}, "load": load,
        "engine_per_second": engine, "painter_per_second": painter, "share_of_ceiling": share, "preview": preview,
        "memory_mb": memory, "growth": growth, "targets": TARGETS,
    }  # fmt: skip
    rows = [
        ["bare engine, pictures/s", f"{best:.2f}"], ["Painter, pixels to pixels, pictures/s", f"{painter:.2f}"],
        [f"service, {asked.clients} clients x {asked.requests}, pictures/s", f"{load['pictures_per_second']:.2f}"],
        ["service / bare engine (target .85)", f"{share:.3f}"], ["errors", str(sum(load["errors"].values()))],
        ["p50, ms", f"{load['p50_ms']:.0f}"], ["p95, ms", f"{load['p95_ms']:.0f}"],
        ["preview of 128 px, p50, ms", f"{preview['p50_ms']:.0f}"],
        ["preview of 128 px, p95, ms (target 150)", f"{preview['p95_ms']:.0f}"],
        [f"memory after {asked.soak} requests, MB", f"{memory[-1]:.0f}"],
        ["second half over first half of them (target +.05)", f"{growth:+.3f}"],
    ]  # fmt: skip
    record.show(["what", "found"], rows)
    print(record.write("load", found))


if __name__ == "__main__":
    main()
