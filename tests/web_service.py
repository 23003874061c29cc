"""A service for tests: the tiny model, real workers, a real port; in a thread of this process."""

import contextlib
import io
import os
import signal
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import tiny_model
import uvicorn
from PIL import Image

from upbrush import address
from upbrush.web.app import create_app
from upbrush.web.desk import Settings
from upbrush.web.orders import Bench, Limits
from upbrush.web.server import options

SMALL = Limits(
    file_bytes=2_000_000, job_bytes=4_000_000, pixels=600_000, result_pixels=12_000_000, seconds=60, waiting=4,
    jobs_waiting=6, jobs_a_client=3, pictures_a_job=20, own_styles=3, stall_seconds=1.5,
)  # fmt: skip


def settings(folder: Path, *, limits: Limits = SMALL, workers: int = 2, memory: str = "100MB", **words) -> Settings:
    """A service over a folder, with a tiny model in it."""
    model = folder / "model"
    if not model.exists():
        tiny_model.write_library(model)
    data = folder / "data"
    data.mkdir(exist_ok=True)
    bench = Bench(str(model), str(data / "styles"), threads=1, memory=memory, limits=limits)
    return Settings(data, bench, tiny_model.IDENTITY, 4, workers, **words)


@contextlib.contextmanager
def running(wanted: Settings):
    """A client of a service that is up: `client.app` is the application."""
    app = create_app(wanted)
    config = options(app, wanted.limits)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    with address.listen("127.0.0.1", 0) as listening:
        place = f"http://127.0.0.1:{listening.getsockname()[1]}"
        # A first client imports httpcore, so before the service starts its workers: uvloop's fork takes the lock of
        # logging, then that of imports, and an import in this thread that collects a dead handler takes them the other
        # way round. Both then wait for ever.
        client = httpx.Client(base_url=place, timeout=60)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with client:
                wait_for(lambda: server.started and client.get("/readyz").status_code == 200)
                client.app = app
                yield client
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def held(client):
    """Workers stand still meanwhile, so that nothing hangs on how fast this machine paints."""
    pids = [worker.process.pid for worker in client.app.state.desk.pool._alive]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def wait_for(true, seconds=90.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def png(pixels: np.ndarray, **words) -> bytes:
    """A picture as the bytes of a PNG."""
    return encoded(pixels, "PNG", **words)


def encoded(pixels: np.ndarray, format: str, **words) -> bytes:
    """A picture as the bytes of a file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **words)
    return file.getvalue()


def ended(client, id: str) -> dict:
    """A job when it has ended."""
    wait_for(lambda: client.get(f"/v1/jobs/{id}").json()["state"] not in ("waiting", "running"))
    return client.get(f"/v1/jobs/{id}").json()
