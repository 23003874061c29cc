"""Jobs: nothing lost, nothing doubled, whatever dies in the middle; told as they go, kept for their time."""

import contextlib
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import web_service
from PIL import Image
from web_service import SMALL, encoded, ended, held, png, wait_for

from upbrush import picture, styles
from upbrush.engine import open_engine
from upbrush.knobs import Knobs
from upbrush.painter import Painter
from upbrush.web.ledger import Ledger
from upbrush.web.orders import Order
from upbrush.web.runner import queue


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def client(folder):
    with web_service.running(web_service.settings(folder, memory="3MB")) as client:
        yield client


def begin(client, contents, **fields):
    sent = [("picture", (f"holiday {number}.png", content)) for number, content in enumerate(contents, 1)]
    return client.post("/v1/jobs", files=sent, data={key: str(one) for key, one in fields.items()})


def events(client, id):
    """What is told of a job, to its end: [(event, data)]."""
    found = []
    with client.stream("GET", f"/v1/jobs/{id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = None
        for line in answer.iter_lines():
            kind, _, rest = line.partition(": ")
            if kind == "event":
                name = rest
            elif kind == "data":
                found.append((name, json.loads(rest)))
    return found


def slow(seed=0):
    """A picture of many tiles: seconds of work, to be caught in the middle of."""
    rows, columns = np.mgrid[:400, :500] // 4
    return encoded(np.dstack((rows, columns + seed, rows ^ columns)).astype(np.uint8), "JPEG", quality=40)


def test_a_job_from_beginning_to_end(client, folder, draw):
    contents = [png(draw(20, 30, seed=seed)) for seed in range(3)]
    answer = begin(client, contents, style="monet", format="webp", quality=90)
    assert answer.status_code == 202
    id = answer.json()["id"]
    assert answer.headers["location"] == f"/v1/jobs/{id}"
    assert answer.json()["state"] == "waiting"
    told = events(client, id)
    assert told[-1][0] == "done"
    assert {name for name, _ in told[:-1]} <= {"progress"}
    shares = [data["progress"] for _, data in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    job = client.get(f"/v1/jobs/{id}").json()
    assert (job["done"], job["failed"], job["pictures"]) == (3, 0, 3)
    assert [result["name"] for result in job["results"]] == [f"holiday {number}.png" for number in (1, 2, 3)]
    painter = Painter(open_engine(model_dir=folder / "model", threads=1))
    knobs = Knobs(styles.resolve("monet", painter.engine))
    for content, result in zip(contents, job["results"], strict=True):
        sent = client.get(result["url"])
        assert sent.headers["content-type"] == "image/webp"
        assert len(sent.content) == result["bytes"]
        file = io.BytesIO()
        picture.write(
            knobs.paint(painter, picture.read(content), None), file, note=knobs.note(painter.engine.identity),
            format="webp", quality=90,
        )  # fmt: skip
        assert sent.content == file.getvalue()
    with zipfile.ZipFile(io.BytesIO(client.get(job["zip"]).content)) as packed:
        assert packed.namelist() == [f"{number:04}-holiday {number}.webp" for number in (1, 2, 3)]
        assert packed.read("0002-holiday 2.webp") == client.get(job["results"][1]["url"]).content
        assert packed.testzip() is None


def test_one_bad_picture_fails_alone(client, draw):
    id = begin(client, [png(draw(9, 9)), b"no picture", png(draw(9, 9))]).json()["id"]
    job = ended(client, id)
    assert (job["state"], job["done"], job["failed"], job["progress"]) == ("done", 2, 1, 1)
    assert job["results"][1]["error"]["type"] == "PictureError"
    assert job["results"][1]["url"] is None
    assert client.get(f"/v1/jobs/{id}/results/2").status_code == 404


def test_a_job_of_bad_pictures_has_failed(client):
    job = ended(client, begin(client, [b"no picture"]).json()["id"])
    assert (job["state"], job["error"]["type"]) == ("failed", "PictureError")
    assert client.get(job["zip"]).status_code == 404


def test_random_is_one_style_for_a_whole_job(client, draw):
    content = png(draw(16, 16))
    job = ended(client, begin(client, [content] * 3, style="random").json()["id"])
    assert len({client.get(result["url"]).content for result in job["results"]}) == 1


def test_a_job_in_the_style_of_a_picture_is_painted_as_a_picture_is(client, draw):
    content, style = png(draw(16, 16)), png(draw(40, 30, seed=5))
    files = {"picture": content, "style_picture": style}
    job = ended(client, client.post("/v1/jobs", files=files).json()["id"])
    whole = client.post("/v1/paint", files=files)
    painted = [
        np.asarray(Image.open(io.BytesIO(one))) for one in (client.get(job["results"][0]["url"]).content, whole.content)
    ]
    np.testing.assert_array_equal(*painted)
    assert whole.content != client.post("/v1/paint", files={"picture": content}).content


def test_maps_of_what_was_invented_as_a_job(client, draw):
    job = ended(client, begin(client, [png(draw(16, 20))], kind="invented").json()["id"])
    assert job["kind"] == "invented"
    with Image.open(io.BytesIO(client.get(job["results"][0]["url"]).content)) as image:
        assert (image.mode, image.size) == ("RGBA", (20, 16))


def packed(*entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def send_zip(client, content, **fields):
    return client.post("/v1/jobs", files={"zip": ("a.zip", content)}, data=fields)


def test_a_zip_of_pictures(client, draw):
    content = packed(
        ("trip/../../../b.png", png(draw(8, 8, seed=1))), ("notes.txt", b"words"), (".hidden.png", b"x"),
        ("__MACOSX/c.png", b"x"), ("d.jpg", encoded(draw(8, 8, seed=2), "JPEG")), ("bad.png", b"x" * 50),
    )  # fmt: skip
    job = ended(client, send_zip(client, content).json()["id"])
    assert [(one["name"], one["state"]) for one in job["results"]] == [
        ("b.png", "done"),
        ("d.jpg", "done"),
        ("bad.png", "failed"),
    ]
    with zipfile.ZipFile(io.BytesIO(client.get(job["zip"]).content)) as archive:
        assert archive.namelist() == ["0001-b.png", "0002-d.png"]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"PK\x03\x04 nothing", 422, "the zip: damaged or locked"),
        (packed(("a.txt", b"x")), 422, "holds no pictures"),
        (packed(*((f"{number}.png", b"x") for number in range(21))), 413, "holds 21 pictures"),
    ],
    ids=["damaged", "empty", "many"],
)
def test_zips_that_are_refused(client, content, status, words):
    answer = send_zip(client, content)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


