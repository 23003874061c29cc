"""Does `upbrush serve` keep up with its engine, and does its memory stay where it is?

    python benchmarks/load.py [--clients 32] [--requests 20] [--rounds 4] [--size 256] [--soak 2000] [--previews 60]

Starts `upbrush serve` on a free port with a folder of its own, and asks it as clients do, over loopback and HTTP:

- `clients` at once, `requests` each, of different pictures drawn by code: errors, p50, p95, pictures/s;
- beside that the ceiling: how many pictures/s the bare engine renders in as many processes and threads (nothing read,
  nothing written, no web), and the Painter, pixels to pixels. The requests are sent in `rounds`, and the ceiling is
  taken before each and after the last; shares are of the mean of the two beside a round, so they hold on a machine
  that is busier now than then;
- previews of 128 pixels one after the other: p50, p95 (the target is 150 ms);
- `soak` requests of 64x64 and 96x80, PNG and JPEG there and back, in two styles by turns: the resident memory of all
  its processes after each twentieth part of them. 0 leaves it out.

The clients run on the same cores and are paid for by the service's figure, not by the ceiling's. In earnest they are
other machines, so they are made as light as they can be: requests are put together beforehand, each client has one
connection, and answers are taken for their status and length and thrown away.
"""

import argparse
import asyncio
import io
import itertools
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import record
from PIL import Image

TARGETS = {"share_of_ceiling": 0.85, "preview_ms": 150.0, "growth": 0.05}
STYLE = "monet"
SOAKED = [  # sizes and format sent, style and format asked for
    ((64, 64), "PNG", "monet", "jpeg"), ((96, 80), "JPEG", "klimt", "png"),
    ((96, 80), "PNG", "klimt", "jpeg"), ((64, 64), "JPEG", "monet", "png"),
]  # fmt: skip
LOOKS = 20  # at the memory


def drawn(size: int, seed: int) -> np.ndarray:
    """A picture with smooth colours, edges and grain: (size, size, 3) uint8."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (size // 16 + 2, size // 16 + 2, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC), np.int16)
    smooth[: size // 3, : size // 3] += 40
    return (smooth + rng.integers(-6, 7, smooth.shape)).clip(0, 255).astype(np.uint8)


def sent(size: int, seed: int, height: int | None = None, format: str = "PNG") -> bytes:
    """The same as a file, cut to a height."""
    file = io.BytesIO()
    Image.fromarray(drawn(size, seed)[:height]).save(file, format)
    return file.getvalue()


def shared(count: int, among: int) -> list[int]:
    """A number in whole parts that differ by one at most and sum up to it."""
    return [count // among + (number < count % among) for number in range(among)]


@cache
def opened(threads: int) -> Any:
    """The Painter of this process, for its engine, too."""
    from upbrush import Painter

    return Painter(threads=threads)


def rendered(size: int, threads: int, seconds: float, whole: bool) -> float:
    """Pictures/s of this process alone: the engine's render, or the whole Painter."""
    from upbrush import styles
    from upbrush.views import thumbnail

    painter = opened(threads)
    engine = painter.engine
    picture, style = drawn(size, 0), styles.resolve(STYLE, engine)
    low = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / 255
    mods = engine.modulate(thumbnail(picture), style.code, 1.0, 0.5)

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


class Ceiling:
    """As many processes as the service has workers, with nothing to do but paint."""

    def __init__(self, size: int, workers: int, threads: int) -> None:
        self._size, self._workers, self._threads = size, workers, threads
        self._pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))

    def __call__(self, seconds: float, whole: bool = False) -> float:
        """Pictures/s of all together."""
        asked = (self._size, self._threads, seconds, whole)
        running = [self._pool.submit(rendered, *asked) for _ in range(self._workers)]
        return sum(one.result() for one in running)

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown()


