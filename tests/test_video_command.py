"""`upbrush video` as people call it: exit codes, one line for each mistake, kill -9, live streams."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from clips import packets_of, pictures_of, shots, times_of, write_animation, write_clip
from tiny_model import write_library
from typer.testing import CliRunner

from upbrush import cli
from upbrush.errors import ConfigError
from upbrush.video import encoding, meter, reading, sources
from upbrush.video.clip import Frame
from upbrush.video.overlap import ahead

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("video-cli") / "model")


@pytest.fixture(autouse=True)
def _model(model_dir, monkeypatch):
    monkeypatch.setenv("UPBRUSH_MODEL", str(model_dir))
    monkeypatch.delenv("UPBRUSH_FACES", raising=False)


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "in.mp4", shots(12, 10))


def upbrush_says(*words):
    return CliRunner().invoke(cli.app, ["video", *map(str, words)])


def test_a_clip_is_repainted(clip, tmp_path):
    out = tmp_path / "out.mp4"
    said = upbrush_says(clip, "-o", out, "--style", "0s:monet,.5s:klimt")
    assert said.exit_code == 0, said.output
    assert "22 frames of 128x96, 22 painted now" in said.output
    assert times_of(out) == times_of(clip)
    with av.open(str(out)) as container:
        assert "model tiny-0" in container.metadata["comment"]


def test_an_odd_width_cannot_be_two_eyes(tmp_path):
    source = write_clip(tmp_path / "odd.mkv", shots(2, height=24, width=31), codec="ffv1", pixels="yuv420p")
    said = upbrush_says(source, "-o", tmp_path / "out.mkv", "--stereo", "side")
    assert said.exit_code == 2
    assert "odd.mkv: is 31 pixels wide, two eyes (side) need an even number" in said.output


def test_a_preview_is_a_page_beside_the_output(clip, tmp_path):
    said = upbrush_says(clip, "-o", tmp_path / "out.mp4", "--style", "klimt", "--preview", 3)
    assert said.exit_code == 0, said.output
    assert (tmp_path / "out.preview.png").exists()
    assert not (tmp_path / "out.mp4").exists()


def test_a_moving_picture_becomes_a_clip(tmp_path):
    source = write_animation(tmp_path / "a.gif", shots(6), [50] * 6)
    said = upbrush_says(source, "-o", tmp_path / "a.mp4", "--size", "64x48")
    assert said.exit_code == 0, said.output
    assert pictures_of(tmp_path / "a.mp4")[0].shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from", "5", "--to", "4"], "--to 4 is not later than --from 5"),
        (["--from", "60"], "has no frame in the part that is asked for"),
        (["--from", "soon"], "time 'soon' is not a time"),
        (["--codec", "vhs"], "codec 'vhs' is not one that can be written here"),
        (["--codec", "prores"], "a .mp4 file cannot hold ProRes"),
        (["--crf", "90"], "crf 90 is not for H.264"),
        (["--size", "33x21"], "needs even sides, found 33x21"),
        (["--strength", ".5"], "--strength goes with a style"),
        (["--only", "faces"], "--only goes with a style"),
        (["--only", "faces", "--style", "monet"], "needs a face detector"),
        (["--style", "0s:monte"], "monet"),
        (["--drop", "video"], "--drop video: is not one of audio, subtitles"),
        (["--on", "whitish"], "--on whitish: is not a colour"),
        (["--stereo", "up"], "stereo"),
        (["--preview", "3", "--from", "60"], "has no frame in the part that is asked for"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(clip, tmp_path, words, told):
    said = upbrush_says(clip, "-o", tmp_path / "out.mp4", *words)
    assert said.exit_code == 2, said.output
    assert told in said.output
    assert len(said.output.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("in.mp4", "would be replaced by its own painting"),
        ("there.mp4", "is there already; choose another name, or give --overwrite"),
        ("nowhere/out.mp4", "its folder does not exist"),
        ("noname", "expected the name of a clip"),
        ("out.xyz", "clips are not written as .xyz; expected .mp4"),
    ],
)
def test_outputs_that_cannot_be_are_told(clip, tmp_path, out, told):
    (tmp_path / "there.mp4").write_bytes(b"precious")
    said = upbrush_says(clip, "-o", tmp_path / out)
    assert said.exit_code == 2, said.output
    assert re.search(told, said.output)
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"


def test_a_clip_that_is_cut_short_is_painted_as_far_as_it_goes(tmp_path):
    whole = write_clip(tmp_path / "a.mkv", shots(30), codec="ffv1", pixels="bgr0", options={"g": "1"}).read_bytes()
    source = tmp_path / "cut.mkv"
    source.write_bytes(whole[: len(whole) * 2 // 3])
    said = upbrush_says(source, "-o", tmp_path / "out.mkv")
    assert said.exit_code == 1, said.output
    assert "ends after" in said.output
    assert "cut short or damaged" in said.output
    assert 10 < len(pictures_of(tmp_path / "out.mkv")) < 30


def test_a_clip_that_is_damaged_in_the_middle_is_told(tmp_path):
    source = write_clip(tmp_path / "a.ts", shots(40), options={"g": "10"})
    data = source.read_bytes()
    at = len(data) // 376 * 188
    source.write_bytes(data[:at] + data[at + 10 * 188 :])
    said = upbrush_says(source, "-o", tmp_path / "out.mkv", "--scale", 1)
    assert said.exit_code == 1, said.output
    (line,) = [line for line in said.output.splitlines() if "missing before its end" in line]
    lost = int(re.search(r"(\d+) frames? (is|are) missing", line)[1])
    assert len(pictures_of(tmp_path / "out.mkv")) == 40 - lost


def test_progress_is_told_in_a_log_too(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(meter.time, "monotonic", lambda: now[0])
    with meter.meter(quiet=False) as told:
        for done in range(10, 190):
            told.frames(done, 200)
            now[0] += 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "upbrush: 70 of 200 frames, 1.00 a second, about 2 minutes left",
        "upbrush: 130 of 200 frames, 1.00 a second, about 1 minutes left",
    ]


def test_help_is_instant():
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "upbrush", "video", "--help"], check=True, capture_output=True)
    assert time.perf_counter() - began < 10  # CI is slow; the real limit is in test_cli


@pytest.mark.slow
def test_kill_minus_nine_loses_nothing(model_dir, tmp_path):
    """Killed at any moment, again and again, it ends with the bytes of a run that nobody killed."""
    clip = write_clip(tmp_path / "in.mp4", shots(40, 30, 50, 60, 30, height=48, width=64), sound=True)
    command = [sys.executable, "-m", "upbrush", "video", str(clip), "--style", "klimt", "--model", str(model_dir), "-o"]
    began = time.perf_counter()
    subprocess.run([*command, str(tmp_path / "whole.mkv")], check=True)
    whole = time.perf_counter() - began
    rng, kills, out = np.random.default_rng(5), 0, tmp_path / "out.mkv"
    while not out.exists():
        process = subprocess.Popen([*command, str(out)], stderr=subprocess.DEVNULL)
        try:
            process.wait(whole * (rng.uniform(0.4, 0.8) + kills / 5))  # each time a little longer: it must end
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills
    assert out.read_bytes() == (tmp_path / "whole.mkv").read_bytes()
    assert packets_of(out, "audio") == packets_of(clip, "audio")


def test_a_stream_goes_live_to_a_file(tmp_path):
    out = tmp_path / "live.mkv"
    said = upbrush_says("lavfi:testsrc=size=64x48:rate=20:duration=1", "-o", out, "--style", "klimt")
    assert said.exit_code == 0, said.output
    assert "latency" in said.output
    assert pictures_of(out)[0].shape == (192, 256, 3)


def test_a_named_pipe_is_painted_as_it_comes(tmp_path):
    pipe, out = tmp_path / "pipe", tmp_path / "out.mkv"
    os.mkfifo(pipe)
    clip = write_clip(tmp_path / "in.ts", shots(40, height=48, width=64), options={"g": "5"})

    def feed():
        with open(pipe, "wb") as file:
            file.write(clip.read_bytes())

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    said = upbrush_says(pipe, "-o", out)
    thread.join(10)
    assert said.exit_code == 0, said.output
    assert len(pictures_of(out)) >= 1


def test_udp_carries_a_painting_to_whoever_listens():
    got = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = f"udp://127.0.0.1:{free.getsockname()[1]}"

    def listen():
        options = {"probesize": "50000", "analyzeduration": "500000"}
        with av.open(address, format="mpegts", options=options, timeout=(20, 5)) as container:
            got.extend(
                frame.to_ndarray(format="rgb24") for frame, _ in zip(container.decode(video=0), range(3), strict=False)
            )

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    time.sleep(0.3)
    said = upbrush_says("lavfi:testsrc=size=64x48:rate=10", "-o", address, "--to", "4")
    thread.join(10)
    assert said.exit_code == 0, said.output
    assert got
    assert got[0].shape == (192, 256, 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["camera:87", "-o", "x.mkv"], "camera:87: (there is no such camera|cannot be read)"),
        (["udp://127.0.0.1:1", "-o", "x.mkv", "--crf", "20"], "--crf is for clips"),
        (["lavfi:nonsense", "-o", "x.mkv"], "lavfi|nonsense"),
    ],
)
def test_live_mistakes_are_one_line(words, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = upbrush_says(*words)
    assert said.exit_code == 2, said.output
    assert re.search(told, said.output)
    assert len(said.output.strip().splitlines()) == 1


def test_names_of_cameras_and_streams():
    assert sources.is_live("camera:0")
    assert sources.is_live("rtsp://host/a")
    assert not sources.is_live("clip.mp4")
    assert sources.is_window("window")
    assert sources.address("v4l2:/dev/video1") == sources.Address("/dev/video1", "v4l2")
    assert sources.address("-") == sources.Address("pipe:0")
    assert sources.sent_to("rtmp://host/a").format == "flv"
    assert sources.sent_to("udp://host:1").format == "mpegts"


@pytest.mark.parametrize(("platform", "format"), [("linux", "v4l2"), ("darwin", "avfoundation"), ("win32", "dshow")])
def test_cameras_are_called_as_each_system_does(monkeypatch, platform, format):
    monkeypatch.setattr(sources.sys, "platform", platform)
    assert sources.address("camera:0").format == format


def test_a_system_without_known_cameras_is_told(monkeypatch):
    monkeypatch.setattr(sources.sys, "platform", "plan9")
    with pytest.raises(ConfigError, match="cameras of plan9 are not known here"):
        sources.address("camera:0")


def test_no_stage_runs_far_ahead_of_the_next():
    made = []
    items = ahead((made.append(index) or index for index in range(1000)), 4, "test")
    next(items)
    time.sleep(0.3)
    assert len(made) <= 7
    items.close()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
def test_encoders_give_their_memory_back(clip, tmp_path):
    """One is made for each segment: a film has thousands."""

    def resident_mb():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    target = encoding.plan(tmp_path / "out.mp4", reading.probe(clip), (128, 96))
    before = 0.0
    for turn in range(25):
        encoder = encoding.Encoder(target)
        for index in range(4):
            encoder.encode(Frame(512 * index, 512, np.zeros((96, 128, 3), np.uint8)))
        encoder.flush()
        encoder.close()
        before = resident_mb() if turn == 4 else before
    assert resident_mb() - before < 20  # left open, they take 55 MB