def test_a_zip_that_swells_fails_picture_by_picture(client, draw):
    job = ended(client, send_zip(client, packed(("a.png", bytes(50_000_000)), ("b.png", png(draw(8, 8))))).json()["id"])
    assert job["results"][0]["error"]["type"] == "LimitError"
    assert job["results"][1]["state"] == "done"


@pytest.mark.parametrize("files", [{}, {"picture": b"x", "zip": b"y"}], ids=["none", "both"])
def test_pictures_or_a_zip(client, files):
    answer = client.post("/v1/jobs", files=files or {"style_picture": b"z"})
    assert answer.status_code == 422
    assert "send one of them" in answer.json()["error"]["message"]


def test_a_wrong_style_is_told_at_once(client, draw, folder):
    before = sorted((folder / "data" / "jobs").iterdir())
    answer = begin(client, [png(draw(8, 8))], style="manet")
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "StyleError")
    assert sorted((folder / "data" / "jobs").iterdir()) == before
    assert list((folder / "data" / "incoming").iterdir()) == []


def test_cancelling_keeps_what_is_painted(client, draw):
    id = begin(client, [png(draw(8, 8)), *map(slow, range(1, 16))]).json()["id"]
    wait_for(lambda: client.get(f"/v1/jobs/{id}").json()["done"] >= 1)
    assert client.delete(f"/v1/jobs/{id}").status_code == 200
    job = ended(client, id)
    assert job["state"] == "cancelled"
    assert 1 <= job["done"] < 16
    assert events(client, id)[-1][0] == "cancelled"
    assert client.get(f"/v1/jobs/{id}/results/1").status_code == 200
    wait_for(lambda: "upbrush_workers_idle 2.0" in client.get("/metrics").text)
    assert client.delete(f"/v1/jobs/{id}").status_code == 204
    assert client.get(f"/v1/jobs/{id}").status_code == 404
    assert client.delete(f"/v1/jobs/{id}").status_code == 404


