"""The line before the workers, and workers that are not what they should be."""

import asyncio
import signal
import subprocess
import sys
import time

import pytest
import web_service
from web_service import png

from upbrush.web import pool as pools
from upbrush.web.metrics import Metrics
from upbrush.web.orders import PICTURE, Order, Part
from upbrush.web.pool import Lane, Pool
from upbrush.web.problems import Problem


def run(work, bench, size=1):
    """Have `work(pool)` done with a pool, which is ended afterwards."""

    async def whole():
        pool = Pool(bench, size, Metrics())
        await pool.start()
        try:
            return await asyncio.wait_for(work(pool), 60)
        finally:
            await pool.stop()

    return asyncio.run(whole())


async def nothing():
    return [Part(PICTURE)]


def test_a_model_that_cannot_be_opened_is_told(tmp_path):
    bench = web_service.settings(tmp_path).bench
    (tmp_path / "model" / "renderer.onnx").write_bytes(b"no model")

    async def work(pool):
        while pool._broken is None:
            await asyncio.sleep(0.05)
        assert not pool.ready
        with pytest.raises(Problem, match="renderer.onnx") as raised:
            await pool.run(Order(), nothing, Lane.NOW)
        assert (raised.value.status, raised.value.retry_after) == (503, 30)

    run(work, bench)


def test_previews_go_first_and_jobs_last(tmp_path, draw):
    bench = web_service.settings(tmp_path).bench
    content, order = png(draw(8, 8)), []

    async def work(pool):
        async def load():
            return [Part(PICTURE, content)]

        async def one(lane, number):
            await pool.run(Order(), load, lane)
            order.append((lane.name, number))

        waiting = [one(Lane.JOB, 1), one(Lane.NOW, 2), one(Lane.PREVIEW, 3), one(Lane.NOW, 4), one(Lane.PREVIEW, 5)]
        await asyncio.gather(*waiting)  # before the worker is up

    run(work, bench)
    assert order == [("PREVIEW", 3), ("PREVIEW", 5), ("NOW", 2), ("NOW", 4), ("JOB", 1)]


NONSENSE = """
import json, struct, sys
def tell(head):
    text = json.dumps(head).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(text)) + text)
    sys.stdout.buffer.flush()
tell({"told": "ready", "size": 0})
sys.stdin.buffer.read(1)
tell(WORD)
sys.stdin.buffer.read()
"""


@pytest.mark.parametrize(
    "word",
    [
        {"size": 0},
        {"told": "part", "size": 10**12},
        {"told": "problem", "size": 0, "status": "x", "type": "T", "message": "m"},
        {"told": "done", "facts": 5, "size": 0},
    ],
    ids=str,
)
def test_a_worker_that_talks_nonsense_is_replaced(tmp_path, monkeypatch, word):
    """As one that was taken over by what it read."""
    script = tmp_path / "worker.py"
    script.write_text(NONSENSE.replace("WORD", repr(word)))
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "{script}"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr(pools.sys, "executable", str(wrapper))
    bench = web_service.settings(tmp_path).bench

    async def work(pool):
        with pytest.raises(Problem) as raised:
            await pool.run(Order(), nothing, Lane.NOW)
        assert raised.value.status == 422
        assert "brought down the process that read it" in str(raised.value)
        while not pool.ready:  # another has come up in its place
            await asyncio.sleep(0.05)

    run(work, bench)


HANGING = """
import asyncio, contextlib
from fastapi import FastAPI
from upbrush import address
from upbrush.web import server
from upbrush.web.orders import Limits

@contextlib.asynccontextmanager
async def lifespan(app):
    asyncio.get_running_loop().call_later(0.5, lambda: print("up", flush=True))  # a server still coming up just goes
    yield
    print("ending", flush=True)
    await asyncio.sleep(60)

server.ENDING_SECONDS = 1
with address.listen("127.0.0.1", 0) as listening:
    server.run(FastAPI(lifespan=lifespan), Limits(), listening)
"""


def test_a_service_ends_in_its_time_whatever_hangs():
    with subprocess.Popen([sys.executable, "-c", HANGING], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        process.terminate()
        assert process.stdout.readline() == b"ending\n"
        begin = time.monotonic()
        _, words = process.communicate(timeout=30)
    assert time.monotonic() - begin < 20
    assert process.returncode == 128 + signal.SIGTERM
    assert b"not ended 1 seconds after SIGTERM" in words
