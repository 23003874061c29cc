"""Batches: what goes where, what is skipped, what is refused before any painting, and one bad file among good ones."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import PlainEngine, draw
from PIL import Image

from upbrush import batch, picture, saving
from upbrush.batch import Job, Saved
from upbrush.errors import ConfigError, OutOfMemoryError, PictureError, StyleError
from upbrush.knobs import Knobs
from upbrush.painter import Painter
from upbrush.styles import Style


@pytest.fixture
def photos(tmp_path):
    """A folder with a tree, a text, a hidden file and a hidden folder."""
    folder = tmp_path / "photos"
    for name in ("b.jpg", "a.png", "trip/c.webp", "trip/deep/d.tif", ".hidden.png", ".cache/e.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(6, 8)).save(path)
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture
def painter():
    return Painter(PlainEngine())


def run(jobs, painter, knobs=Knobs(), saved=Saved(), stdin=b""):  # noqa: B008 (frozen)
    stdout = io.BytesIO()
    outcomes = list(batch.run(jobs, painter, knobs, saved, stdin=io.BytesIO(stdin), stdout=stdout))
    return outcomes, stdout.getvalue()


def targets(plan):
    return [job.target for job in plan.jobs]


def test_a_folder_keeps_its_tree(photos, tmp_path):
    out = tmp_path / "out"
    plan = batch.plan([str(photos)], str(out), Saved())
    assert targets(plan) == [out / "a.png", out / "b.jpg", out / "trip/c.webp", out / "trip/deep/d.tif"]
    assert [job.source for job in plan.jobs] == [photos / path.relative_to(out) for path in targets(plan)]
    assert (plan.done, plan.ignored) == (0, 1)


def test_what_is_there_is_done(photos, tmp_path):
    out = tmp_path / "out"
    (out / "trip").mkdir(parents=True)
    (out / "trip" / "c.webp").touch()
    plan = batch.plan([str(photos)], str(out), Saved())
    assert (len(plan.jobs), plan.done) == (3, 1)
    again = batch.plan([str(photos)], str(out), Saved(overwrite=True))
    assert (len(again.jobs), again.done) == (4, 0)


def test_a_format_names_the_files(photos, tmp_path):
    plan = batch.plan([str(photos)], str(tmp_path / "out"), Saved(format="jpeg"))
    assert {path.suffix for path in targets(plan)} == {".jpg"}


def test_what_cannot_be_written_becomes_png(tmp_path):
    source = tmp_path / "a.bmp"
    Image.fromarray(draw(6, 8)).save(source)
    assert targets(batch.plan([str(source)], str(tmp_path / "out"), Saved())) == [tmp_path / "out" / "a.png"]


def test_files_and_folders_mix_and_count_once(photos, tmp_path):
    given = [str(photos / "a.png"), str(photos), str(photos / "a.png")]
    plan = batch.plan(given, str(tmp_path / "out"), Saved())
    assert sorted(path.name for path in targets(plan)) == ["a.png", "b.jpg", "c.webp", "d.tif"]


def test_an_output_inside_the_input_is_not_painted_again(photos):
    out = photos / "large"
    first = batch.plan([str(photos)], str(out), Saved())
    for path in targets(first):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert batch.plan([str(photos)], str(out), Saved()).jobs == ()


@pytest.mark.parametrize("name", ["out", "out/", "made.already"])
def test_a_single_picture_can_go_into_a_folder(photos, tmp_path, name):
    (tmp_path / "made.already").mkdir()
    plan = batch.plan([str(photos / "a.png")], f"{tmp_path}/{name}", Saved())
    assert targets(plan) == [tmp_path / name / "a.png"]


def test_an_original_is_seen_behind_a_link(photos, tmp_path):
    (tmp_path / "same").symlink_to(photos)
    (tmp_path / "a.png").symlink_to(photos / "a.png")
    for given, out in ((photos, "same"), (photos / "a.png", "a.png"), (photos / "trip", "same/trip")):
        with pytest.raises(ConfigError, match="replaced by its own painting"):
            batch.plan([str(given)], str(tmp_path / out), Saved(overwrite=True))
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").symlink_to(photos / "trip" / "deep" / "d.tif")
    with pytest.raises(ConfigError, match=r"a\.png: is to be painted itself"):
        batch.plan([str(photos)], str(out), Saved(overwrite=True))


def test_a_single_picture_can_be_named(photos, tmp_path):
    plan = batch.plan([str(photos / "a.png")], str(tmp_path / "new" / "b.jpg"), Saved())
    assert plan.jobs == (Job(photos / "a.png", tmp_path / "new" / "b.jpg"),)


def test_a_named_file_that_is_there_is_an_error_not_skipped(photos, tmp_path):
    (tmp_path / "b.jpg").touch()
    with pytest.raises(PictureError, match="is there already; choose another name, or give --overwrite"):
        batch.plan([str(photos / "a.png")], str(tmp_path / "b.jpg"), Saved())
    assert len(batch.plan([str(photos / "a.png")], str(tmp_path / "b.jpg"), Saved(overwrite=True)).jobs) == 1


@pytest.mark.parametrize(
    ("inputs", "out", "saved", "error", "words"),
    [
        (["a.png"], "x.xyz", Saved(), PictureError, "cannot write 'xyz' files"),
        (["a.png"], "x.png", Saved(format="jpeg"), ConfigError, "is the name of PNG, the format asked for is jpeg"),
        (["a.png"], "out", Saved(format="xyz"), PictureError, "cannot write 'xyz' files"),
        (["a.png", "b.jpg"], "notes.txt", Saved(), ConfigError, "several pictures need a folder"),
        (["a.png"], "trip/noname", Saved(), ConfigError, "no suffix to tell the format"),
        (["a.png", "b.jpg"], "-", Saved(), ConfigError, "standard output takes one picture"),
        (["."], "-", Saved(), ConfigError, "standard output takes one picture"),
        (["-"], "out", Saved(), ConfigError, "has no name"),
        (["a.png", "-"], "out", Saved(), ConfigError, "has no name"),
        (["a.png"], "a.png", Saved(overwrite=True), ConfigError, "replaced by its own painting"),
        (["."], ".", Saved(overwrite=True), ConfigError, "replaced by its own painting"),
        (["."], "out", Saved(format="png"), ConfigError, "would both become"),
        (["a.png", "trip/a.png"], "out", Saved(), ConfigError, "would both become"),
        (["a.png"], "notes.txt/x.png", Saved(), PictureError, "cannot be made"),
    ],
)
def test_what_does_not_go_together_is_refused(photos, monkeypatch, inputs, out, saved, error, words):
    monkeypatch.chdir(photos)
    Image.fromarray(draw(4, 4)).save("a.webp")  # beside a.png
    Path("trip/noname").touch()
    with pytest.raises(error, match=words):
        batch.plan(inputs, out, saved)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind here")
def test_a_folder_that_may_not_be_written_is_told_before_painting(photos, tmp_path):
    (tmp_path / "shut").mkdir(mode=0o500)
    with pytest.raises(PictureError, match="cannot be written to"):
        batch.plan([str(photos)], str(tmp_path / "shut"), Saved())


def test_a_place_that_takes_no_files_is_told_before_painting(photos, tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(batch.tempfile, "TemporaryFile", refuse)
    with pytest.raises(PictureError, match=r"out: cannot be written to \(Read-only file system\)"):
        batch.plan([str(photos)], str(tmp_path / "out"), Saved())


def test_a_folder_that_cannot_be_listed_does_not_vanish(photos, tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(batch.places.os, "scandir", refuse)
    with pytest.raises(PictureError, match="cannot be listed"):
        batch.plan([str(photos)], str(tmp_path / "out"), Saved())


def test_running_paints_everything_four_times_larger(photos, tmp_path, painter):
    plan = batch.plan([str(photos)], str(tmp_path / "out"), Saved())
    outcomes, _ = run(plan.jobs, painter)
    assert [outcome.error for outcome in outcomes] == [None] * 4
    painted = [picture.read(path).pixels for path in targets(plan)]
    assert [pixels.shape for pixels in painted] == [(24, 32, 3)] * 4
    np.testing.assert_array_equal(painted[0][::4, ::4], draw(6, 8))


def test_one_bad_file_does_not_stop_the_rest(photos, tmp_path, painter):
    (photos / "a.png").write_text("no picture")
    (photos / "trip/c.webp").write_bytes(b"")
    plan = batch.plan([str(photos), str(photos / "missing.png")], str(tmp_path / "out"), Saved())
    outcomes, _ = run(plan.jobs, painter)
    failed = {outcome.job.source.name: outcome.error for outcome in outcomes if outcome.error}
    assert failed.keys() == {"a.png", "c.webp", "missing.png"}
    for name, error in failed.items():
        assert isinstance(error, PictureError)
        assert name in str(error)
        assert "\n" not in str(error)
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == ["b.jpg", "d.tif"]


def test_running_out_of_memory_fails_one_picture(photos, tmp_path, painter, monkeypatch):
    plan = batch.plan([str(photos)], str(tmp_path / "out"), Saved())
    errors = iter([MemoryError(), OutOfMemoryError("too small a budget")])
    paint = Painter.paint

    def sometimes(self, *given, **knobs):
        error = next(errors, None)
        if error:
            raise error
        return paint(self, *given, **knobs)

    monkeypatch.setattr(Painter, "paint", sometimes)
    outcomes, _ = run(plan.jobs, painter)
    assert [type(outcome.error) for outcome in outcomes] == [OutOfMemoryError] * 2 + [type(None)] * 2
    assert str(outcomes[1].error) == f"{photos / 'b.jpg'}: too small a budget"


def test_an_error_of_the_style_stops_the_batch(photos, tmp_path, painter, monkeypatch):
    def refuse(*_, **__):
        raise StyleError("of another model")

    monkeypatch.setattr(Painter, "paint", refuse)
    plan = batch.plan([str(photos)], str(tmp_path / "out"), Saved())
    with pytest.raises(StyleError):
        run(plan.jobs, painter)


def test_a_size_that_one_picture_cannot_have_fails_that_one(tmp_path, painter):
    for name, side in (("large", 40), ("small", 4)):
        Image.fromarray(draw(side, side)).save(tmp_path / f"{name}.png")
    plan = batch.plan([str(tmp_path)], str(tmp_path / "out"), Saved())
    outcomes, _ = run(plan.jobs, painter, Knobs(size="long:200"))
    assert [type(outcome.error) for outcome in outcomes] == [type(None), ConfigError]
    assert str(outcomes[1].error).startswith(str(tmp_path / "small.png"))


@pytest.mark.parametrize(("format", "kind"), [(None, "PNG"), ("jpeg", "JPEG"), ("tiff", "TIFF")])
def test_streams_in_and_out(photos, painter, format, kind):
    plan = batch.plan(["-"], "-", Saved(format=format))
    outcomes, written = run(plan.jobs, painter, saved=Saved(format=format), stdin=(photos / "b.jpg").read_bytes())
    assert outcomes[0].error is None
    image = Image.open(io.BytesIO(written))
    assert (image.format, image.size) == (kind, (32, 24))


def test_a_bad_stream_is_named_so(painter):
    outcomes, written = run([Job(batch.STREAM, batch.STREAM)], painter, stdin=b"no picture")
    assert str(outcomes[0].error).startswith("standard input: ")
    assert written == b""


def test_an_error_on_the_way_to_a_stream_names_the_picture(photos, painter):
    painter.memory_bytes = 1
    outcomes, _ = run([Job(photos / "a.png", batch.STREAM)], painter)
    assert isinstance(outcomes[0].error, OutOfMemoryError)
    assert str(outcomes[0].error).startswith(f"{photos / 'a.png'}: ")


def test_pictures_tell_how_they_were_made(photos, tmp_path, painter):
    style = Style("Monet", np.zeros(256), "fake")
    target = tmp_path / "a.png"
    run([Job(photos / "a.png", target)], painter, Knobs(style, strength=0.75, fidelity=0.25))
    note = picture.read_note(target)
    assert note.pop("software").startswith("upbrush ")
    assert note == {"model": "fake", "style": "Monet", "strength": "0.75", "fidelity": "0.25"}
    run([Job(photos / "a.png", tmp_path / "b.jpg")], painter)
    assert picture.read_note(tmp_path / "b.jpg").keys() == {"software", "model", "fidelity"}  # no style, no strength


def test_an_interruption_leaves_nothing_half_written(photos, tmp_path, painter, monkeypatch):
    plan = batch.plan([str(photos)], str(tmp_path / "out"), Saved())
    encode = saving.encode
    calls = iter(range(9))

    def interrupted(file, *rest):
        if next(calls) == 1:
            file.write(b"half")
            raise KeyboardInterrupt
        encode(file, *rest)

    monkeypatch.setattr(saving, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(plan.jobs, painter)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    left = batch.plan([str(photos)], str(tmp_path / "out"), Saved())
    assert (len(left.jobs), left.done) == (3, 1)


def test_the_progress_of_every_picture_is_told(photos, tmp_path, painter):
    plan = batch.plan([str(photos)], str(tmp_path / "out"), Saved())
    told = []
    for outcome in batch.run(
        plan.jobs, painter, Knobs(), Saved(), stdin=io.BytesIO(), stdout=io.BytesIO(),
        begun=lambda job: told.append(job.source.name), progress=lambda done, total: told.append((done, total)),
    ):  # fmt: skip
        told.append(outcome.error)
    assert told[:4] == ["a.png", (0, 1), (1, 1), None]
    assert len(told) == 16


def test_suffixes_cover_what_can_be_written():
    assert set(saving.writable_suffixes()) <= batch.PICTURE_SUFFIXES
    assert Path("x.HEIC").suffix.lower() in batch.PICTURE_SUFFIXES