class Service:
    """`upbrush serve` in a process of its own."""

    def __init__(self, workers: int, threads: int | None, waiting: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        words = ["--workers", workers, "--limit", f"waiting={waiting}", "--port", 0]
        words += ["--threads", threads] if threads else []
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


def request(content: bytes, fields: dict[str, str], host: str) -> bytes:
    """A form as it goes over the wire, by httpx, so that it is what clients send."""
    form = httpx.Request("POST", f"http://{host}/v1/paint", files={"picture": ("a.png", content)}, data=fields)
    head = "".join(f"{name}: {value}\r\n" for name, value in form.headers.items())
    return f"POST /v1/paint HTTP/1.1\r\n{head}\r\n".encode() + form.read()


async def answered(reader: asyncio.StreamReader) -> str:
    """The status of an answer whose body is thrown away."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = head.partition("\r\ncontent-length:")[2].partition("\r\n")[0]
    left = int(length)
    while left:
        left -= len(await reader.read(min(left, 1 << 20)))
    return head.split(" ", 2)[1]


async def crowd(address: str, turns: list[int], asked: list[tuple[bytes, dict[str, str]]]) -> dict[str, Any]:
    """Clients at once, each asking again as soon as it is answered.

    turns: how often each asks. asked: pictures and fields, taken by turns.
    """
    place = urlsplit(address)
    ready = [request(content, fields, place.netloc) for content, fields in asked]
    places = itertools.count()
    seconds: list[float] = []
    errors: dict[str, int] = {}

    async def one(times: int) -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1 << 20)
        for _ in range(times):
            start = time.perf_counter()
            writer.write(ready[next(places) % len(ready)])
            status = await answered(reader)
            seconds.append(time.perf_counter() - start)
            if status != "200":
                errors[status] = errors.get(status, 0) + 1
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(one(times) for times in turns if times))
    return {"requests": sum(turns), "errors": errors, "wall": time.perf_counter() - start, "seconds": seconds}


def in_rounds(
    service: "Service", ceiling: Ceiling, asked: argparse.Namespace, fields: dict[str, str]
) -> dict[str, Any]:
    """The clients' requests, in rounds, with the ceiling before each and after the last."""
    pictures = [(sent(asked.size, seed), fields) for seed in range(40)]
    asyncio.run(crowd(service.address, [3] * asked.workers, pictures))  # warm-up
    painter = ceiling(asked.seconds, whole=True)
    engine, loads, left = [ceiling(asked.seconds)], [], asked.requests
    for number in range(asked.rounds, 0, -1):
        turns = -(-left // number)
        left -= turns
        loads.append(asyncio.run(crowd(service.address, [turns] * asked.clients, pictures)))
        engine.append(ceiling(asked.seconds))
    beside = [(before + after) / 2 for before, after in itertools.pairwise(engine)]
    rates = [load["requests"] / load["wall"] for load in loads]
    errors = [status for load in loads for status, count in load["errors"].items() for _ in range(count)]
    return {
        "requests": sum(load["requests"] for load in loads), "errors": errors, "pictures_per_second": rates,
        "engine_per_second": engine, "painter_per_second": painter,
        "shares": [rate / most for rate, most in zip(rates, beside, strict=True)],
        **percentiles([one for load in loads for one in load["seconds"]]),
    }  # fmt: skip


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p95 and the most, in ms."""
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"p50_ms": 1000 * cuts[9], "p95_ms": 1000 * cuts[18], "most_ms": 1000 * max(seconds)}


def soak(service: Service, count: int, clients: int) -> list[float]:
    """Memory before, and after each part of `count` requests, in MB."""
    asked = [
        (sent(width, seed, height, format), {"style": style, "format": back})
        for seed in range(6) for (width, height), format, style, back in SOAKED
    ]  # fmt: skip
    found, done = [service.memory_mb()], 0
    for part in shared(count, LOOKS):
        answer = asyncio.run(crowd(service.address, shared(part, clients), asked))
        assert not answer["errors"], answer["errors"]
        done += len(answer["seconds"])
        found.append(service.memory_mb())
    assert done == count, f"{done} of {count} were answered"
    return found


def asked_for() -> argparse.Namespace:
    """The words of the command line."""
    words = argparse.ArgumentParser()
    usual = {"clients": 32, "requests": 20, "rounds": 4, "size": 256, "soak": 2000, "previews": 60}
    for name, number in usual.items():
        words.add_argument(f"--{name}", type=int, default=number)
    words.add_argument("--seconds", type=float, default=6, help="of each look at the ceiling")
    words.add_argument("--workers", type=int, default=min(4, max(2, os.cpu_count() or 2)))
    words.add_argument("--threads", type=int, help="of each worker, for previews, too; by default the service's own")
    words.add_argument("--format", default="jpeg")
    return words.parse_args()


def main() -> None:
    """Measure, print, keep."""
    asked = asked_for()
    threads = asked.threads or max(1, (os.cpu_count() or 1) // asked.workers)
    facts = record.circumstances(asked.workers * threads)
    record.introduce(facts)
    fields, ceiling = {"style": STYLE, "format": asked.format}, Ceiling(asked.size, asked.workers, threads)
    with Service(asked.workers, asked.threads, max(64, asked.clients)) as service:
        load = in_rounds(service, ceiling, asked, fields)
        ceiling.close()
        live = {"style": STYLE, "format": "jpeg", "preview": "128"}
        small = [(sent(128, seed), live) for seed in range(9)]
        found = asyncio.run(crowd(service.address, [asked.previews], small))
        preview = percentiles(found["seconds"])
        memory = soak(service, asked.soak, min(8, asked.clients))
    share, half = statistics.median(load["shares"]), len(memory) // 2
    growth = statistics.mean(memory[half:]) / statistics.mean(memory[: half or 1]) - 1
    engine, painter = statistics.mean(load["engine_per_second"]), load["painter_per_second"]
    rows = [
        ["bare engine, pictures/s", f"{engine:.2f}"], ["Painter, pixels to pixels, pictures/s", f"{painter:.2f}"],
        [
            f"service, {asked.clients} clients x {asked.requests} ({asked.format}), pictures/s",
            f"{statistics.mean(load['pictures_per_second']):.2f}",
        ],
        ["service / bare engine, median of rounds (target .85)", f"{share:.3f}"],
        ["errors", str(len(load["errors"]))], ["p50, ms", f"{load['p50_ms']:.0f}"],
        ["p95, ms", f"{load['p95_ms']:.0f}"], ["preview of 128 px, p50, ms", f"{preview['p50_ms']:.0f}"],
        ["preview of 128 px, p95, ms (target 150)", f"{preview['p95_ms']:.0f}"],
        [f"memory before and after {asked.soak} requests, MB", f"{memory[0]:.0f}, {memory[-1]:.0f}"],
        ["second half over first half of them (target +.05)", f"{growth:+.3f}"],
    ]  # fmt: skip
    record.show(["what", "found"], rows)
    kept = {"circumstances": facts, "setup": vars(asked) | {"style": STYLE}, "load": load, "share_of_ceiling": share}
    print(record.write("load", kept | {"preview": preview, "memory_mb": memory, "growth": growth, "targets": TARGETS}))


if __name__ == "__main__":
    main()
