"""Folders to a study: everything wrong told at once, copies that tell nothing, pixels untouched."""

import json
import os
import re

import numpy as np
import pytest
from conftest import draw
from PIL import Image, ImageCms, PngImagePlugin
from survey_people import METHODS, picture_folders, small_study
from typer.testing import CliRunner

from upbrush import cli, picture
from upbrush.errors import ConfigError, DataError
from upbrush.survey import making, study


def upbrush_says(*words):
    return CliRunner().invoke(cli.app, ["survey", *map(str, words)])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return small_study(tmp_path_factory.mktemp("made"))


@pytest.fixture
def folders(tmp_path):
    return picture_folders(tmp_path / "m", items=3)


def test_a_study_reads_back_as_it_was_made(made):
    folder, of = made
    assert study.load(folder) == of
    assert of.methods == METHODS
    assert (len(of.items), len(of.pairs), of.votes, len(of.checks), of.repeats) == (6, 18, 6, 3, 1)
    assert len(of.rated) == 2  # 6 ratings are 2 pictures by 3 methods
    assert study.read_words(folder) == study.read_words()
    assert not list(folder.parent.glob(".study-*"))


def test_pixels_are_kept_and_everything_else_is_not(tmp_path, folders):
    source = folders["sharp"] / "00.png"
    note = PngImagePlugin.PngInfo()
    note.add_text("Software", "upbrush {secret}")
    Image.open(source).save(source, pnginfo=note)
    of = making.make(folders, tmp_path / "study", making.Design(2, 0, 0, 0), study.read_words())
    for item in of.items:
        for method, name in zip(of.methods, item.pictures, strict=True):
            kept = tmp_path / "study" / "pictures" / name
            np.testing.assert_array_equal(
                picture.read(kept).pixels, picture.read(folders[method] / f"{item.name}.png").pixels
            )
            assert re.fullmatch(r"[0-9a-f]{32}\.webp", name)
            assert kept.stat().st_mtime == 0
            content = kept.read_bytes()
            for word in (b"secret", b"upbrush", b"EXIF", b"XMP", *(method.encode() for method in METHODS)):
                assert word not in content


def test_what_browsers_show_differently_is_made_the_same(tmp_path):
    pixels = draw(20, 30)
    clear = np.dstack((pixels, np.zeros((20, 30), np.uint8)))
    assert (np.asarray(making.plain(picture.from_array(clear))) == 255).all()  # on white, not on the page
    deep = picture.from_array(pixels.astype(np.uint16) * 257)
    np.testing.assert_array_equal(np.asarray(making.plain(deep)), pixels)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "tagged.png", icc_profile=srgb)
    np.testing.assert_array_equal(np.asarray(making.plain(picture.read(tmp_path / "tagged.png"))), pixels)
    side = Image.Exif()
    side[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "side.jpg", exif=side)
    assert making.plain(picture.read(tmp_path / "side.jpg")).size == (20, 30)
    assert making._size(tmp_path / "side.jpg", []) == "20x30"


def test_a_check_is_seen_by_anyone(made):
    folder, of = made
    assert len({check.item for check in of.checks}) == 3
    assert len({check.method for check in of.checks}) == 3  # and so tells nothing about one method
    for check in of.checks:
        sharp, worse = (
            picture.read(folder / "pictures" / name).pixels.astype(float)
            for name in (of.items[check.item].pictures[check.method], check.worse)
        )
        assert np.abs(sharp - worse).mean() >= making.LEAST_CHANGE
        grain = [np.abs(np.diff(one, axis=1)).mean() for one in (sharp, worse)]
        assert grain[1] < 0.5 * grain[0]


def test_everything_that_does_not_match_is_told_at_once(tmp_path, folders):
    (folders["soft"] / "00.png").unlink()
    (folders["softest"] / "extra.png").write_bytes((folders["softest"] / "01.png").read_bytes())
    Image.new("RGB", (9, 9)).save(folders["softest"] / "02.png")
    (folders["sharp"] / "01.png").write_text("no picture")
    done = upbrush_says("make", *folders.values(), "-o", tmp_path / "study")
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    for word in (
        "soft has no 00, extra",
        "sharp has no extra",
        "02 is 64x48 in sharp",
        "9x9 in softest",
        "01.png: is not a p",
    ):
        assert word in done.stderr
    assert not (tmp_path / "study").exists()
    assert not list(tmp_path.glob(".study-*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sharp"], "one method"),
        (["sharp", "nowhere"], "nowhere: is no folder"),
        (["sharp", "again=sharp"], "given twice"),
        (["sharp", "sharp=soft"], "the name of two methods"),
        (["empty", "nothing"], "no pictures found"),
        (["sharp", "soft", "--votes", "0", "--ratings", "0"], "ask nothing"),
        (["sharp", "soft", "--ratings", "1"], "fewer than the 2 methods"),
        (["sharp", "soft", "--pictures", "9"], "3 found"),
        (["sharp", "soft", "--reference", "empty"], "the reference has no 00, 01, 02"),
        (["sharp", "copy"], "every picture is the same"),
        (["flat1", "flat2"], "give --checks 0"),
        (["sharp", "soft", "--question", " "], "'question' is no text"),
        (["sharp", "twice"], "one picture twice"),
        (["sharp", "soft", "-o", "sharp"], "no study"),
    ],
)
def test_a_mistake_is_one_line_and_2_and_writes_nothing(folders, monkeypatch, words, said):
    root = folders["sharp"].parent
    monkeypatch.chdir(root)
    for name in ("empty", "nothing", "copy", "flat1", "flat2", "twice"):
        (root / name).mkdir()
    for item in ("00", "01", "02"):
        content = (folders["sharp"] / f"{item}.png").read_bytes()
        (root / "copy" / f"{item}.png").write_bytes(content)
        (root / "twice" / f"{item}.png").write_bytes(content)
    Image.open(root / "twice" / "00.png").save(root / "twice" / "00.webp")
    for shade, name in ((90, "flat1"), (99, "flat2")):
        Image.new("RGB", (30, 30), (shade,) * 3).save(root / name / "a.png")
    before = sorted(root.rglob("*"))
    done = upbrush_says("make", *words, *([] if "-o" in words else ["-o", "study"]))
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.startswith("upbrush: ")
    assert done.stderr.count("\n") == 1
    assert sorted(root.rglob("*")) == before


