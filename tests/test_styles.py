"""Styles: files that survive the round trip or are refused by name, blends, draws, and the ways to say a style."""

import base64
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny_model import CODE_SIZE, IDENTITY, write_library, write_random

from upbrush import photographs, picture, styles
from upbrush.engine import open_engine
from upbrush.errors import PictureError, StyleError
from upbrush.styles import Style


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("styles") / "model")


@pytest.fixture(scope="module")
def engine(model_dir):
    return open_engine(model_dir=model_dir)


@pytest.fixture
def style():
    code = np.random.default_rng(1).standard_normal(CODE_SIZE).astype(np.float32)
    image = io.BytesIO()
    Image.new("RGB", (16, 16), "teal").save(image, "WEBP")
    return Style("Nebel über Köln", code, IDENTITY, "Anna Ö.", "a.jpg", "CC0-1.0", image.getvalue())


@pytest.fixture
def red(tmp_path):
    Image.new("RGB", (300, 270), (255, 0, 0)).save(tmp_path / "red.png")
    return tmp_path / "red.png"


def changed(path, **fields):
    """Change fields of a style file; ... takes one away."""
    stored = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps({key: value for key, value in stored.items() if value is not ...}), encoding="utf-8")
    return path


@pytest.fixture
def stored(style, tmp_path):
    styles.write(style, tmp_path / "a.style")
    return tmp_path / "a.style"


def test_a_file_gives_back_the_style(style, stored):
    again = styles.read(stored)
    np.testing.assert_array_equal(again.code, style.code)
    for field in ("name", "model", "artist", "source", "licence", "preview"):
        assert getattr(again, field) == getattr(style, field)
    assert sorted(path.name for path in stored.parent.iterdir()) == ["a.style"]


def test_a_file_is_plain_json_of_little_endian_numbers(style, stored):
    fields = json.loads(stored.read_text(encoding="utf-8"))
    assert (fields["format"], fields["version"], fields["model"]) == ("upbrush-style", 1, IDENTITY)
    code = np.frombuffer(base64.b64decode(fields["code"]), "<f4")
    np.testing.assert_array_equal(code, style.code)
    assert stored.stat().st_size < 2500 + 2 * len(style.preview)


def test_a_file_is_replaced_only_when_asked(style, stored):
    before = stored.read_bytes()
    other = replace(style, name="other")
    with pytest.raises(StyleError, match="is there already"):
        styles.write(other, stored)
    assert stored.read_bytes() == before
    styles.write(other, stored, overwrite=True)
    assert styles.read(stored).name == "other"


def test_a_style_that_cannot_be_written_leaves_nothing(style, tmp_path):
    with pytest.raises(StyleError, match=r"name it x\.style"):
        styles.write(style, tmp_path / "x.json")
    with pytest.raises(StyleError, match="folder does not exist"):
        styles.write(style, tmp_path / "no" / "x.style")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": "other"}, "is not a style file"),
        ({"format": ...}, "is not a style file"),
        ({"version": 3}, "is of version 3, this upbrush reads 2; update upbrush"),
        ({"mods": "%%%"}, "damaged"),
        ({"mods": 3}, "damaged"),
        ({"mods": base64.b64encode(b"123").decode()}, "damaged"),
        ({"mods": base64.b64encode(np.full(5, np.nan, "<f2").tobytes()).decode()}, "finite"),
        ({"mods": base64.b64encode(bytes(50_000)).decode()}, "256 finite numbers"),
        ({"version": "1"}, "version is '1'"),
        ({"version": 0}, "version is 0"),
        ({"name": ""}, "needs a name"),
        ({"name": 7}, "name is 7, expected text"),
        ({"name": "a\u001b[31mred"}, "printable"),
        ({"artist": "x" * 301}, "300 characters"),
        ({"licence": None}, "licence is None"),
        ({"code": ...}, "damaged"),
        ({"code": None}, "damaged"),
        ({"code": "%%%"}, "damaged"),
        ({"code": base64.b64encode(b"1234" * 255).decode()}, "1020 bytes, expected 1024"),
        ({"code": base64.b64encode(np.full(256, np.nan, "<f4").tobytes()).decode()}, "finite"),
        ({"code": base64.b64encode(np.full(256, np.inf, "<f4").tobytes()).decode()}, "finite"),
        ({"preview": base64.b64encode(b"no picture").decode()}, "damaged"),
        ({"preview": "%%%"}, "damaged"),
        ({"preview": 3}, "damaged"),
    ],
)
def test_a_damaged_file_is_refused_by_name(stored, fields, words):
    with pytest.raises(StyleError, match=words) as caught:
        styles.read(changed(stored, **fields))
    assert str(stored) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_large_preview_is_refused_before_it_is_decoded(stored):
    image = io.BytesIO()
    Image.new("1", (9000, 9000)).save(image, "PNG")
    with pytest.raises(StyleError, match="preview is larger"):
        styles.read(changed(stored, preview=base64.b64encode(image.getvalue()).decode()))


