"""`upbrush batch` as it is typed: exit codes, what it says, and one line for what a user can mend."""

import re
import socket
from contextlib import closing

import pytest
from conftest import draw
from PIL import Image
from test_folders_run import Here
from tiny_model import write_library
from typer.testing import CliRunner

from upbrush import cli, screen
from upbrush.folders import local


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def _here(model, monkeypatch):
    monkeypatch.setenv("UPBRUSH_MODEL", str(model))
    monkeypatch.setattr(local, "Crew", Here)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png", "c.jpg"):
        Image.fromarray(draw(8, 9)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    return tmp_path / "photos"


def batch(*words):
    return CliRunner().invoke(cli.app, ["batch", *(str(word) for word in words)])


def test_a_folder_is_painted_once_and_the_summary_says_how(photos):
    done = batch("photos", "-o", "out", "--style", "monet", "--threads", "1")
    assert done.exit_code == 0, done.output
    assert re.search(
        r"painted 3, left out 1 \(not pictures\); \d+ s, .* pictures and .* megapixels a second", done.stderr
    )
    again = batch("photos", "-o", "out", "--style", "monet")
    assert "painted 0, 3 were done" in again.stderr
    changed = batch("photos", "-o", "out", "--style", "klimt")
    assert "painted 3 (3 anew: changed since)" in changed.stderr
    assert batch("photos", "-o", "out", "--style", "klimt", "--quiet").stderr == ""


def test_what_failed_is_named_with_the_ledger_and_the_exit_code(photos):
    (photos / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    done = batch("photos", "-o", "out", "--quiet")
    assert done.exit_code == 1
    assert "upbrush: photos/bad.png: " in done.stderr
    assert "failed 1" in done.stderr
    assert "is in out/upbrush-ledger.sqlite; the same command tries it again" in done.stderr


def test_results_that_somebody_has_changed_are_named(photos):
    batch("photos", "-o", "out")
    (photos.parent / "out" / "a.png").write_bytes(b"mine")
    done = batch("photos", "-o", "out")
    assert done.exit_code == 0
    assert "a.png: has 4 bytes and was written with" in done.stderr
    assert "left 1 that the ledger did not make" in done.stderr


def test_notes_are_told_with_the_pictures_name(photos):
    Image.fromarray(draw(8, 8)).convert("RGBA").save(photos / "clear.png")
    done = batch("photos/clear.png", "-o", "out", "--format", "jpeg")
    assert "clear.jpg: JPEG has no transparency: laid on white" in done.stderr


def test_ctrl_c_says_where_it_goes_on(photos, monkeypatch):
    def stopped(self, tasks):
        yield self.easel.paint(next(iter(tasks)))
        raise KeyboardInterrupt

    monkeypatch.setattr(Here, "paint", stopped)
    done = batch("photos", "-o", "out")
    assert done.exit_code == 130
    assert "stopped; 1 of 3 painted, the same command goes on from there" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["photos", "-o", "out", "--format", "gif"], "cannot write 'gif' files"),
        (["photos", "-o", "out", "--style", "mone"], "did you mean monet?"),
        (["photos", "-o", "out", "--style", "random"], "give a seed, as in random:7"),
        (["photos", "-o", "out", "--strength", "0.5"], "strength goes with a style"),
        (["photos", "-o", "out", "--scale", "2", "--size", "9x9"], "give one of them"),
        (["photos", "-o", "out", "--stereo", "cross"], "stereo 'cross' is unknown"),
        (["photos", "-o", "out", "--gpus", "1"], "--gpus goes with --ray"),
        (["photos", "-o", "photos/a.png"], "is a file; several pictures need a folder"),
        (["photos", "-o", "photos"], "would be replaced by its own painting"),
        (["photos", "photos/../photos/trip", "-o", "out", "--memory", "much"], "memory"),
        (["none.csv", "-o", "out"], "none.csv: not found"),
        (["photos", "-o", "out", "--model", "nowhere"], "nowhere"),
    ],
)
def test_one_line_and_exit_code_2_for_what_a_user_can_mend(photos, words, told):
    done = batch(*words)
    assert done.exit_code == 2, done.output
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(photos.glob("upbrush*"))


def test_a_cluster_that_cannot_be_reached_is_one_line(photos):
    pytest.importorskip("ray")
    with closing(socket.socket()) as shut:
        shut.bind(("127.0.0.1", 0))
        done = batch("photos", "-o", "out", "--ray", f"127.0.0.1:{shut.getsockname()[1]}")
    assert done.exit_code == 2
    assert "cannot be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert batch("photos", "-o", "out").exit_code == 0  # nothing stands in the way of doing it here


def test_a_log_gets_a_line_now_and_then(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    with screen.counter(100, quiet=False) as tick:
        for _ in range(8):
            now[0] += 10
            tick.end()
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "upbrush: 3 of 100, 0.1 a second, about 16 minutes left"
    assert len(told) == 2