def test_equal_pictures_are_no_pair(tmp_path, folders):
    (folders["soft"] / "01.png").write_bytes((folders["sharp"] / "01.png").read_bytes())
    done = upbrush_says("make", folders["sharp"], folders["soft"], "-o", tmp_path / "study", "--checks", 2)
    assert done.exit_code == 0, done.stderr
    assert "1 pairs are left out" in done.stderr
    assert [pair[0] for pair in study.load(tmp_path / "study").pairs] == [0, 2]


def test_names_words_and_reference(tmp_path, folders):
    Image.new("RGB", (5, 4)).save(folders["softest"] / "00.png")
    for item in ("01", "02"):
        os.replace(folders["softest"] / f"{item}.png", folders["softest"] / f"{item}.webp")
    words = ["--question", "Which is truer?", "--reference", folders["softest"], "--ties", "--pictures", 3]
    done = upbrush_says("make", f"ours={folders['sharp']}", folders["soft"], "-o", tmp_path / "study", *words)
    assert done.exit_code == 0, done.stderr
    of = study.load(tmp_path / "study")
    assert of.methods == ("ours", "soft")
    assert of.ties
    assert all(item.reference for item in of.items)
    assert study.read_words(tmp_path / "study")["question"] == "Which is truer?"


def test_a_seed_makes_the_same_study_but_for_names_that_must_not_be_guessed(tmp_path, folders):
    made = [
        making.make(folders, tmp_path / str(number), making.Design(pictures=2, seed=3), study.read_words())
        for number in range(2)
    ]
    assert [item.name for item in made[0].items] == [item.name for item in made[1].items]
    assert (made[0].pairs, made[0].rated) == (made[1].pairs, made[1].rated)
    assert not made[0].files & made[1].files


def test_answers_are_never_overwritten(tmp_path, folders):
    words = ["make", folders["sharp"], folders["soft"], "-o", tmp_path / "study", "--overwrite"]
    assert upbrush_says(*words).exit_code == 0
    assert upbrush_says(*words[:-1]).exit_code == 2
    assert upbrush_says(*words).exit_code == 0
    (tmp_path / "study" / "answers.sqlite").write_bytes(b"precious")
    done = upbrush_says(*words)
    assert done.exit_code == 2
    assert "never overwritten" in done.stderr
    assert (tmp_path / "study" / "answers.sqlite").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "is of version 2, this upbrush knows 1; use a newer upbrush"),
        ({"format": "other"}, "is not of a survey"),
        ({"methods": ["one"]}, "1 methods"),
        ({"pairs": [[99, 0, 1]]}, "is of no picture or method"),
        ({"items": "?"}, "is damaged"),
        ({"votes": 1000}, "1000 votes"),
    ],
)
def test_a_manifest_that_is_not_ours_is_one_line(made, tmp_path, change, said):
    folder, _ = made
    content = json.loads((folder / "study.json").read_text(encoding="utf-8")) | change
    (tmp_path / "study.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError) as error:
        study.load(tmp_path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_names_in_a_manifest_cannot_leave_the_folder(made, tmp_path):
    text = (made[0] / "study.json").read_text(encoding="utf-8")
    (tmp_path / "study.json").write_text(
        text.replace(made[1].items[0].pictures[0], "../../../etc/passwd"), encoding="utf-8"
    )
    with pytest.raises(DataError, match="no name of a picture"):
        study.load(tmp_path)


def test_a_picture_that_is_gone_is_told(made, tmp_path):
    (tmp_path / "study.json").write_text((made[0] / "study.json").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(DataError, match="pictures are missing"):
        study.load(tmp_path)
    with pytest.raises(DataError, match="is no study"):
        study.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "is missing"),
        ({"more": "x"}, "is not a text"),
        ({"thanks": 3}, "is no text"),
        ({"number": "none"}, "has no {n}"),
    ],
)
def test_words_are_checked(tmp_path, words, said):
    content = study.read_words() | words
    if not words:
        del content["thanks"]
    (tmp_path / "words.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=said):
        study.read_words(tmp_path)


def test_named_takes_folders_with_an_equals_sign(tmp_path):
    for name in ("a=b", "c"):
        (tmp_path / name).mkdir()
    assert list(making.named([str(tmp_path / "a=b"), f"d={tmp_path / 'c'}"])) == ["a=b", "d"]
    with pytest.raises(ConfigError):
        making.named([str(tmp_path / "c")])