def test_sliders_stay_live_while_a_folder_is_painted(client, draw):
    """One worker is not given to jobs."""
    pool = client.app.state.desk.pool
    wait_for(lambda: len(pool._idle) == 2)
    with held(client):
        id = begin(client, [slow(1), slow(2), slow(3)]).json()["id"]
        wait_for(lambda: len(pool._idle) == 1)
        os.kill(pool._idle[0].process.pid, signal.SIGCONT)
        answer = client.post("/v1/paint", files={"picture": png(draw(64, 64))}, data={"preview": "64"})
        assert answer.status_code == 200
        assert client.get(f"/v1/jobs/{id}").json()["done"] == 0
        client.delete(f"/v1/jobs/{id}")
    ended(client, id)


def test_one_client_has_so_many_jobs(client, draw):
    with held(client):
        ids = [begin(client, [slow(1)]).json()["id"] for _ in range(SMALL.jobs_a_client)]
        refused = begin(client, [png(draw(8, 8))])
        for id in ids:  # while none can have ended, whose deletion would take it away
            client.delete(f"/v1/jobs/{id}")
    assert (refused.status_code, refused.json()["error"]["type"]) == (429, "BusyError")
    assert int(refused.headers["retry-after"]) > 0
    for id in ids:
        ended(client, id)
    assert begin(client, [png(draw(8, 8))]).status_code == 202


def test_a_job_called_off_while_its_files_are_opened_leaves_none_open(client, draw, monkeypatch):
    opened, opening = [], Ledger.open_part

    def slowly(*told):
        time.sleep(0.5)
        opened.append(opening(*told))
        return opened[-1]

    monkeypatch.setattr(Ledger, "open_part", slowly)
    with held(client):
        id = begin(client, [png(draw(8, 8))]).json()["id"]
        wait_for(lambda: opened or client.get(f"/v1/jobs/{id}").json()["state"] == "running")
        client.delete(f"/v1/jobs/{id}")
        assert ended(client, id)["state"] == "cancelled"
    wait_for(lambda: opened and opened[0].closed, 10)
    wait_for(lambda: not list(Path(opened[0].name).parent.glob("*.part")), 10)


@pytest.mark.parametrize("id", ["0" * 32, "x", "%2e%2e%2fx", "0" * 31 + "G"])
def test_jobs_that_are_not_there(client, id):
    for path in (f"/v1/jobs/{id}", f"/v1/jobs/{id}/events", f"/v1/jobs/{id}/results/1", f"/v1/jobs/{id}/results.zip"):
        answer = client.get(path)
        assert answer.status_code in (404, 422), path
        assert answer.json()["error"]["type"] in ("NotFoundError", "RequestError")


def test_names_on_the_disk_are_ours(client, folder, draw):
    ended(client, begin(client, [png(draw(8, 8))]).json()["id"])
    names = {path.name for path in (folder / "data").rglob("*")}
    assert not [name for name in names if "holiday" in name]
    assert {path.name for path in folder.iterdir()} == {"model", "data"}


