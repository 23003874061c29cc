"""What was invented: the laws of what a low picture determines, of the witnesses, and of the map beside a painting."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeEngine, PlainEngine, draw
from PIL import Image
from tiny_model import write_library
from typer.testing import CliRunner

from upbrush import cli, picture, styles
from upbrush.engine import open_engine
from upbrush.explain import beside, determined, heat, invention
from upbrush.explain.invention import FLIPS, SHIFTS, Way
from upbrush.painter import Painter
from upbrush.picture import Picture


class Bicubic(PlainEngine):
    """Invents nothing: high pictures are bicubic enlargements of low ones."""

    overlap_px = 3

    def render(self, low, mods):
        planes = [Image.fromarray(plane) for plane in low[0]]
        size = (4 * low.shape[3], 4 * low.shape[2])
        return np.stack([np.asarray(one.resize(size, Image.Resampling.BICUBIC)) for one in planes])[None]


class Weaver(Bicubic):
    """Adds a weave where the low picture is darker than half, and drops it on fidelity 1."""

    def modulate(self, thumbnail, code, strength, fidelity):
        return np.array([1 - fidelity], np.float32)

    def render(self, low, mods):
        high = super().render(low, mods)
        weave = 0.1 * (np.indices(high.shape[2:]).sum(0) % 2 - 0.5) * mods[0]
        return high + np.where(low.mean(1, keepdims=True).repeat(4, 2).repeat(4, 3) < 0.5, weave, 0).astype(np.float32)


def restore(painter, source, fidelity, progress):
    return painter.paint(source, fidelity=fidelity, progress=progress)


def examine(engine, pixels, fidelity=0.5, **options):
    return invention.examine(Painter(engine), picture.from_array(pixels), restore, fidelity, **options)


@pytest.mark.parametrize(("source", "target"), [(64, 16), (100, 37), (17, 68), (5, 3), (1, 4), (4, 1), (61, 60)])
def test_resampling_is_pillows(source, target):
    values = np.random.default_rng(0).random((source, 7)).astype(np.float32)
    theirs = np.asarray(Image.fromarray(values).resize((7, target), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(determined.bicubic(source, target).rows(values), theirs, atol=1e-6)


@pytest.mark.parametrize("scale", [1, 1.5, 2.37, 4, 10])
def test_a_bicubic_enlargement_is_wholly_determined(scale):
    low = np.random.default_rng(1).random((20, 17, 3)).astype(np.float32)
    height, width = round(20 * scale), round(17 * scale)
    high = determined.bicubic(17, width).across(determined.bicubic(20, height).rows(low))
    cause = determined.smooth_cause(determined.reduced(high, 20, 17), height, width)
    np.testing.assert_allclose(cause, low, atol=1e-4)
    beyond = np.concatenate([rows for _, rows in determined.stripes(high, cause)])
    np.testing.assert_allclose(beyond, 0, atol=1e-4)


def test_what_is_beyond_leaves_no_trace_in_the_low_picture():
    high = np.random.default_rng(2).random((300, 52, 3)).astype(np.float32)
    low = determined.reduced(high, 75, 13)
    beyond = np.concatenate([rows for _, rows in determined.stripes(high, determined.smooth_cause(low, 300, 52))])
    assert beyond.shape == high.shape
    assert beyond.std() > 0.2  # noise is nearly all beyond
    np.testing.assert_allclose(determined.reduced(beyond, 75, 13), 0, atol=1e-4)


def test_of_a_constant_picture_nothing_is_invented():
    _, found = examine(FakeEngine(), np.full((20, 24, 3), 90, np.uint8))
    assert found.map.shape == (20, 24)
    assert found.map.max() < 0.01


def test_bicubic_invents_nothing_and_a_weave_is_found_where_it_is():
    rounding = 1.0  # levels: the paintings have 8 bits
    calm = 60 + draw(24, 24) // 2  # no overshoot is clipped at black or white, which would be an alteration
    assert examine(Bicubic(), calm)[1].map.max() < rounding
    low = np.full((24, 24, 3), 200, np.uint8)
    low[:, :12] = 50
    _, found = examine(Weaver(), low, fidelity=0)
    assert found.added[:, :10].min() > 10  # half of 0.1 of 255
    assert found.added[:, 14:].max() < rounding
    assert found.undecided[:, :10].min() > 10
    assert found.undecided[:, 14:].max() < rounding
    assert found.changed[:, :10].max() < rounding  # woven detail comes down to nothing
    assert found.share(8) == pytest.approx(0.5, abs=0.1)


def test_what_is_rendered_alike_in_a_mirror_is_steady_and_other_things_are_not():
    _, steady = examine(Bicubic(), draw(20, 20))
    assert steady.unsteady.max() <= 1.01  # one rounding
    _, wavering = examine(FakeEngine(), draw(20, 20))  # its weights lean to one side
    assert wavering.level(wavering.unsteady) > 5
    assert set(wavering.by_way) == {*(way.name for way in FLIPS), "fidelity 0", "fidelity 1"}


def test_a_whole_pixels_shift_moves_nothing_but_edges():
    _, found = examine(FakeEngine(overlap_px=3), draw(24, 26), ways=SHIFTS)
    assert found.unsteady[8:-8, 8:-8].max() == 0
    assert found.unsteady.max() > 1


def test_shifts_do_not_dilute_what_mirrors_say():
    engine = FakeEngine(overlap_px=3)
    _, mirrored = examine(engine, draw(20, 20))
    _, both = examine(engine, draw(20, 20), ways=(*FLIPS, *SHIFTS))
    np.testing.assert_array_equal(both.unsteady, mirrored.unsteady)
    assert "moved by one pixel" in both.by_way


def test_equivalent_pictures_are_painted_with_the_mods_of_the_first():
    engine = FakeEngine()
    examine(engine, draw(16, 16))
    assert engine.modulated == [(False, 0.0, 0.5), (False, 0.0, 0.0), (False, 0.0, 1.0)]


@pytest.mark.parametrize("way", [*FLIPS, *SHIFTS, Way("both", (True, False), (2, 0))])
def test_answers_are_put_back_where_they_were_asked(way):
    source = Picture(draw(9, 7))
    asked = invention.put(source, way)
    assert asked.pixels.shape == source.pixels.shape
    answer = replace(asked, pixels=asked.pixels.repeat(4, 0).repeat(4, 1))
    back = invention.put_back(answer, way, 4)
    np.testing.assert_array_equal(back, source.pixels.repeat(4, 0).repeat(4, 1)[: len(back), : back.shape[1]])
    assert back.shape[0] == 4 * (9 - way.moved_px[0])


def test_what_cannot_be_seen_does_not_count():
    pixels = np.dstack((draw(20, 20), np.full((20, 20), 255, np.uint8)))
    pixels[:, :10, 3] = 0
    pixels[:, :10, :3] = 40  # dark: woven, if it were seen
    pixels[:, 10:, :3] = 210
    _, found = examine(Weaver(), pixels, fidelity=0)
    assert found.map[:, :9].max() == 0
    assert found.level(found.map) < 2


@pytest.mark.parametrize("scale", [1.0, 2.5, 6.0])
def test_any_size_can_be_examined(scale):
    def paint(painter, source, fidelity, progress):
        return painter.paint(source, fidelity=fidelity, scale=scale, progress=progress)

    painted, found = invention.examine(
        Painter(FakeEngine()), Picture(draw(14, 18)), paint, 0.5, ways=(*FLIPS, *SHIFTS)
    )  # fmt: skip
    assert painted.pixels.shape[:2] == (round(14 * scale), round(18 * scale))
    assert ("moved by one pixel" in found.by_way) == (scale != 2.5)
    assert np.isfinite(found.map).all()
    if scale == 1:
        assert found.added.max() < 0.01  # every pixel is measured


def test_maps_of_large_pictures_are_coarser_and_means_are_kept():
    rows, columns = invention.cells(20000, 9000)
    assert rows * columns <= 1.01 * invention.MOST_CELLS
    assert rows / columns == pytest.approx(20 / 9, rel=0.01)
    values = np.random.default_rng(0).random((22, 31))
    means = invention.cell_means(values, (4, 5))
    assert means[0, 0] == pytest.approx(values[:5, :6].mean())
    np.testing.assert_allclose(invention.cell_means(np.full((22, 31), 3.0), (7, 31)), 3)


def test_tiles_and_bits_change_nothing():
    low = draw(40, 44)
    _, whole = examine(FakeEngine(overlap_px=3), low)
    tiled = Painter(FakeEngine(overlap_px=3), memory=5000 * 20 * 20)
    _, pieces = invention.examine(tiled, Picture(low), restore, 0.5)
    np.testing.assert_allclose(pieces.map, whole.map, atol=1)
    _, deep = examine(FakeEngine(overlap_px=3), low.astype(np.uint16) * 257)
    np.testing.assert_allclose(deep.map, whole.map, atol=1)


def test_progress_goes_from_none_to_all():
    told = []
    examine(FakeEngine(), draw(12, 12), progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 6)
    assert told[-1] == (6, 6)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_colours_tell_more_from_less_and_nothing_from_something():
    shown = heat.colours(np.array([[0.0, 4, 8, 16, 99]]), 16)
    assert shown[0, 0, 3] == 0
    lightness = shown[0, 1:, :3].astype(int).sum(1)
    assert (np.diff(lightness) <= 0).all()
    assert (shown[0, 3] == shown[0, 4]).all()
    assert [heat.fitting_top(np.full((3, 3), level)) for level in (1, 20, 60, 200)] == [16, 32, 64, 64]
    signed = heat.signed_colours(np.array([[-1.0, 0, 1]]), 1)
    assert signed[0, 0, 2] > signed[0, 0, 0]
    assert signed[0, 2, 0] > signed[0, 2, 2]
    assert signed[0, 1, 3] == 0


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("explain") / "model")


@pytest.fixture
def photos(tmp_path, model_dir, monkeypatch):
    monkeypatch.setenv("UPBRUSH_MODEL", str(model_dir))
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    for name in ("a.png", "trip/b.jpg"):
        Image.fromarray(draw(10, 12)).save(folder / name)
    return folder


def upbrush_says(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def test_a_map_is_written_beside_the_painting(photos, tmp_path):
    out = tmp_path / "large.jpg"
    assert upbrush_says("paint", photos / "a.png", "-o", out, "--explain", "-s", "monet").exit_code == 0
    assert picture.read(out).pixels.shape[:2] == (40, 48)
    assert beside.is_map(tmp_path / "large.explain.png")
    note = picture.read_note(tmp_path / "large.explain.png")
    assert (note["style"], note["strength"]) == ("Monet", "1")
    with Image.open(tmp_path / "large.explain.png") as drawn:
        assert drawn.width >= heat.LEAST_PX
    plain = tmp_path / "plain.jpg"
    upbrush_says("paint", photos / "a.png", "-o", plain, "-s", "monet")
    assert plain.read_bytes() == out.read_bytes()  # explaining changes nothing


def test_a_folder_gets_maps_and_goes_on_where_it_was(photos, tmp_path):
    out = tmp_path / "out"
    assert upbrush_says("paint", photos, "-o", out, "--explain").exit_code == 0
    files = {path.relative_to(out).as_posix() for path in out.rglob("*.*")}
    assert files == {"a.png", "a.explain.png", "trip/b.jpg", "trip/b.explain.png"}
    (out / "a.png").unlink()  # as if it had been stopped between the two
    done = upbrush_says("paint", photos, "-o", out, "--explain")
    assert (done.exit_code, done.stderr.split(",")[0]) == (0, "upbrush: painted 1")


def test_a_map_takes_nobodys_place(photos, tmp_path):
    (tmp_path / "large.explain.png").write_bytes(b"mine")
    done = upbrush_says("paint", photos / "a.png", "-o", tmp_path / "large.png", "--explain")
    assert (done.exit_code, "is no map" in done.stderr) == (2, True)
    assert not (tmp_path / "large.png").exists()
    assert (tmp_path / "large.explain.png").read_bytes() == b"mine"
    Image.fromarray(draw(10, 12)).save(photos / "a.explain.png")
    done = upbrush_says("paint", photos, "-o", tmp_path / "out", "--explain")
    assert (done.exit_code, "would both become" in done.stderr) == (2, True)
    done = upbrush_says("paint", photos / "a.png", "-o", "-", "--explain")
    assert (done.exit_code, "takes one" in done.stderr) == (2, True)


def test_words_for_styles_mean_the_models_own_library(tmp_path):
    """An engine that holds its mods is still the engine of its folder."""
    held = invention.HeldEngine(open_engine(model_dir=write_library(tmp_path / "model"), threads=1))
    assert styles.resolve("monet", held).model == held.identity