def test_a_fitted_style_is_a_longer_code(style, tmp_path, model_dir, engine):
    mods = np.float32([0.0625, -0.125, 0.5, 0, 0])
    fitted = replace(style, code=np.append(style.code, mods))
    styles.write(fitted, tmp_path / "fitted.style")
    fields = json.loads((tmp_path / "fitted.style").read_text(encoding="utf-8"))
    assert fields["version"] == 2
    assert len(base64.b64decode(fields["code"])) == 1024
    again = styles.read(tmp_path / "fitted.style")
    assert np.array_equal(again.code, fitted.code)
    both = styles.blend([(fitted, 1), (style, 3)])
    np.testing.assert_allclose(both.code, np.append(style.code, mods / 4), atol=1e-6)
    assert dict(styles.nearest(fitted, {"own": style})) == {}
    summary = np.zeros((6, 32, 32), np.float32)
    plain, added = (engine.modulate(summary, one.code, 0.5, 0.25) for one in (style, fitted))
    np.testing.assert_allclose(added - plain, mods / 2, atol=1e-6)
    with pytest.raises(StyleError, match="fitted to a model of 4 mods, this one has 5"):
        engine.modulate(summary, fitted.code[:-1], 0.5, 0.25)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"{", b"[" * 100_000, b"null", b'"text"', b"[1]", b"0" * 2_000_000]
)
def test_what_is_no_style_file_is_refused(tmp_path, content):
    path = tmp_path / "x.style"
    path.write_bytes(content)
    with pytest.raises(StyleError, match=r"x\.style"):
        styles.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StyleError, match=r"none\.style: cannot be read"):
        styles.read(tmp_path / "none.style")


@pytest.mark.parametrize("code", [np.zeros(255), np.zeros((1, 256)), np.full(256, np.nan)])
def test_a_style_checks_its_code(code):
    with pytest.raises(StyleError, match="256 finite numbers"):
        Style("x", code, IDENTITY)


def test_a_style_cannot_be_changed(style):
    with pytest.raises(ValueError, match="read-only"):
        style.code[0] = 1
    given = np.zeros(CODE_SIZE, np.float32)
    kept = Style("x", given, IDENTITY)
    given[0] = 5
    assert kept.code[0] == 0


