"""Clips as jobs: painted in a process that may die, gone on with behind the last whole segment."""

import io
import os
import signal
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import web_service
from PIL import Image
from web_service import SMALL, ended, png, wait_for

pytest.importorskip("av", reason="clips need the extra video")
pytest.importorskip("cv2", reason="clips need the extra video")

from clips import packets_of, pictures_of, scene, shots, times_of, write_clip
from test_web_jobs import events, is_alive, serving

from upbrush.web import filming
from upbrush.web.problems import Problem

LIMITS = replace(SMALL, clip_bytes=900_000, clip_frames=200, pixels=10_000, result_pixels=160_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def client(folder):
    with web_service.running(web_service.settings(folder, limits=LIMITS, memory="3MB")) as client:
        yield client


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clips") / "in.mkv", shots(30, 28), sound=True)


def begin(client, *contents, **fields):
    sent = [("clip", (f"holiday {number}.mov", content)) for number, content in enumerate(contents, 1)]
    return client.post("/v1/jobs", files=sent, data={"kind": "video", **fields})


def fetched(client, job, tmp_path, suffix=".mp4"):
    path = tmp_path / f"out{suffix}"
    path.write_bytes(client.get(job["results"][0]["url"]).content)
    return path


def test_a_clip_from_beginning_to_end(client, folder, clip, tmp_path):
    answer = begin(client, clip.read_bytes(), style="monet", container="mkv", codec="ffv1", end="1.6", drop="audio")
    assert answer.status_code == 202, answer.text
    told = events(client, answer.json()["id"])
    assert told[-1][0] == "done"
    assert max(data["tiles"]["total"] for _, data in told) in (0, 40)  # frames; none where it was too quick to be seen
    job = client.get(told[-1][1]["events"].removesuffix("/events")).json()
    assert (job["kind"], job["done"], job["results"][0]["name"]) == ("video", 1, "holiday 1.mov")
    sent = client.get(job["results"][0]["url"], headers={"range": "bytes=0-3"})
    assert (sent.status_code, sent.headers["content-type"]) == (206, "video/x-matroska")
    out = fetched(client, job, tmp_path, ".mkv")
    assert times_of(out) == times_of(clip)[:40]
    assert pictures_of(out)[0].shape == (96, 128, 3)
    assert not packets_of(out, "audio")
    names = {path.name for path in (folder / "data" / "jobs" / job["id"]).rglob("*")}
    assert not names & {"film", "holiday 1.mov"}  # nothing is left but the result


def test_an_mp4_by_default_and_sound_is_kept(client, clip, tmp_path):
    out = fetched(client, ended(client, begin(client, clip.read_bytes(), end="0.3").json()["id"]), tmp_path)
    assert out.read_bytes()[4:8] == b"ftyp"
    assert packets_of(out, "audio")


def test_moving_pictures_in_and_out(client, tmp_path):
    frames = [Image.fromarray(scene(index)) for index in range(5)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=40)
    job = ended(client, begin(client, file.getvalue(), container="gif").json()["id"])
    with Image.open(io.BytesIO(client.get(job["results"][0]["url"]).content)) as image:
        assert (image.format, image.n_frames, image.size) == ("GIF", 5, (128, 96))


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"no clip at all", 415, "is none of MP4"),
        (PLAYLIST, 415, "is none of MP4"),  # FFmpeg would fetch what it names
        (b"\0\0\0\x20ftypisom" + PLAYLIST * 9, 415, "cannot be read"),
        (b"x" * 900_001, 413, "is larger than 900,000 bytes"),
    ],
    ids=["words", "playlist", "a playlist that begins as a clip", "bytes"],
)
def test_what_is_no_clip_is_refused_at_once(client, folder, content, status, words):
    answer = begin(client, content)
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (status, True), answer.text
    assert str(folder) not in answer.text
    assert not list((folder / "data" / "incoming").iterdir())


@pytest.mark.parametrize(
    ("count", "size", "fields", "words"),
    [
        (201, (8, 8), {}, "has 201 frames, more than 200; send a part of it"),
        (2, (96, 128), {}, "has 128x96 pixels, more than 10,000"),
        (2, (60, 80), {"scale": "8"}, "would become 640x480, more than 160,000"),
        (2, (24, 32), {"container": "webm", "codec": "h264"}, "a .webm file cannot hold H.264"),
    ],
    ids=["frames", "pixels", "result", "codec"],
)
def test_clips_that_cannot_be_painted_are_refused_at_once(client, tmp_path, count, size, fields, words):
    path = write_clip(tmp_path / "in.mkv", [np.zeros((*size, 3), np.uint8)] * count)
    answer = begin(client, path.read_bytes(), **fields)
    assert answer.status_code in (413, 422)
    assert words in answer.json()["error"]["message"]


