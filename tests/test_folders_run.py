"""Runs of `upbrush batch`: the same bytes as `upbrush paint`, only what is missing or changed, and workers that die."""

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import draw
from deadly import DEADLY_PX, Deadly
from PIL import Image
from tiny_model import write_library

from upbrush import batch, saving, styles
from upbrush.engine import open_engine
from upbrush.errors import ConfigError, PictureError, WeightsError
from upbrush.folders import claim, local, places, split
from upbrush.folders.crew import Crew
from upbrush.folders.easel import Easel, Materials
from upbrush.folders.local import Hands
from upbrush.folders.run import Wanted, planned
from upbrush.folders.split import Split, Trial
from upbrush.folders.task import Asked, Done, Task
from upbrush.knobs import Knobs
from upbrush.painter import Painter


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("model"))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for number, name in enumerate(("a.png", "b.jpg", "trip/c.webp", "trip/d.tif", "e.bmp")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(8, 9 + number, seed=number)).save(folder / name)
    return folder


@pytest.fixture
def alone(monkeypatch):
    """One process, this one: an easel instead of a crew."""

    def paint(ledger, materials, hands, chosen):
        easel = Easel(materials)
        yield from map(easel.paint, ledger.waiting())

    monkeypatch.setattr(local, "paint", paint)


def wanted(photos, model, asked=Asked("monet"), **rest):  # noqa: B008 (frozen)
    return Wanted([str(photos)], str(photos.parent / "out"), asked, Materials("", model=str(model)), **rest)


def run(asked_for):
    """Painted names and errors, the counts, what was refused."""
    refused = []
    with planned(asked_for, refused.append) as going:
        outcomes = list(going.paint())
        return (
            [done.name for done in outcomes if not done.error],
            [done for done in outcomes if done.error],
            going.counts,
        )


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*.*")
        if "ledger" not in path.name
    }


def rows(out, words):
    with closing(sqlite3.connect(out / "upbrush-ledger.sqlite")) as base:
        return base.execute(f"SELECT {words} FROM pictures ORDER BY name").fetchall()


@pytest.mark.usefixtures("alone")
def test_the_same_bytes_as_paint(photos, model, tmp_path):
    run(wanted(photos, model))
    engine = open_engine(model_dir=model)
    plan = batch.plan([str(photos)], str(tmp_path / "painted"), batch.Saved())
    knobs = Knobs(styles.resolve("monet", engine))
    for outcome in batch.run(plan.jobs, Painter(engine), knobs, batch.Saved(), stdin=None, stdout=None):
        assert outcome.error is None
    assert files(tmp_path / "out") == files(tmp_path / "painted")
    assert len(files(tmp_path / "out")) == 5


@pytest.mark.usefixtures("alone")
def test_only_what_is_missing_or_changed_is_painted_again(photos, model, tmp_path):
    out = tmp_path / "out"
    assert len(run(wanted(photos, model))[0]) == 5
    assert run(wanted(photos, model))[0] == []
    (out / "a.png").unlink()
    Image.fromarray(draw(10, 10)).save(photos / "b.jpg")
    assert run(wanted(photos, model))[0] == ["a.png", "b.jpg"]
    with Image.open(out / "b.jpg") as image:
        assert image.size == (40, 40)
    painted, _, counts = run(wanted(photos, model, Asked("monet", 0.5)))
    assert (len(painted), counts.changed) == (5, 5)
    (out / "a.png").write_bytes(b"somebody's own work")
    painted, _, counts = run(wanted(photos, model))
    assert (len(painted), counts.kept) == (4, 1)
    assert (out / "a.png").read_bytes() == b"somebody's own work"
    assert len(run(wanted(photos, model, overwrite=True))[0]) == 5


@pytest.mark.usefixtures("alone")
def test_a_bad_file_is_written_down_and_tried_again(photos, model, tmp_path):
    whole = (photos / "b.jpg").read_bytes()
    (photos / "b.jpg").write_bytes(whole[:200])
    painted, [bad], _ = run(wanted(photos, model))
    assert len(painted) == 4
    assert bad.error.startswith(f"{photos / 'b.jpg'}: damaged or cut short")
    assert [row for row in rows(tmp_path / "out", "name, status, error") if row[1] == "failed"] == [
        ("b.jpg", "failed", bad.error)
    ]
    (photos / "b.jpg").write_bytes(whole)
    assert run(wanted(photos, model))[0] == ["b.jpg"]
    assert {row[0] for row in rows(tmp_path / "out", "status")} == {"done"}


