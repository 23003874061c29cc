"""The ledger: what is done, what is missing, what has changed, and what is nobody's to overwrite."""

import json
import sqlite3
from dataclasses import fields, replace

import pytest

from upbrush.errors import ConfigError
from upbrush.folders import manifest
from upbrush.folders.ledger import NAME, Ledger
from upbrush.folders.parts import Parts
from upbrush.folders.task import Asked, Done, Task
from upbrush.knobs import Knobs

TASK = Task("a.png", "in/a.png", Asked(model="m"), "1-1")
PAINTED = Done("a.png", seconds=1.5, pixels=64, bytes=10, worker="here:1")


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger(tmp_path / NAME)
    yield opened
    opened.close()


def again(ledger):
    """The same folder's ledger in the next run."""
    ledger.close()
    return Ledger(ledger.path)


def status(ledger, task=TASK, there=None, overwrite=False):
    """What the next run makes of a picture."""
    opened = again(ledger)
    with opened.writing():
        opened.plan(task, there, overwrite)
    counts = opened.counts()
    opened.close()
    return next(name for name in ("waiting", "done", "kept", "failed") if getattr(counts, name))


@pytest.fixture
def painted(ledger):
    with ledger.writing():
        ledger.plan(TASK, None, False)
    ledger.note(PAINTED)
    return ledger


def test_what_is_done_is_done(painted):
    assert status(painted, there=10) == "done"


def test_what_is_missing_is_painted(painted):
    assert status(painted, there=None) == "waiting"


@pytest.mark.parametrize(
    "change", [{"stamp": "1-2"}, {"asked": Asked(model="m", fidelity=1)}, {"asked": Asked(model="n")}]
)
def test_what_has_changed_is_painted(painted, change):
    assert status(painted, replace(TASK, **change), there=10) == "waiting"


def test_what_somebody_has_changed_is_kept_unless_asked(painted):
    assert status(painted, there=11) == "kept"
    opened = again(painted)
    assert list(opened.troubles("kept")) == []  # of no run yet
    with opened.writing():
        opened.plan(TASK, 11, False)
    assert "changed by somebody" in list(opened.troubles("kept"))[0][1]  # told as often as it is met
    opened.close()
    assert status(painted, replace(TASK, stamp="1-2"), there=11) == "kept"
    assert status(painted, there=11, overwrite=True) == "waiting"


def test_a_file_of_others_is_kept_now_and_later(ledger):
    assert status(ledger, there=5) == "kept"
    assert status(ledger, there=5) == "kept"
    assert status(ledger, there=5, overwrite=True) == "waiting"


def test_what_was_begun_and_not_told_is_painted_again(ledger):
    assert status(ledger, there=None) == "waiting"  # planned; then everything is killed, the file being written
    assert status(ledger, there=10) == "waiting"


def test_what_failed_is_tried_again_but_takes_nobodys_place(ledger):
    with ledger.writing():
        ledger.plan(TASK, None, False)
    ledger.note(Done("a.png", "is damaged", attempts=3))
    assert status(ledger, there=5) == "kept"
    ledger = again(ledger)
    with ledger.writing():
        ledger.refuse("b.png", "in/b.png", "no such")
    assert status(ledger, there=None) == "waiting"


def test_two_pictures_with_one_output_are_refused_and_nothing_is_planned(ledger):
    def both():
        with ledger.writing():
            ledger.plan(TASK, None, False)
            ledger.plan(TASK, None, False)  # named twice is once
            ledger.plan(replace(TASK, source="other/a.png"), None, False)

    with pytest.raises(ConfigError, match=r"in/a.png and other/a.png would both become a.png"):
        both()
    assert ledger.counts().waiting == 0
    ledger.plan(TASK, None, False)
    with pytest.raises(ConfigError, match=r"in/a.png: would become a.png in two ways"):
        ledger.plan(replace(TASK, asked=Asked(model="m", wrap=True)), None, False)


def test_every_knob_is_in_the_settings_that_are_compared():
    assert {field.name for field in fields(Knobs)} < set(json.loads(Asked().text()))
    assert set(manifest.KNOBS) < set(json.loads(Asked().text()))


def test_only_this_runs_pictures_wait(ledger):
    with ledger.writing():
        ledger.plan(TASK, None, False)
    opened = again(ledger)
    others = [replace(TASK, name=f"{number:04d}.png", source=f"in/{number}") for number in range(1200)]
    with opened.writing():
        for other in others:
            opened.plan(other, None, False)
    assert list(opened.waiting()) == others
    opened.close()


def test_one_run_at_a_time(ledger):
    with pytest.raises(ConfigError, match="another run is painting into it"):
        Ledger(ledger.path)


def test_a_ledger_of_a_later_version_or_of_others_is_left_alone(tmp_path):
    path = tmp_path / NAME
    with sqlite3.connect(path) as base:
        base.execute("PRAGMA user_version = 9")
    base.close()
    with pytest.raises(ConfigError, match="update upbrush"):
        Ledger(path)
    path.write_bytes(b"somebody's novel" * 100)
    with pytest.raises(ConfigError, match="is no ledger"):
        Ledger(path)
    assert path.read_bytes().startswith(b"somebody")


def test_parts_hand_on_what_is_known(painted, tmp_path):
    pytest.importorskip("pyarrow")
    parts = Parts(str(tmp_path))
    assert parts.write(painted.all_rows()) == 1
    (tmp_path / "two").mkdir()
    (tmp_path / "three").mkdir()
    other = Ledger(tmp_path / "two" / NAME)
    other.take(parts.read())
    assert status(other, there=10) == "done"
    changed = again(other)
    with changed.writing():
        changed.plan(replace(TASK, stamp="1-2"), 10, False)  # planned anew; its part is later than what was done
    parts.write(changed.planned_rows())
    changed.close()
    third = Ledger(tmp_path / "three" / NAME)
    third.take(parts.read())
    assert status(third, there=99) == "waiting"  # killed while it was made anew: whatever is there is ours


def test_many_parts_become_one(painted, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr("upbrush.folders.parts.MOST_PARTS", 3)
    parts = Parts(str(tmp_path))
    for _ in range(4):
        parts.write(painted.all_rows())
    before = list(parts.read())
    parts.tidy(painted.all_rows())
    assert len(before) == 4
    assert list(parts.read()) == before[:1]
    (tmp_path / "upbrush-ledger" / "part-9.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(ConfigError, match="is no part of a ledger, or damaged"):
        list(parts.read())
