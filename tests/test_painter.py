"""The laws of painting, on an engine without weights."""

import io
import logging
import tracemalloc

import numpy as np
import pytest
from conftest import FakeEngine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upbrush import engine as engines
from upbrush import picture
from upbrush.alpha import enlarged, spread
from upbrush.errors import ConfigError, OutOfMemoryError, PictureError, StyleError, WeightsError
from upbrush.painter import BYTES_PER_LOW_PX, LUMA, MOST_TILE_PX, Painter
from upbrush.picture import Picture
from upbrush.styles import Style
from upbrush.views import area_matrix, thumbnail

CODE = np.zeros(256, np.float32)
CODE[:3] = 0.9, 0.3, 0.1
ROSE = Style("rose", CODE, "fake")


def tight(engine, inner_px, result_bytes=0):
    """A Painter with memory for tiles that own inner_px a side."""
    return Painter(engine, memory=(inner_px + 2 * engine.overlap_px) ** 2 * BYTES_PER_LOW_PX + result_bytes)


def differ(one, other):
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    return np.abs(one.astype(int) - other.astype(int)).max()


# --- tiled = whole


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"style": ROSE},
        {"style": ROSE, "strength": 0.4, "keep_colours": True},
        {"scale": 1},
        {"scale": 2.3},
        {"style": ROSE, "scale": 6.5},
        {"size": "77x401"},
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiled_is_whole(how, dtype, draw):
    image = draw(43, 61, dtype)
    engine = FakeEngine()
    whole = Painter(engine).paint(image, **how)
    once = len(engine.shapes)
    engine.shapes.clear()
    tiled = tight(engine, 13, whole.nbytes).paint(image, **how)
    assert len(engine.shapes) > 8 * once
    assert differ(whole, tiled) <= 1


def test_the_test_engine_shows_mistakes(draw):
    """The law above can fail: it does with a pixel of overlap too little, and with mods of a part alone."""

    class Near(FakeEngine):
        def __init__(self):
            super().__init__()
            self.reach, self.overlap_px = self.overlap_px, self.overlap_px - 1

        def _enlarged(self, low, axis):
            self.overlap_px, said = self.reach, self.overlap_px
            high = super()._enlarged(low, axis)
            self.overlap_px = said
            return high

    image = draw(43, 61)
    whole = Painter(FakeEngine()).paint(image)
    assert np.array_equal(Painter(Near()).paint(image), whole)
    assert differ(tight(Near(), 13, whole.nbytes).paint(image), whole) > 3
    image[:, 30:] //= 4
    whole, left = Painter(FakeEngine()).paint(image), Painter(FakeEngine()).paint(image[:, :30])
    assert differ(left[:, :80], whole[:, :80]) > 3


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 33), (5, 31), (32, 32), (33, 64), (100, 257)])
def test_pictures_are_summed_up_by_the_areas_of_their_cells(height, width, draw):
    found = thumbnail(draw(height, width))[:3]
    planes = draw(height, width).transpose(2, 0, 1) / np.float32(255)
    expected = area_matrix(height, 32) @ planes @ area_matrix(width, 32).T
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_whole_picture_is_summed_up_once_a_pass(draw):
    engine = FakeEngine()
    tight(engine, 9, 10**6).paint(draw(40, 40), ROSE, fidelity=0.3, scale=8)
    # The style is painted by the first pass, and enlarged by the second.
    assert engine.modulated == [(True, 1.0, 0.3), (False, 0.0, 0.3)]
    engine.modulated.clear()
    Painter(engine).paint(draw(8, 8), ROSE, strength=0.5, keep_colours=True)
    assert engine.modulated == [(False, 0.0, 0.5), (True, 0.5, 0.5)]