@pytest.mark.usefixtures("alone")
def test_a_full_disk_ends_the_run_and_loses_nothing(photos, model, tmp_path, monkeypatch):
    encode, calls = saving.encode, iter(range(99))

    def full(file, *rest):
        if next(calls) == 2:
            raise OSError(28, "No space left on device")
        encode(file, *rest)

    monkeypatch.setattr(saving, "encode", full)
    with pytest.raises(PictureError, match="No space left on device.*the same command goes on from there"):
        run(wanted(photos, model))
    assert len(files(tmp_path / "out")) == 2
    assert [row[0] for row in rows(tmp_path / "out", "status")].count("waiting") == 3
    assert len(run(wanted(photos, model))[0]) == 3


@pytest.mark.usefixtures("alone")
def test_what_can_be_seen_before_painting_leaves_nothing_behind(photos, model, tmp_path):
    for words, error in (
        ({"asked": Asked("nosuch")}, "no style is called"),
        ({"inputs": ["*.nothing"]}, "no file here"),
    ):
        with pytest.raises(Exception, match=error):
            run(Wanted(**vars(wanted(photos, model)) | words))
    with pytest.raises(ConfigError, match="would be replaced by its own painting"):
        run(Wanted([str(photos)], str(photos), Asked(), Materials("", model=str(model))))
    assert not (tmp_path / "out").exists()
    assert not list(photos.glob("upbrush*"))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("way", ["folder", "file", "dots", "address"])
def test_an_original_is_never_replaced_by_its_painting(photos, model, tmp_path, way):
    before = files(photos)
    out, given = tmp_path / "link", photos
    if way == "folder":
        out.symlink_to(photos)
    elif way == "file":
        out.mkdir()
        (out / "a.png").symlink_to(photos / "a.png")
        given = photos / "a.png"
    else:
        pytest.importorskip("fsspec")
        out = f"{tmp_path}/none/../photos" if way == "dots" else f"local://{photos}"
    with pytest.raises(ConfigError, match="would be replaced by its own painting"):
        run(Wanted([str(given)], str(out), Asked(), Materials("", model=str(model)), overwrite=True))
    assert files(photos) == before
    assert not (photos / "upbrush-ledger").exists()