def test_making_takes_the_mean(engine):
    red, blue = (np.full((300, 300, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    made = styles.make([red, blue], engine, "both", artist="me")
    np.testing.assert_allclose(made.code, (engine.encode(red) + engine.encode(blue)) / 2, atol=1e-6)
    assert (made.name, made.model, made.artist) == ("both", IDENTITY, "me")
    with pytest.raises(StyleError, match="found none"):
        styles.make([], engine, "none")


@pytest.mark.parametrize("installed", [True, False])
def test_a_preview_is_a_small_picture_in_the_style(engine, model_dir, monkeypatch, installed):
    if installed:
        pytest.importorskip("skimage")
    monkeypatch.setattr(photographs, "are_here", lambda: installed)
    library = styles.library(model_dir)
    colours = {}
    for name in ("klimt", "van-gogh"):
        data = styles.preview(library[name], engine)
        shown = Image.open(io.BytesIO(data))
        assert (shown.format, shown.size) == ("WEBP", (128, 128))
        assert len(data) < 8000
        colours[name] = np.asarray(shown.convert("RGB")).reshape(-1, 3).mean(0)
    assert colours["klimt"][0] > colours["van-gogh"][0] + 50  # ochre against blue


def test_a_blend_is_the_weighted_mean(model_dir):
    library = styles.library(model_dir)
    monet, klimt = library["monet"], library["klimt"]
    mixed = styles.blend([(monet, 3), (klimt, 1)])
    np.testing.assert_allclose(mixed.code, 0.75 * monet.code + 0.25 * klimt.code, atol=1e-6)
    assert mixed.name == "Monet 75% + Klimt 25%"
    assert mixed.artist == "Claude Monet, Gustav Klimt"
    assert mixed.licence == "CC0-1.0"
    np.testing.assert_array_equal(styles.blend([(monet, 1), (klimt, 0)]).code, monet.code)


def test_a_blend_claims_no_licence_that_a_part_has_not(model_dir):
    monet, klimt = (styles.library(model_dir)[name] for name in ("monet", "klimt"))
    assert styles.blend([(monet, 1), (replace(klimt, licence=""), 1)]).licence == ""
    assert styles.blend([(monet, 1), (replace(klimt, licence="mine"), 1)]).licence == "CC0-1.0, mine"


@pytest.mark.parametrize("weights", [[], [0, 0], [-1, 2], [np.nan, 1], [np.inf, 1]])
def test_a_blend_refuses_weights_that_mean_nothing(style, weights):
    with pytest.raises(StyleError, match="weights of 0 or more"):
        styles.blend([(style, weight) for weight in weights])


def test_a_blend_refuses_styles_of_two_models(style):
    with pytest.raises(StyleError, match="of one model"):
        styles.blend([(style, 1), (replace(style, model="other"), 1)])


def test_a_seed_is_a_style(model_dir):
    seven, again, eight = (styles.random(seed, model_dir) for seed in (7, 7, 8))
    np.testing.assert_array_equal(seven.code, again.code)
    assert np.abs(seven.code - eight.code).max() > 0.01
    assert (seven.name, seven.model) == ("random:7", IDENTITY)


def test_random_codes_have_the_mean_and_the_spread(model_dir):
    with np.load(model_dir / "random.npz") as summary:
        mean, directions = summary["mean"], summary["directions"]
    codes = np.stack([styles.random(seed, model_dir).code for seed in range(400)])
    np.testing.assert_allclose(codes.mean(0), mean, atol=0.1)
    np.testing.assert_allclose(codes.std(0), 0.1 * np.linalg.norm(directions, axis=0), rtol=0.25)


def test_no_random_code_lies_far_out(model_dir):
    """Beyond two deviations along a direction there is no work of art, and pictures come out near black."""
    with np.load(model_dir / "random.npz") as summary:
        mean, directions, spread = (summary[key] for key in ("mean", "directions", "spread"))
    codes = np.stack([styles.random(seed, model_dir).code for seed in range(200)])
    steps = np.linalg.lstsq(directions.T, (codes - mean).T)[0] / spread[:, None]
    assert 1.9 < np.abs(steps).max() < 2.001
    assert steps.std() > 0.8


def test_random_styles_need_their_file_whole(tmp_path):
    with pytest.raises(StyleError, match=r"random\.npz: not found"):
        styles.random(1, tmp_path)
    path = write_random(tmp_path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(StyleError, match="is damaged"):
        styles.random(1, tmp_path)
    np.savez(path, mean=np.zeros(CODE_SIZE), identity=np.array(IDENTITY))
    with pytest.raises(StyleError, match="is damaged"):
        styles.random(1, tmp_path)
    np.savez(path, mean=np.array([print], object), allow_pickle=True)  # a pickle is never loaded
    with pytest.raises(StyleError, match="is damaged"):
        styles.random(1, tmp_path)
    with pytest.raises(StyleError, match="expected 0 or more"):
        styles.random(-1, tmp_path)


def test_the_library_is_sorted_by_name(model_dir, tmp_path):
    assert list(styles.library(model_dir)) == ["klimt", "monet", "van-gogh"]
    assert styles.library(tmp_path) == {}


@pytest.mark.parametrize("spec", ["monet", " Monet ", "MONET"])
def test_resolve_finds_names(engine, spec):
    assert styles.resolve(spec, engine).name == "Monet"


@pytest.mark.parametrize("spec", ["van-gogh", "Van Gogh", "van_gogh"])
def test_resolve_forgives_spelling(engine, spec):
    assert styles.resolve(spec, engine).artist == "Vincent van Gogh"


def test_resolve_reads_files(engine, stored, red):
    assert styles.resolve(str(stored), engine).name == "Nebel über Köln"
    assert styles.resolve(stored, engine).name == "Nebel über Köln"
    for spec in (red, str(red)):
        found = styles.resolve(spec, engine)
        assert (found.name, found.source) == ("red", "red.png")
        np.testing.assert_allclose(found.code[:3], [1, 0, 0], atol=1e-3)


def test_resolve_takes_pictures(engine, red):
    image = Image.open(red)
    for spec in (image, np.asarray(image), picture.read(red), (np.asarray(image).astype(np.uint16) * 257)):
        np.testing.assert_allclose(styles.resolve(spec, engine).code[:3], [1, 0, 0], atol=1e-3)
    clear = Image.new("RGBA", (300, 300), (255, 0, 0, 0))
    np.testing.assert_allclose(styles.resolve(clear, engine).code[:3], [1, 1, 1], atol=1e-3)  # on white


def test_resolve_takes_styles_of_this_model_only(engine, style):
    assert styles.resolve(style, engine) is style
    with pytest.raises(StyleError, match="belongs to model other, the open model is tiny-0"):
        styles.resolve(replace(style, model="other"), engine)


def test_resolve_draws(engine):
    seven = styles.resolve("random:7", engine)
    np.testing.assert_array_equal(seven.code, styles.resolve("Random:7", engine).code)
    unnamed = styles.resolve("random", engine)
    np.testing.assert_array_equal(styles.resolve(unnamed.name, engine).code, unnamed.code)
    assert styles.resolve("random", engine).name != unnamed.name


def test_resolve_blends(engine, stored, model_dir):
    library = styles.library(model_dir)
    expected = 0.7 * library["monet"].code + 0.3 * library["klimt"].code
    np.testing.assert_allclose(styles.resolve("monet:0.7,klimt:0.3", engine).code, expected, atol=1e-6)
    np.testing.assert_allclose(styles.resolve(" monet : 7 , Klimt:3", engine).code, expected, atol=1e-6)
    half = (library["monet"].code + styles.random(7, model_dir).code) / 2
    np.testing.assert_allclose(styles.resolve("monet,random:7", engine).code, half, atol=1e-6)
    np.testing.assert_allclose(styles.resolve("monet:2,random:7:2", engine).code, half, atol=1e-6)
    assert styles.resolve(f"{stored}:1,monet:1", engine).name == "Nebel über Köln 50% + Monet 50%"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("mone", "no style is called 'mone'; did you mean monet"),
        ("vangogh", "did you mean van-gogh"),
        ("qqq", "`upbrush styles` lists the names"),
        ("", "no style is called ''"),
        ("nothing.style", "no such file"),
        ("nothing.jpg", "no such file"),
        ("some/where", "no such file"),
        ("monet:0.7", "a blend names two styles or more"),
        ("monet,", "expected styles with weights"),
        ("monet:1,qqq:2", "no style is called 'qqq'"),
        ("monet:-1,klimt:1", "weights of 0 or more"),
        ("monet:nan,klimt:1", "weights of 0 or more"),
        ("a" * 5000, "no style is called"),
        ("nul\0l", "no style is called"),
    ],
)
def test_resolve_says_what_is_wrong(engine, spec, words):
    with pytest.raises(StyleError, match=words):
        styles.resolve(spec, engine)


def test_resolve_refuses_other_things(engine, tmp_path):
    with pytest.raises(StyleError, match="of type int"):
        styles.resolve(7, engine)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(PictureError):
        styles.resolve(tmp_path / "text.png", engine)


def test_a_name_wins_over_a_file_of_that_name(engine, red, monkeypatch):
    shutil.copy(red, red.parent / "monet")
    monkeypatch.chdir(red.parent)
    assert styles.resolve("monet", engine).name == "Monet"
    assert styles.resolve("./monet", engine).source == "monet"


def test_nearest_leaves_itself_and_other_models_out(model_dir):
    library = styles.library(model_dir)
    library["foreign"] = replace(library["klimt"], model="other")
    assert [name for name, _ in styles.nearest(library["monet"], library)] == ["van-gogh", "klimt"]


def test_the_sheet_shows_every_style(model_dir, style):
    library = styles.library(model_dir)
    page = styles.sheet(library, columns=3)
    assert page.width > 3 * 128
    broken = replace(style, preview=style.preview[:40])  # a whole header, then nothing
    larger = styles.sheet(library | {"broken": broken, "bare": replace(style, preview=None)}, columns=3)
    assert larger.width == page.width
    assert larger.height > 1.8 * page.height - 20