def test_tiles_have_one_shape_and_fit_the_memory(draw):
    engine = FakeEngine()
    memory = 40 * 40 * BYTES_PER_LOW_PX
    Painter(engine, memory=memory).paint(draw(90, 133))
    assert len(set(engine.shapes)) == 1
    height, width = engine.shapes[0][2:]
    assert height * width * BYTES_PER_LOW_PX <= memory
    engine.shapes.clear()
    Painter(engine, memory="40GB").paint(np.zeros((3, 2 * MOST_TILE_PX), np.uint8))
    assert max(max(shape) for shape in engine.shapes) <= MOST_TILE_PX


def test_no_memory():
    with pytest.raises(OutOfMemoryError, match="1 MB of memory hold no tile, the smallest takes 2 MB"):
        Painter(FakeEngine(), memory="1MB").paint(np.zeros((100, 100), np.uint8))
    with pytest.raises(ConfigError, match="memory 'lots' is not a memory size"):
        Painter(FakeEngine(), memory="lots")


# --- sizes


@settings(max_examples=40, deadline=None, derandomize=True)
@given(height=st.integers(1, 19), width=st.integers(1, 19), scale=st.floats(1, 16))
def test_every_size_is_exact(height, width, scale):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    painted = Painter(FakeEngine(2)).paint(image, scale=scale)
    assert painted.shape == (max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5)), 3)


@pytest.mark.parametrize(
    ("how", "passes"), [({"scale": 1}, 1), ({"scale": 4}, 1), ({"scale": 4.1}, 2), ({}, 1), ({"size": "5x4"}, 1)]
)
def test_no_more_passes_than_needed(how, passes, draw):
    engine = FakeEngine()
    Painter(engine).paint(draw(16, 20), **how)
    assert len(engine.shapes) == passes


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (1, 40), (70, 1)])
def test_odd_shapes(shape, plain_engine):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert np.array_equal(Painter(plain_engine).paint(image), image.repeat(4, 0).repeat(4, 1))
    assert Painter(FakeEngine()).paint(image, scale=1).shape == image.shape


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_values_are_kept_to_the_last_bit(dtype, plain_engine, draw):
    image = draw(9, 14, dtype)
    image[0, :3] = 0, 1, np.iinfo(dtype).max
    painted = Painter(plain_engine).paint(image)
    assert painted.dtype == dtype
    assert np.array_equal(painted, image.repeat(4, 0).repeat(4, 1))
    twice = Painter(plain_engine).paint(image, scale=16)
    assert np.array_equal(twice, image.repeat(16, 0).repeat(16, 1))
    white = np.full((7, 9, 3), np.iinfo(dtype).max, dtype)
    for scale in (1, 2.6, 5):
        assert (Painter(plain_engine).paint(white, scale=scale) == np.iinfo(dtype).max).all()


def test_sixteen_bits_are_really_there(plain_engine):
    """A ramp finer than 8 bits stays a ramp through enlarging and resampling."""
    ramp = np.repeat(np.arange(20000, 20256, 2, dtype=np.uint16)[None, :, None], 3, axis=2).repeat(6, 0)
    for scale in (2, 4, 9):
        assert len(np.unique(Painter(plain_engine).paint(ramp, scale=scale))) >= 120


# --- what kind of picture


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "P", "1", "CMYK"])
def test_images_come_back_in_their_mode(mode, draw):
    source = Image.fromarray(draw(9, 8))
    image = Image.fromarray(draw(9, 8, np.uint16)[..., 0]) if mode == "I;16" else source.convert(mode)
    painted = Painter(FakeEngine()).paint(image)
    assert isinstance(painted, Image.Image)
    assert painted.mode == {"P": "RGB", "1": "L", "CMYK": "RGB"}.get(mode, mode)
    assert painted.size == (32, 36)


