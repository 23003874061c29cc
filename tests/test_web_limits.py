"""More than is taken is refused with a clear word, before it costs anything; and no file brings the service down."""

import io
import os
import signal
import socket
import struct
import threading
import time
import zlib

import httpx
import numpy as np
import pytest
import web_service
from PIL import Image
from web_service import SMALL, encoded, held, png, wait_for

from upbrush.errors import ConfigError
from upbrush.web import orders
from upbrush.web.orders import Limits


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    # Little memory for painting: many small tiles, so that a large picture takes long enough to be stopped.
    settings = web_service.settings(tmp_path_factory.mktemp("service"), memory="3MB")
    with web_service.running(settings) as client:
        yield client


def paint(client, content, **fields):
    return client.post("/v1/paint", files={"picture": content}, data={key: str(one) for key, one in fields.items()})


def fault(answer):
    error = answer.json()["error"]
    assert set(error) == {"type", "message"}
    return answer.status_code, error["type"]


def bomb(width, height):
    """A PNG of a few bytes that would fill the memory."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100_000)) + chunk(b"IEND", b"")


def pids(client):
    return [worker.process.pid for worker in client.app.state.desk.pool._alive]


def test_too_many_bytes(client):
    answer = paint(client, os.urandom(SMALL.file_bytes + 2_000_000))
    assert fault(answer) == (413, "LimitError")
    assert "3,048,576" in answer.json()["error"]["message"]


def test_too_many_bytes_of_unknown_length(client):
    def body():
        yield b"--x\r\ncontent-disposition: form-data; name=picture; filename=a\r\n\r\n"
        for _ in range(40):
            yield bytes(100_000)

    answer = client.post("/v1/paint", content=body(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert fault(answer) == (413, "LimitError")


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (1001, 600), (600_001, 1)])
def test_too_many_pixels_before_decoding(client, width, height):
    start = time.perf_counter()
    answer = paint(client, bomb(width, height))
    assert fault(answer) == (413, "LimitError")
    assert f"{width}x{height} pixels, more than 600,000" in answer.json()["error"]["message"]
    assert time.perf_counter() - start < 5


def test_too_large_a_result(client, draw):
    answer = paint(client, png(draw(300, 400)), scale=16)
    assert fault(answer) == (413, "LimitError")
    assert "would become 6400x4800" in answer.json()["error"]["message"]


@pytest.mark.parametrize("format", ["PCX", "TGA", "ICO", "SGI"])
def test_formats_that_are_not_taken(client, draw, format):
    answer = paint(client, encoded(draw(32, 32), format))
    assert fault(answer) == (415, "PictureError")


def test_an_animation_is_refused(client, draw):
    file = io.BytesIO()
    frames = [Image.fromarray(draw(16, 16, seed=seed)) for seed in (1, 2)]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    answer = paint(client, file.getvalue())
    assert fault(answer) == (422, "PictureError")
    assert "animated" in answer.json()["error"]["message"]


def slow_picture():
    rows, columns = np.mgrid[:500, :600] // 4
    return encoded(np.dstack((rows, columns, rows ^ columns)).astype(np.uint8), "JPEG", quality=50)


def test_a_full_line_says_when_to_come_again(client, draw):
    """Two are painted, four wait, the seventh is told to come later; then all six come through."""
    content, answers = png(draw(48, 64)), []
    wait_for(lambda: "upbrush_workers 2.0" in client.get("/metrics").text)

    def ask():
        answers.append(httpx.post(f"{client.base_url}/v1/paint", files={"picture": content}, timeout=90))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    with held(client):
        for thread in threads:
            thread.start()
        wait_for(lambda: "upbrush_waiting 4.0" in client.get("/metrics").text)
        refused = paint(client, content)
    assert fault(refused) == (429, "BusyError")
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len({answer.content for answer in answers}) == 1


def test_who_goes_away_leaves_the_line_and_stops_the_painting(client, draw):
    content = png(draw(48, 64))
    with held(client):
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{client.base_url}/v1/paint", files={"picture": content}, timeout=0.3)
    before = set(pids(client))
    wait_for(lambda: "upbrush_workers_idle 2.0" in client.get("/metrics").text)
    assert set(pids(client)) == before  # stopped, not killed


def test_a_worker_that_is_killed_takes_only_its_own_picture_with_it(client, draw):
    content, answers = slow_picture(), []
    thread = threading.Thread(target=lambda: answers.append(paint(client, content)))
    thread.start()
    pool = client.app.state.desk.pool

    def busy():  # an order that its worker has not begun is given to another
        return [worker.process.pid for worker in set(pool._alive) if worker.begun and worker not in pool._idle]

    wait_for(busy)
    os.kill(busy()[0], signal.SIGKILL)
    thread.join()
    assert fault(answers[0]) == (422, "PictureError")
    assert "brought down the process that read it" in answers[0].json()["error"]["message"]
    assert paint(client, png(draw(16, 16))).status_code == 200
    wait_for(lambda: len(pids(client)) == 2)
    assert "upbrush_worker_deaths_total 1.0" in client.get("/metrics").text


def test_an_idle_worker_that_is_killed_costs_nobody_anything(client, draw):
    for pid in pids(client):
        os.kill(pid, signal.SIGKILL)
    assert paint(client, png(draw(16, 16))).status_code == 200


def test_as_many_pictures_as_may_be_and_one_of_the_style(client, draw):
    """Starlette's own bound on files is not met before ours."""
    content, most = png(draw(8, 8)), SMALL.pictures_a_job
    style = ("style_picture", content)
    for count, status in ((most, 202), (most + 1, 413), (most + 100, 400)):
        answer = client.post("/v1/jobs", files=[("picture", content)] * count + [style])
        assert answer.status_code == status, answer.text
        if status == 202:
            client.delete(f"/v1/jobs/{answer.json()['id']}")


def test_a_body_that_stalls(client):
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port), timeout=20) as line:
        line.sendall(
            b"POST /v1/paint HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=x\r\n"
            b"content-length: 1000\r\n\r\n--x\r\n"
        )
        assert b" 408 " in line.recv(4096).split(b"\r\n")[0]


@pytest.mark.slow
def test_painting_that_takes_too_long(tmp_path):
    limits = Limits(seconds=0.3, pixels=600_000)
    with web_service.running(web_service.settings(tmp_path, limits=limits, workers=1, memory="3MB")) as client:
        answer = paint(client, slow_picture())
        assert fault(answer) == (413, "LimitError")
        assert "took more than 0.3 seconds" in answer.json()["error"]["message"]
        wait_for(lambda: "upbrush_workers_idle 1.0" in client.get("/metrics").text)


def test_a_worker_writes_no_file_and_dies_with_the_service(client):
    """By the limits that the system holds it to, read from outside."""
    for pid in pids(client):
        with open(f"/proc/{pid}/limits", encoding="ascii") as file:
            limits = {line[:25].strip(): line[25:].split()[0] for line in file}
        assert limits["Max file size"] == "0"
        assert limits["Max core file size"] == "0"
        assert int(limits["Max address space"]) == SMALL.worker_bytes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("pixel=5", "did you mean pixels?"),
        ("pixels=x", "is no number"),
        ("pixels=0", "more than 0"),
        ("zz=1", "there are"),
    ],
)
def test_limits_that_cannot_be(change, words):
    with pytest.raises(ConfigError, match=words):
        orders.limits_of([change])


def test_limits_are_changed_one_by_one():
    limits = orders.limits_of(["pixels=5", "keep_hours=.5"])
    assert (limits.pixels, limits.keep_hours, limits.waiting) == (5, 0.5, Limits().waiting)
