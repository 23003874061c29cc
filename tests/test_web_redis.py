"""The queue in Redis, by one setting; where there is a redis-server."""

import shutil
import socket
import subprocess
import time

import pytest
import web_service
from web_service import ended, png, wait_for

from upbrush.web.runner import queue

SERVER = shutil.which("redis-server")


@pytest.fixture
def redis(tmp_path):
    if SERVER is None:
        pytest.skip("no redis-server on this machine")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen([SERVER, *words], stdout=subprocess.DEVNULL)

    def answers():
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    wait_for(answers)
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait()


@pytest.mark.slow
def test_jobs_are_painted_and_nothing_is_left_in_the_queue(tmp_path, redis, draw):
    with web_service.running(web_service.settings(tmp_path, redis=redis, workers=1)) as client:
        files = [("picture", png(draw(9, 9, seed=seed))) for seed in range(2)]
        id = client.post("/v1/jobs", files=files).json()["id"]
        assert ended(client, id)["done"] == 2
    assert not (tmp_path / "data" / "queue.sqlite").exists()
    assert len(queue(tmp_path, redis)) == 0


@pytest.mark.slow
def test_a_job_that_the_queue_lost_is_found_again(tmp_path, redis, draw):
    """As when Redis was killed with the service: the ledger knows."""
    settings = web_service.settings(tmp_path, redis=redis, workers=1)
    with web_service.running(settings) as client:
        client.app.state.desk.runner._consumer.stop(graceful=True)  # nobody takes it from the queue
        id = client.post("/v1/jobs", files={"picture": png(draw(9, 9))}).json()["id"]
        time.sleep(0.2)
        assert client.get(f"/v1/jobs/{id}").json()["state"] == "waiting"
    queue(tmp_path, redis).flush()
    with web_service.running(settings) as client:
        assert ended(client, id)["done"] == 1