@pytest.mark.parametrize("channels", [None, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_come_back_in_their_kind(channels, dtype):
    shape = (6, 7) if channels is None else (6, 7, channels)
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)
    kept = image.copy()
    painted = Painter(FakeEngine()).paint(image)
    assert painted.dtype == dtype
    assert painted.shape == (24, 28, *shape[2:])
    assert np.array_equal(image, kept)
    strided = Painter(FakeEngine()).paint(image.repeat(2, 0)[::2])
    assert np.array_equal(strided, painted)


def test_pictures_keep_what_they_carry(draw):
    source = Picture(
        draw(8, 9), draw(8, 9)[..., 0].copy(), exif=b"Exif\0\0", icc=b"profile", xmp=b"<x/>", dpi=(300, 300)
    )
    kept = source.pixels.copy()
    painted = Painter(FakeEngine()).paint(source, ROSE)
    assert isinstance(painted, Picture)
    assert (painted.exif, painted.icc, painted.xmp, painted.dpi) == (source.exif, source.icc, source.xmp, source.dpi)
    assert np.array_equal(source.pixels, kept)


@pytest.mark.parametrize("given", [None, "a path.png", b"bytes", [[1, 2], [3, 4]]])
def test_what_is_no_picture(given):
    with pytest.raises(PictureError, match="cannot paint a .*expected a PIL image, a numpy array or a Picture"):
        Painter(FakeEngine()).paint(given)


def test_floats_are_refused():
    for array in (np.zeros((4, 4, 3), np.float32), np.full((4, 4, 3), np.nan)):
        with pytest.raises(PictureError, match="expected uint8 or uint16"):
            Painter(FakeEngine()).paint(array)


@pytest.mark.parametrize("scale", [1, 3, 4, 5])
def test_grey_stays_grey_when_restoring(scale, draw):
    class Tinted(FakeEngine):  # a network is never quite neutral
        def render(self, low, mods):
            return super().render(low, mods) + np.reshape([0.02, -0.01, 0.03], (1, 3, 1, 1)).astype(np.float32)

    plane = draw(9, 12)[..., 1]
    painter = Painter(Tinted())
    assert painter.paint(plane, scale=scale).ndim == 2
    neutral = painter.paint(np.dstack([plane] * 3), scale=scale)
    assert picture.is_neutral(neutral)  # an RGB file that holds a grey picture, too
    assert np.array_equal(neutral[..., 0], painter.paint(plane, scale=scale))
    assert painter.paint(Image.fromarray(plane), ROSE, strength=0).mode == "L"
    assert painter.paint(Image.fromarray(plane), ROSE, keep_colours=True).mode == "L"


def test_a_style_brings_colours_into_grey(draw, caplog):
    plane = draw(9, 12)[..., 1]
    assert Painter(FakeEngine()).paint(plane, ROSE).shape == (36, 48, 3)
    assert Painter(FakeEngine()).paint(Image.fromarray(plane), ROSE).mode == "RGB"
    profile = bytes(16) + b"GRAY" + bytes(16) + b"acsp" + bytes(100)
    grey = Picture(np.dstack([plane] * 3), grey=True, icc=profile)
    with caplog.at_level(logging.INFO):
        assert Painter(FakeEngine()).paint(grey, ROSE).icc is None
    assert "profile is for grey" in caplog.text
    assert Painter(FakeEngine()).paint(grey).icc == profile


# --- transparency


def test_hidden_colours_do_not_show(draw):
    """Two pictures that look the same are painted the same, whatever lies beneath what is transparent."""
    image, alpha = draw(30, 40), np.full((30, 40), 255, np.uint8)
    alpha[:, :15] = 0
    alpha[5, 20] = 0
    pink, black = image.copy(), image.copy()
    pink[alpha == 0], black[alpha == 0] = (255, 0, 255), 0
    kept = pink.copy()
    painted = [Painter(FakeEngine()).paint(np.dstack((one, alpha))) for one in (pink, black)]
    assert np.array_equal(*painted)
    opaque = Painter(FakeEngine()).paint(image)
    assert painted[0][..., 3].max() == 255
    edge = (slice(None), slice(60, 64), slice(0, 3))  # the visible pixels beside the edge
    bled = Painter(FakeEngine()).paint(pink)
    assert np.abs(painted[0][edge].astype(int) - opaque[edge]).mean() < 12
    assert (
        np.abs(painted[0][edge].astype(int) - opaque[edge]).mean()
        < np.abs(bled[edge].astype(int) - opaque[edge]).mean()
    )
    assert np.array_equal(pink, kept)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("scale", [1, 3, 16])
def test_alpha_is_enlarged_by_itself(dtype, scale, draw):
    top = np.iinfo(dtype).max
    pixels, alpha = draw(10, 12, dtype), np.zeros((10, 12), dtype)
    alpha[3:7, 4:9] = top
    painted = Painter(FakeEngine()).paint(Picture(pixels, alpha), ROSE, scale=scale)
    assert painted.alpha.dtype == dtype
    assert painted.alpha.shape == (10 * scale, 12 * scale)
    assert painted.alpha[0, 0] == 0
    assert painted.alpha[5 * scale, 6 * scale] == top
    solid = Painter(FakeEngine()).paint(Picture(pixels, np.full_like(alpha, top)), scale=scale)
    assert (solid.alpha == top).all()


def test_alpha_has_no_ringing():
    alpha = np.zeros((12, 12), np.uint8)
    alpha[3:9, 3:9] = 200
    large = enlarged(alpha, 48, 50)
    assert large.shape == (48, 50)
    assert (large[16:32, 17:33] == 200).all()
    assert (large[:8] == 0).all()
    assert large.max() == 200
    assert len(np.unique(large)) > 10  # and it is smooth where it changes
    assert enlarged(alpha, 12, 12) is alpha
    assert enlarged(alpha, 5, 40).shape == (5, 40)


def test_spread():
    pixels, alpha = np.zeros((9, 13, 3), np.uint16), np.zeros((9, 13), np.uint16)
    assert spread(pixels, alpha) is pixels  # nothing is visible
    assert spread(pixels, alpha + 1) is pixels  # everything is
    pixels[4, 2], alpha[4, 2] = (1000, 60000, 5), 1
    assert (spread(pixels, alpha) == (1000, 60000, 5)).all()
    pixels[4, 11], alpha[4, 11] = (3000, 0, 5), 9
    filled = spread(pixels, alpha)
    assert filled[4, 3, 0] == 1000  # from near by
    assert filled[4, 10, 0] == 3000
    assert filled.dtype == np.uint16


# --- knobs


@pytest.mark.parametrize("knob", ["strength", "fidelity"])
@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), float("inf"), "1", None, True])
def test_knobs_out_of_range(knob, value):
    with pytest.raises(ConfigError, match=rf"^{knob} {value!r} is not in 0…1: "):
        Painter(FakeEngine()).paint(np.zeros((4, 4), np.uint8), **{knob: value})


