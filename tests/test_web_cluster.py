"""The same application as replicas under Ray Serve, on this machine."""

import concurrent.futures
import io
import os
import socket
import subprocess
import sys

import httpx
import pytest
import web_service
from PIL import Image
from web_service import ended, png, wait_for

from upbrush.errors import ConfigError
from upbrush.web.cluster import Replicas, options


def test_replicas_in_words():
    assert Replicas.of("1:8") == Replicas(1, 8)
    assert Replicas.of("2") == Replicas(2, 2)
    for words in ("0", "3:2", "x", "1:x", "", "-1"):
        with pytest.raises(ConfigError, match="--replicas"):
            Replicas.of(words)


def test_replicas_are_given_more_than_they_take_so_that_they_refuse_in_their_own_words(tmp_path):
    settings = web_service.settings(tmp_path, workers=2)
    told = options(settings, Replicas(1, 8))
    assert told["max_ongoing_requests"] >= 4 * (settings.limits.waiting + settings.workers)
    assert told["max_queued_requests"] > 0
    assert told["ray_actor_options"] == {"num_cpus": 2}
    assert (told["autoscaling_config"]["min_replicas"], told["autoscaling_config"]["max_replicas"]) == (1, 8)


@pytest.mark.slow
def test_two_replicas_share_the_work_and_the_jobs(tmp_path, draw):
    pytest.importorskip("ray")
    web_service.settings(tmp_path)  # writes the model
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "upbrush", "serve", "--ray", "--replicas", "2", "--workers", "1", "--threads", "1",
        "--data", tmp_path / "data", "--model", tmp_path / "model", "--port", port,
        "--limit", "waiting=8",
    ]  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        place = process.stdout.readline().strip()
        assert place == f"http://127.0.0.1:{port}/"
        with httpx.Client(base_url=place, timeout=120) as client:
            wait_for(lambda: all(client.get("/readyz").status_code == 200 for _ in range(10)), 120)
            used = painted_by(client, draw)
            assert len(used) == 2, used
            answer = client.get("/v1/styles/monet/preview")
            assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
            files = [("picture", png(draw(10, 10, seed=seed))) for seed in range(4)]
            id = client.post("/v1/jobs", files=files, data={"style": "klimt"}).json()["id"]
            job = ended(client, id)  # asked of either replica, whichever paints it
            assert (job["done"], job["failed"]) == (4, 0)
            with client.stream("GET", job["events"]) as events:
                assert "event: done" in list(events.iter_lines())
            assert client.post("/v1/paint", files={"picture": b"x"}).status_code == 415
            check_refusals(client, draw)
            answer = client.get("/healthz", headers={"host": "evil.example"})  # DNS rebinding
            assert (answer.status_code, answer.json()["error"]["type"]) == (400, "RequestError")
    finally:
        process.terminate()
        process.wait(120)
        process.stdout.close()


def check_refusals(client, draw):
    """More at once than two lines of eight: some are told to come again, in our words and not in Ray's."""
    content = png(draw(200, 300))

    def ask(_):
        return httpx.post(f"{client.base_url}v1/paint", files={"picture": content}, timeout=120)

    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(ask, range(60)))
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            assert answer.json()["error"]["type"] == "BusyError"
            assert int(answer.headers["retry-after"]) > 0


def painted_by(client, draw):
    """Ask for many pictures at once; how many each replica painted, by its own metrics."""
    content = png(draw(64, 64))

    def ask(_):
        answer = httpx.post(f"{client.base_url}v1/paint", files={"picture": content}, timeout=120)
        with Image.open(io.BytesIO(answer.content)) as image:
            return image.size

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(40))) == {(256, 256)}
    found = {}
    for _ in range(60):
        lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
        count = lines.get('upbrush_stage_seconds_count{kind="paint",stage="paint"}', "0")
        found[lines["upbrush_started_seconds"]] = float(count)
    assert sum(found.values()) == 40, found
    return [count for count in found.values() if count]