def test_clips_go_with_their_kind(client, clip):
    content = clip.read_bytes()
    for files, kind in (({"picture": png(scene(0))}, "video"), ({"clip": content}, "paint"), ({}, "video")):
        answer = client.post("/v1/jobs", files=files or {"style_file": b"x"}, data={"kind": kind})
        assert (answer.status_code, answer.json()["error"]["type"]) == (422, "ConfigError")


def test_where_clips_cannot_be_read_it_says_what_to_install(client, clip, monkeypatch):
    monkeypatch.setattr(filming, "find_spec", lambda name: None)
    answer = begin(client, clip.read_bytes())
    assert answer.status_code == 501
    assert 'pip install "upbrush[video]"' in answer.json()["error"]["message"]


def film_of(client, id, folder):
    """The process that paints a job's clip, when it has kept a segment."""
    film = folder / "data" / "jobs" / id / "film"
    wait_for(lambda: list(film.rglob("*.segment")) or client.get(f"/v1/jobs/{id}").json()["state"] == "done")
    assert list(film.rglob("*.segment")), "too quick to be caught"
    service = getattr(client, "pid", os.getpid())
    tasks = Path(f"/proc/{service}/task").glob("*/children")  # a process is the child of a thread
    for pid in (int(word) for task in tasks for word in task.read_text().split()):
        if b"upbrush.web.projector" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise AssertionError("nobody paints")


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clips") / "long.mkv", shots(*[26] * 5))


def test_a_process_that_dies_takes_only_its_own_clip_with_it(client, folder, long_clip):
    id = begin(client, long_clip.read_bytes(), steady="false").json()["id"]
    os.kill(film_of(client, id, folder), signal.SIGKILL)
    job = ended(client, id)
    assert (job["state"], job["error"]["type"]) == ("failed", "ClipError")
    assert "brought down the process" in job["error"]["message"]
    assert not (folder / "data" / "jobs" / id / "film").exists()


def test_a_clip_is_called_off(client, folder, long_clip):
    id = begin(client, long_clip.read_bytes(), steady="false").json()["id"]
    pid = film_of(client, id, folder)
    assert client.delete(f"/v1/jobs/{id}").status_code == 200
    assert ended(client, id)["state"] == "cancelled"
    assert not is_alive(pid)


@pytest.mark.slow
def test_a_clip_goes_on_after_kill_9(tmp_path, long_clip):
    """Whole segments stay as they were, and the result is that of a service that was never killed."""
    web_service.settings(tmp_path)
    with serving(tmp_path) as (process, place), httpx.Client(base_url=place, timeout=90) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        client.pid = process.pid
        whole = ended(
            client, begin(client, long_clip.read_bytes(), codec="ffv1", container="mkv", steady="false").json()["id"]
        )
        expected = client.get(whole["results"][0]["url"]).content
        id = begin(client, long_clip.read_bytes(), codec="ffv1", container="mkv", steady="false").json()["id"]
        pid = film_of(client, id, tmp_path)
        os.kill(pid, signal.SIGSTOP)
        process.kill()
        process.wait(90)
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: not is_alive(pid))
    film = tmp_path / "data" / "jobs" / id / "film"
    before = {path.name: path.stat().st_mtime_ns for path in film.rglob("*.segment")}
    assert before
    with serving(tmp_path) as (process, place), httpx.Client(base_url=place, timeout=90) as client:
        told = events(client, id)
        assert told[-1][0] == "done"
        job = client.get(f"/v1/jobs/{id}").json()
        assert (job["done"], job["failed"]) == (1, 0)
        assert client.get(job["results"][0]["url"]).content == expected
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def test_beginnings():
    assert filming.suffix_of(b"\x47" + b"\0" * 187 + b"\x47") == ""
    assert filming.suffix_of(b"RIFF\0\0\0\0WEBPVP8 ") == ".webp"
    for head in (b"", b"\x47" + b"\0" * 400, b"\0" * 188 + b"\x47", b"ffconcat version 1.0\n", b"RIFF\0\0\0\0WAVE"):
        with pytest.raises(Problem, match="is none of MP4"):
            filming.suffix_of(head)