@pytest.mark.parametrize("kind", [int, float, np.int64, np.float32, np.float64])
def test_numpys_numbers_are_numbers(kind):
    painted = Painter(FakeEngine()).paint(np.zeros((4, 4), np.uint8), strength=kind(1), fidelity=kind(0), scale=kind(2))
    assert painted.shape == (8, 8)


def test_sizes_out_of_range():
    for how in ({"scale": 0.5}, {"scale": 17}, {"size": "huge"}, {"scale": 2, "size": "8x8"}, {"size": "long:65"}):
        with pytest.raises(ConfigError):
            Painter(FakeEngine()).paint(np.zeros((4, 4), np.uint8), **how)


def test_strength_is_a_line_from_the_restored_picture(draw):
    image, painter = draw(20, 20), Painter(FakeEngine())
    restored = painter.paint(image)
    far = [
        np.abs(painter.paint(image, ROSE, strength=s).astype(int) - restored).mean() for s in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert far[0] == 0
    assert far == sorted(far)
    assert far[-1] > 5


def test_keep_colours_takes_strokes_only(draw):
    image = draw(24, 24) // 2 + 60  # far from black and white, so that nothing is clipped
    painter = Painter(FakeEngine())
    restored, repainted = painter.paint(image).astype(float), painter.paint(image, ROSE).astype(float)
    kept = painter.paint(image, ROSE, keep_colours=True).astype(float)
    assert np.abs(kept @ LUMA - repainted @ LUMA).max() <= 1.01
    for one, other in ((0, 1), (2, 1)):  # chroma: differences between channels
        assert np.abs((kept[..., one] - kept[..., other]) - (restored[..., one] - restored[..., other])).max() <= 2.01
    assert np.abs(kept - restored).mean() > 3
    assert np.array_equal(painter.paint(image, keep_colours=True), painter.paint(image))


def test_styles_are_resolved(draw, tmp_path):
    painter = Painter(FakeEngine())
    style = draw(300, 280, seed=4)
    Image.fromarray(style).save(tmp_path / "style.png")
    painted = [
        painter.paint(draw(8, 8), spec)
        for spec in (style, Image.fromarray(style), picture.from_array(style), tmp_path / "style.png")
    ]
    assert all(np.array_equal(painted[0], other) for other in painted[1:])
    with pytest.raises(StyleError, match="belongs to model other"):
        painter.paint(draw(8, 8), Style("alien", CODE, "other"))
    with pytest.raises((StyleError, PictureError)):
        painter.paint(draw(8, 8), tmp_path / "nowhere.png")


# --- manners


def test_progress_counts_every_tile(draw):
    told, engine = [], FakeEngine()
    tight(engine, 9, 10**5).paint(draw(20, 30), scale=7, progress=lambda done, total: told.append((done, total)))
    total = len(engine.shapes)
    assert total > 20
    assert told == [(done, total) for done in range(total + 1)]


def test_ctrl_c_passes_through(draw):
    class Stopped(FakeEngine):
        def render(self, low, mods):
            if len(self.shapes) == 2:
                raise KeyboardInterrupt
            return super().render(low, mods)

    with pytest.raises(KeyboardInterrupt):
        tight(Stopped(), 9, 10**5).paint(draw(40, 40))


def test_a_model_gone_wrong_is_told(draw):
    class Broken(FakeEngine):
        def render(self, low, mods):
            return super().render(low, mods) * np.float32(np.nan)

    with pytest.raises(WeightsError, match="not finite"):
        Painter(Broken()).paint(draw(4, 4))


def test_a_result_beyond_memory_is_told(monkeypatch, draw):
    def no_room(*arguments):
        raise MemoryError

    monkeypatch.setattr("upbrush.painter.Canvas", no_room)
    with pytest.raises(OutOfMemoryError, match="48x32 does not fit"):
        Painter(FakeEngine()).paint(draw(8, 12))


def test_the_default_engine_is_opened_with_the_threads_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(engines, "open_engine", lambda **how: asked.append(how) or FakeEngine())
    assert Painter(threads=3).engine.scale == 4
    assert asked == [{"threads": 3}]


@pytest.mark.parametrize(("scale", "extra_mb"), [(4, 2), (3, 5), (6, 8)])
def test_painting_takes_little_beside_the_result(scale, extra_mb, plain_engine):
    """The large picture is there once, never whole as floats, and never whole at a size that is only passed through.

    That would take 69, 12 and 20 MB.
    """
    low = np.zeros((300, 400, 3) if scale <= 4 else (100, 130, 3), np.uint8)
    low[0, 0] = 1, 2, 3  # not neutral
    painter = Painter(plain_engine, memory="10MB")
    tracemalloc.start()
    result = painter.paint(low, scale=scale)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    between_passes = low.nbytes * 16 * 2 if scale > 4 else 0
    assert peak < result.nbytes + between_passes + extra_mb * 1e6


def test_from_file_to_file(draw, tmp_path):
    first = tmp_path / "in.jpg"
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 8, "Maker"
    Image.fromarray(draw(10, 20)).save(first, exif=exif)
    painted = Painter(FakeEngine()).paint(picture.read(first), ROSE, size="long:70")
    out = io.BytesIO()
    picture.write(painted, out, format="webp", note={"style": "rose"})
    with Image.open(out) as image:
        assert image.size == (35, 70)
        assert image.getexif()[0x010F] == "Maker"
    assert picture.read_note(out.getvalue()) == {"style": "rose"}
