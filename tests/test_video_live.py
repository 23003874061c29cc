"""Live: files at their own speed, streams from their first frame, a window that is really seen."""

import os
import re
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from clips import pictures_of, shots, write_clip
from PIL import ImageGrab, features
from tiny_model import write_library
from typer.testing import CliRunner

from upbrush import cli
from upbrush.video import live, sources

COUNT = 12


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("video-live") / "model")


@pytest.fixture
def clip(tmp_path):
    """Its only key frame is the first."""
    return write_clip(tmp_path / "in.mp4", shots(COUNT))


def upbrush_says(model_dir, *words):
    return CliRunner().invoke(cli.app, ["video", *map(str, words), "--model", str(model_dir)])


def test_a_file_comes_whole_and_at_its_own_speed(clip):
    newest = live.Newest(sources.Address(str(clip)), paced=True)
    received = [at for _, at in newest.frames(None)]
    newest.close()
    assert newest.received == COUNT
    assert received[-1] - received[0] > 0.8 * (COUNT - 1) / 25


def test_nothing_of_a_stream_is_thrown_away_before_it_is_decoded(tmp_path):
    """Its only key frame is among what is looked at first."""
    source, pipe = write_clip(tmp_path / "in.ts", shots(COUNT)), tmp_path / "pipe"
    os.mkfifo(pipe)
    feeder = threading.Thread(target=lambda: pipe.write_bytes(source.read_bytes()), daemon=True)
    feeder.start()
    newest = live.Newest(sources.address(str(pipe)))
    frames = [frame for frame, _ in newest.frames(None)]
    newest.close()
    feeder.join(10)
    assert newest.received == COUNT
    assert frames[-1].pts - frames[0].pts <= (COUNT - 1) * 3600


def test_a_file_is_painted_into_a_pipe(model_dir, clip, tmp_path):
    pipe, got = tmp_path / "pipe", tmp_path / "got.ts"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.write_bytes(pipe.read_bytes()), daemon=True)
    reader.start()
    said = upbrush_says(model_dir, clip, "-o", pipe)
    reader.join(10)
    assert said.exit_code == 0, said.output
    painted, came = map(int, re.search(r"(\d+) of (\d+) frames painted", said.output).groups())
    assert came == COUNT
    pictures = pictures_of(got)
    assert len(pictures) == painted
    assert pictures[0].shape == (96, 128, 3)


@pytest.fixture
def display(monkeypatch):
    """A screen that nobody sees."""
    pytest.importorskip("tkinter", reason="this Python has no tkinter")
    program = shutil.which("Xvfb")
    if program is None or not features.check("xcb"):
        pytest.skip("needs Xvfb and a Pillow that looks at X screens")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        [program, "-displayfd", str(writing), "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[writing], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writing)
    with os.fdopen(reading) as told:
        name = f":{told.readline().strip()}"
    monkeypatch.setenv("DISPLAY", name)
    yield name
    server.terminate()
    server.wait(10)


def shown(display):
    return np.asarray(ImageGrab.grab(xdisplay=display).convert("RGB")).reshape(-1, 3)


def test_a_clip_is_played_in_a_window(display, model_dir, clip):
    """In a process of its own: Xlib ends the one that it is in when its server goes."""
    words = [sys.executable, "-m", "upbrush", "video", str(clip), "-o", "window", "--model", str(model_dir)]
    process, most = subprocess.Popen(words, stderr=subprocess.PIPE, text=True), 0
    while process.poll() is None:
        most = max(most, int(shown(display).any(1).sum()))
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert re.search(rf"\d+ of {COUNT} frames painted", said)
    assert most >= 0.9 * 96 * 128  # on a black screen


def test_a_file_afar_is_said_to_be_live(model_dir, tmp_path):
    said = upbrush_says(model_dir, "http://127.0.0.1:9/film.mp4", "-o", tmp_path / "out.mp4")
    assert said.exit_code == 2, said.output
    assert "is painted as it comes, like a camera" in said.output