@pytest.mark.usefixtures("alone")
def test_no_original_is_replaced_by_the_painting_of_another(photos, model, tmp_path):
    before = files(photos)
    (tmp_path / "list.csv").write_text(
        "input,output\nphotos/a.png,a.png\nphotos/b.jpg,c.webp\nphotos/trip/c.webp,e.png\n"
    )
    into = Wanted([str(tmp_path / "list.csv")], str(tmp_path / "out"), Asked(), Materials("", model=str(model)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"of no worth")
    (tmp_path / "out" / "c.webp").symlink_to(photos / "trip" / "c.webp")
    with pytest.raises(ConfigError, match=r"c\.webp: would be replaced by the painting of .*b\.jpg"):
        run(replace(into, overwrite=True))
    assert files(photos) == before
    assert run(into)[0] == ["e.png"]  # the others are left alone


@pytest.mark.usefixtures("alone")
def test_two_runs_into_one_address_are_kept_apart(photos, model, tmp_path, monkeypatch):
    pytest.importorskip("fsspec")
    far = Wanted([str(photos)], f"local://{tmp_path}/far", Asked(), Materials("", model=str(model)))
    with planned(far) as first:
        with pytest.raises(ConfigError, match=r"far: another run is painting into it \(.*:\d+, 0 s ago\); wait"):
            run(far)
        assert len(list(first.paint())) == 5  # the first has lost nothing by it
    assert not list((tmp_path / "far" / "upbrush-ledger").glob("claim-*"))
    killed = claim.Held(far.out)  # and never heard of again
    killed.say()
    with pytest.raises(ConfigError, match="if it was killed, give the same command in 90 s"):
        run(far)
    monkeypatch.setattr(claim, "FRESH_SECONDS", 0.0)
    assert run(far)[2].done == 5
    assert not list((tmp_path / "far" / "upbrush-ledger").glob("claim-*"))


@pytest.mark.usefixtures("alone")
def test_who_was_taken_for_dead_makes_way(photos, model, tmp_path, monkeypatch):
    pytest.importorskip("fsspec")
    far = Wanted([str(photos)], f"local://{tmp_path}/far", Asked(), Materials("", model=str(model)))
    with planned(far) as run_of_a_sleeper:
        mine = run_of_a_sleeper._held
        places.remove(mine._place)  # as who comes next does with what is stale
        other = claim.Held(far.out)
        other.say()
        mine.say()  # in time: it need not look round
        mine.check()
        mine._said -= 2 * claim.FRESH_SECONDS
        mine.say()
        with pytest.raises(ConfigError, match="another run is painting into it"):
            list(run_of_a_sleeper.paint())
        other.leave()
    assert [path.name for path in (tmp_path / "far").glob("*.png")] == ["a.png"]  # that it was at, and no more


@pytest.mark.usefixtures("alone")
def test_an_address_takes_results_and_a_ledger_of_parquet(photos, model, tmp_path, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    run(wanted(photos, model))
    far = Wanted([str(photos)], "memory://results/out", Asked("monet"), Materials("", model=str(model)))
    assert len(run(far)[0]) == 5
    assert run(far)[0] == []
    system = fsspec.filesystem("memory")
    assert {name: system.cat(f"/results/out/{name}") for name in files(tmp_path / "out")} == files(tmp_path / "out")
    assert len(system.ls("/results/out/upbrush-ledger")) == 2  # what was planned, and what was done
    monkeypatch.setattr("upbrush.folders.parts.MOST_PARTS", 3)
    (photos / "a.png").unlink()
    Image.fromarray(draw(10, 10)).save(photos / "b.jpg")
    assert run(far)[0] == ["b.jpg"]
    assert len(system.ls("/results/out/upbrush-ledger")) == 1
    assert run(far)[0] == []  # what one part knows of all runs
    system.rm("/results", recursive=True)


def test_a_killed_worker_is_replaced_and_a_deadly_picture_given_up(photos, model, tmp_path):
    Image.fromarray(draw(8, DEADLY_PX)).save(photos / "deadly.png")
    tasks = [Task(path.stem + ".png", str(path), Asked()) for path in sorted(photos.rglob("*.*"))]
    materials = Deadly(str(tmp_path / "out"), model=str(model), threads=1)
    with Crew(materials, 2) as crew:
        outcomes = {done.name: done for done in crew.paint(tasks)}
        assert len(outcomes) == len(tasks)
        bad = outcomes.pop("deadly.png")
        assert (bad.attempts, "3 workers ended over it (signal SIGKILL)" in bad.error) == (3, True)
        assert all(done.error is None for done in outcomes.values())
        again = [done.error for done in crew.paint(tasks[:2])]  # the crew is whole again
        assert again == [None, None]
    assert set(files(tmp_path / "out")) == set(outcomes)  # no unfinished file is left


def test_a_worker_killed_from_outside_loses_nothing(photos, model, tmp_path):
    tasks = [Task(f"{number}.png", str(photos / "a.png"), Asked()) for number in range(12)]
    with Crew(Materials(str(tmp_path / "out"), model=str(model), threads=1), 1) as crew:
        outcomes = []
        for done in crew.paint(tasks):
            outcomes.append(done)
            if len(outcomes) in (2, 5):
                os.kill(int(done.worker.rpartition(":")[2]), signal.SIGKILL)
    assert sorted(done.name for done in outcomes) == sorted(task.name for task in tasks)
    assert [done.error for done in outcomes] == [None] * 12
    assert len({done.worker for done in outcomes}) == 3


def test_what_a_killed_worker_had_begun_to_write_is_removed(tmp_path, model, photos):
    out = tmp_path / "out"
    out.mkdir()
    crew = Crew(Materials(str(out), model=str(model), threads=1), 1)
    with crew:
        assert [done.error for done in crew.paint([Task("a.png", str(photos / "a.png"), Asked())])] == [None]
        worker = crew._workers[0]
        (out / f".{worker.tag}-12.part").touch()
        (out / ".others-12.part").touch()
        worker.tasks.append((Task("b.png", "b", Asked()), 1))
        crew._remove_parts(worker)
    assert sorted(path.name for path in out.iterdir()) == [".others-12.part", "a.png"]


def test_a_model_that_does_not_work_ends_the_run(tmp_path, photos, model):
    broken = tmp_path / "model"
    shutil.copytree(model, broken)
    (broken / "renderer.onnx").write_bytes(b"nothing")
    tasks = [Task("a.png", str(photos / "a.png"), Asked())]
    with Crew(Materials(str(tmp_path / "out"), model=str(broken)), 1) as crew, pytest.raises(WeightsError):
        list(crew.paint(tasks))
    with pytest.raises(WeightsError, match="the run is of other"):
        Materials("", model=str(model), identity="other").painter()


def test_ways_to_split_a_machine():
    ways = split.candidates(8, 1000, 10**9, 10**11, None, None)
    assert [str(way) for way in ways] == ["8 x 1", "4 x 2", "2 x 4", "1 x 8"]
    assert split.candidates(8, 3, 10**9, None, None, None)[0] == Split(3, 2)  # few pictures
    assert split.candidates(8, 99, 10**9, 3 * 10**9, None, None)[0] == Split(2, 4)  # little memory
    assert split.candidates(8, 99, 10**9, 10**6, None, None)[0] == Split(1, 8)
    assert split.candidates(8, 99, 10**9, None, None, 4) == [Split(2, 4), Split(1, 4)]
    assert split.candidates(8, 99, 10**9, None, 3, None) == [Split(3, 2)]
    with pytest.raises(ConfigError, match="give fewer, or less --memory"):
        split.candidates(8, 99, 10**9, 2 * 10**9, 4, None)
    assert not split.is_worth_trying(ways, 8, 100)
    assert not split.is_worth_trying(ways[:1], 8, 10**6)


def test_a_trial_takes_the_quickest_way_and_paints_each_picture_once(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(split.time, "perf_counter", lambda: now[0])
    speeds = {Split(4, 1): 2.0, Split(2, 2): 3.0, Split(1, 4): 1.0}

    class Fake:
        def __init__(self, way):
            self.way = way

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def paint(self, tasks):
            for task in tasks:
                now[0] += 1 / speeds[self.way]
                yield Done(task.name, pixels=100)

    tasks = iter([Task(str(number), "", Asked()) for number in range(1000)])
    trial = Trial(list(speeds), Fake, seconds=20.0)
    done = [one.name for one in trial.paint(tasks)]
    assert trial.best == Split(2, 2)
    assert trial.speeds[Split(2, 2)] == pytest.approx(300)
    assert done == [str(number) for number in range(len(done))]
    assert next(tasks).name == str(len(done))  # nothing was taken and not painted


class Here:
    """A crew that is this process."""

    def __init__(self, materials, processes):
        self.easel, self.processes = Easel(materials), processes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def paint(self, tasks):
        yield from map(self.easel.paint, tasks)


def test_a_split_is_measured_once_and_remembered(photos, model, monkeypatch):
    monkeypatch.setattr(local, "Crew", Here)
    monkeypatch.setattr(split, "cores", lambda: 2)
    monkeypatch.setattr(split, "WORTH", 1)
    monkeypatch.setattr(split, "TRIAL_SECONDS", 0.0)
    told = []
    for asked in (Asked(), Asked(fidelity=1.0)):
        with planned(wanted(photos, model, asked)) as going:
            outcomes = list(going.paint(lambda way, measured: told.append((way, measured))))
        assert [done.error for done in outcomes] == [None] * 5
    assert len(told) == 2
    assert told[0] == told[1]
    assert told[0][1]


def test_hands_that_are_given_are_taken(photos, model, monkeypatch):
    monkeypatch.setattr(local, "Crew", Here)
    told = []
    with planned(wanted(photos, model, hands=Hands(2, 1))) as going:
        assert len(list(going.paint(lambda way, measured: told.append((way, measured))))) == 5
    assert told == [(Split(2, 1), False)]


def test_names_of_unfinished_files_tell_whose_they_are(tmp_path):
    seen = []

    def save(file):
        seen.extend(path.name for path in Path(tmp_path).iterdir())
        file.write(b"x")

    saving.store(tmp_path / "a.png", save, overwrite=False)
    assert seen[0].startswith(f".{saving.process_tag()}-")
    assert seen[0].endswith(".part")