@contextlib.contextmanager
def serving(folder):
    """The program itself, over a data folder: (process, address)."""
    command = [
        sys.executable, "-m", "upbrush", "serve", "--data", folder / "data", "--model", folder / "model", "--port", "0",
        "--workers", "2", "--threads", "1", "--memory", "3MB",
    ]  # fmt: skip
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()  # where a test failed


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, id="kill -9"),
        pytest.param(signal.SIGTERM, id="terminate", marks=pytest.mark.slow),
    ],
)
def test_a_job_goes_on_after_the_service_was_stopped_in_the_middle(tmp_path, draw, number):
    web_service.settings(tmp_path)
    contents = [png(draw(12, 12)), *map(slow, range(1, 4)), png(draw(14, 14))]
    sizes = [(12, 12), *[(400, 500)] * 3, (14, 14)]
    numbers = {str(number) for number in range(1, 6)}
    with serving(tmp_path) as (process, place), httpx.Client(base_url=place, timeout=90) as client:
        id = begin(client, contents, style="random").json()["id"]
        wait_for(lambda: client.get(f"/v1/jobs/{id}").json()["done"] >= 1)
        first = client.get(f"/v1/jobs/{id}/results/1").content
        workers = children(process.pid)
        assert len(workers) >= 2
        for pid in workers:  # so that it is the middle, however fast this machine is
            os.kill(pid, signal.SIGSTOP)
        process.send_signal(number)
        process.wait(90)
        for pid in filter(is_alive, workers):
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not any(is_alive(pid) for pid in workers))
    out = tmp_path / "data" / "jobs" / id / "out"
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix != ".part"}
    assert {"1"} <= set(before) < numbers
    assert Ledger(tmp_path / "data", SMALL).state(id).state == "running"

    with serving(tmp_path) as (process, place), httpx.Client(base_url=place, timeout=90) as client:
        assert events(client, id)[-1][0] == "done"
        job = client.get(f"/v1/jobs/{id}").json()
        assert (job["done"], job["failed"]) == (5, 0)
        assert client.get(f"/v1/jobs/{id}/results/1").content == first
        for result, (height, width) in zip(job["results"], sizes, strict=True):
            with Image.open(io.BytesIO(client.get(result["url"]).content)) as image:
                assert image.size == (4 * width, 4 * height)
                image.load()
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 0
    after = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert set(after) == numbers
    assert before.items() <= after.items()  # what was there is not painted again
    assert Ledger(tmp_path / "data", SMALL).state(id).runs in ((2,) if number == signal.SIGKILL else (1, 2))
    assert len(queue(tmp_path / "data", None)) == 0
    assert list((tmp_path / "data" / "incoming").iterdir()) == []


def test_a_job_ends_where_the_disk_has_no_more_room(client, draw, monkeypatch):
    def full(size=0):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with held(client):
        id = begin(client, [slow(1)]).json()["id"]
        monkeypatch.setattr(client.app.state.desk.ledger, "check_room", full)
    job = ended(client, id)
    assert (job["state"], job["error"]["type"]) == ("failed", "LimitError")
    assert "No space left" in job["error"]["message"]


def test_what_was_sent_goes_when_a_job_has_ended(client, folder, draw):
    id = begin(client, [png(draw(8, 8))], style="monet").json()["id"]
    ended(client, id)
    place = folder / "data" / "jobs" / id
    wait_for(lambda: not (place / "in").exists() and not (place / "style").exists())


@pytest.mark.parametrize(("runs", "state"), [(4, "done"), (5, "failed")])
def test_a_job_that_brings_the_service_down_is_given_up(client, draw, runs, state):
    """As after `runs` times of `kill -9` over it."""
    desk = client.app.state.desk
    coming = desk.ledger.begin("x")
    (coming / "in" / "1").write_bytes(png(draw(8, 8)))
    job = desk.ledger.commit(coming, Order(), ["a"], packed=False, client="x")
    desk.ledger.write_state(job, replace(desk.ledger.state(job.id), state="running", runs=runs))
    desk.runner.add(job)
    told = ended(client, job.id)
    assert told["state"] == state
    if state == "failed":
        assert f"ended {runs} times in the middle of this job" in told["error"]["message"]
