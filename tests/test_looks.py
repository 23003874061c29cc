"""One look for many pictures; pictures that go all the way round; pictures of two eyes."""

import pickle

import numpy as np
import pytest
from conftest import FakeEngine
from PIL import Image

from upbrush import panorama
from upbrush.errors import ConfigError, PictureError
from upbrush.knobs import Knobs
from upbrush.painter import BYTES_PER_LOW_PX, Painter
from upbrush.picture import Picture
from upbrush.styles import Style

CODE = np.zeros(256, np.float32)
CODE[:3] = 0.9, 0.3, 0.1
ROSE = Style("rose", CODE, "fake")
WAYS = [{}, {"style": ROSE, "strength": 0.4}, {"style": ROSE, "keep_colours": True, "fidelity": 0.2}]


def tight(inner_px, result_bytes):
    """A Painter with memory for tiles that own inner_px a side."""
    engine = FakeEngine()
    return Painter(engine, memory=(inner_px + 2 * engine.overlap_px) ** 2 * BYTES_PER_LOW_PX + result_bytes)


def differ(one, other):
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


# --- looks


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("large", [{}, {"scale": 6.5}, {"size": "77x301"}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_in_its_own_look_a_picture_is_the_same(how, large, dtype, draw):
    image = draw(21, 34, dtype)
    painter = Painter(FakeEngine())
    plain = painter.paint(image, **how, **large)
    look = pickle.loads(pickle.dumps(painter.look(image, **how, **large)))
    assert np.array_equal(painter.paint(image, look=look, **large), plain)


def test_a_look_is_made_once_and_does_not_breathe(draw):
    """Without a look, darkening one half of a frame changes the other half; with one it does not."""
    frame = draw(24, 40)
    other = frame.copy()
    other[:, 20:] //= 3
    engine = FakeEngine()
    painter = Painter(engine)
    look = painter.look(frame, ROSE)
    engine.modulated.clear()
    steady = [painter.paint(one, look=look) for one in (frame, other)]
    assert not engine.modulated
    loose = [painter.paint(one, ROSE) for one in (frame, other)]
    left = np.s_[:, : 4 * 10]
    assert differ(steady[0][left], steady[1][left]) == 0
    assert differ(loose[0][left], loose[1][left]) > 3


def test_a_look_of_several_is_of_their_mean(draw):
    painter = Painter(FakeEngine())
    dark, bright = np.full((9, 9, 3), (10, 20, 30), np.uint8), np.full((9, 9, 3), (210, 180, 90), np.uint8)
    between = painter.look([dark, bright]).summary
    assert np.allclose(between, (painter.look(dark).summary + painter.look(bright).summary) / 2)


@pytest.mark.parametrize("scale", [4, 7])
def test_a_look_in_another_style_sums_nothing_up_again(draw, scale):
    frame = draw(12, 15)
    painter = Painter(FakeEngine())
    restyled = painter.look(painter.look(frame, scale=scale), ROSE, strength=0.7)
    direct = painter.paint(frame, ROSE, strength=0.7, scale=scale)
    assert differ(painter.paint(frame, look=restyled, scale=scale), direct) <= (0 if scale == 4 else 40)
    assert restyled.brings_colours


def test_a_dark_first_frame_does_not_make_a_shot_grey(draw):
    painter = Painter(FakeEngine())
    look = painter.look(np.zeros((12, 15, 3), np.uint8))
    colours = painter.paint(draw(12, 15), look=look)
    assert np.ptp(colours.astype(int), axis=2).max() > 50
    grey = painter.paint(np.full((12, 15, 3), 90, np.uint8), look=look)
    assert (np.ptp(grey, axis=2) == 0).all()


def test_knobs_hand_a_look_on(draw):
    painter, source = Painter(FakeEngine()), Picture(draw(9, 12))
    knobs = Knobs(ROSE, 0.5, 0.3, scale=2)
    assert np.array_equal(
        knobs.paint(painter, source, None, knobs.look(painter, [source])).pixels,
        knobs.paint(painter, source, None).pixels,
    )


def test_looks_that_do_not_fit(draw):
    painter, image = Painter(FakeEngine()), draw(8, 9)
    look = painter.look(image)
    with pytest.raises(ConfigError, match="look has its style"):
        painter.paint(image, ROSE, look=look)
    with pytest.raises(ConfigError, match="belongs to model fake, the open model is other"):
        Painter(FakeEngine(identity="other")).paint(image, look=look)
    with pytest.raises(ConfigError, match="1 enlargement, 2 are needed"):
        painter.paint(image, look=look, scale=8)
    with pytest.raises(ConfigError, match="found 2 pictures"):
        painter.look([image, draw(9, 8)])
    with pytest.raises(ConfigError, match="found 0 pictures"):
        painter.look([])


# --- all the way round


@pytest.mark.parametrize("how", [{}, {"style": ROSE}, {"scale": 2.5}, {"scale": 6.5, "style": ROSE}])
@pytest.mark.parametrize("shape", [(20, 40), (20, 64)])
def test_turning_a_panorama_turns_its_painting(how, shape, draw):
    """The law of --wrap: no column is special. Without it, the edges are."""
    image = draw(*shape)
    painter = Painter(FakeEngine())
    look = painter.look(image, **how)  # one summary: its 32 cells are not turned by whole columns
    scale = how.get("scale", 4)
    by = 12  # a whole number of high pixels at every scale here
    turned = painter.paint(np.roll(image, by, 1), look=look, scale=scale, wrap=True)
    expected = np.roll(painter.paint(image, look=look, scale=scale, wrap=True), round(by * scale), 1)
    assert differ(turned, expected) <= 1
    flat = np.roll(painter.paint(image, look=look, scale=scale), round(by * scale), 1)
    assert differ(turned, flat) > 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_panorama_in_tiles_is_the_panorama_whole(dtype, draw):
    image = draw(31, 62, dtype)
    whole = Painter(FakeEngine()).paint(image, ROSE, wrap=True)
    painter = tight(9, whole.nbytes)
    assert differ(painter.paint(image, ROSE, wrap=True), whole) <= 1
    assert len(painter.engine.shapes) > 20
    assert len(set(painter.engine.shapes)) == 1


@pytest.mark.parametrize("size", [(1, 2), (3, 6), (2, 9), (5, 10), (7, 3)])
@pytest.mark.parametrize("reach_px", [0, 1, 4, 15])
def test_what_lies_beyond_the_edges(size, reach_px):
    height, width = size
    pixels = np.arange(height * width).reshape(size)
    seen = panorama.surrounded(pixels, reach_px)
    assert seen.shape == (height + 2 * reach_px, width + 2 * reach_px)
    for row in (-reach_px, -1, 0, height, height + reach_px - 1):
        for column in (-reach_px, 0, width, width + reach_px - 1):
            if not -reach_px <= row < height + reach_px or not -reach_px <= column < width + reach_px:
                continue
            down, across = row, column
            while panorama.has_poles(height, width) and not 0 <= down < height:  # step over a pole, as a walker does
                down, across = (-1 - down if down < 0 else 2 * height - 1 - down), across + width // 2
            down = min(max(down, 0), height - 1)
            assert seen[row + reach_px, column + reach_px] == pixels[down, across % width]


def test_over_the_pole_is_the_other_side(draw):
    """A picture smooth on the sphere is smooth over the pole as `surrounded` continues it."""
    height, width = 32, 64
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    longitude = ((np.arange(width) + 0.5) / width) * 2 * np.pi
    x = np.cos(latitude)[:, None] * np.cos(longitude)  # a coordinate of the unit sphere
    seen = panorama.surrounded(x, 4)
    assert np.abs(np.diff(seen, n=2, axis=0)).max() < 0.011  # (pi / 32)² = .0096 is its curvature


def test_cutting_round_covers_all_once():
    for height, width, tile_px in ((7, 14, 11), (40, 80, 23), (5, 90, 17)):
        count = np.zeros((height, width), int)
        for tile in panorama.cut_round(height, width, tile_px, 5):
            count[tile.inner.slices] += 1
            assert tile.outer.top <= tile.inner.top
            assert tile.outer.bottom >= tile.inner.bottom + 10
            assert tile.inner.height > 0
            assert tile.inner.width > 0
        assert (count == 1).all()


def test_alpha_goes_round(plain_engine, draw):
    alpha = np.full((10, 20), 255, np.uint8)
    alpha[:, :7] = 0
    image = np.dstack((draw(10, 20), alpha))
    painter = Painter(plain_engine)
    plain, round_ = painter.paint(image)[..., 3], painter.paint(image, wrap=True)[..., 3]
    assert plain[20, -1] == 255
    assert 0 < round_[20, -1] < 255 or round_[20, 0] > 0
    assert np.array_equal(painter.paint(np.roll(image, 5, 1), wrap=True)[..., 3], np.roll(round_, 20, 1))


def test_what_a_file_says_of_its_panorama_grows_with_it(draw):
    words = (
        '<x GPano:ProjectionType="equirectangular" GPano:FullPanoWidthPixels="20" GPano:FullPanoHeightPixels = \'10\'>'
        "<GPano:CroppedAreaImageWidthPixels>20</GPano:CroppedAreaImageWidthPixels>"
        "<GPano:CroppedAreaLeftPixels>3</GPano:CroppedAreaLeftPixels><GPano:CroppedAreaTopPixels>1<"
        "<GPano:PoseHeadingDegrees>20<"
    )
    painted = Painter(FakeEngine()).paint(Picture(draw(10, 20), xmp=words.encode()), size="90x30", wrap=True)
    text = painted.xmp.decode()
    assert 'FullPanoWidthPixels="90"' in text
    assert "FullPanoHeightPixels = '30'" in text
    assert "CroppedAreaImageWidthPixels>90<" in text
    assert "LeftPixels>14<" in text  # 13.5
    assert "TopPixels>3<" in text
    assert "Degrees>20<" in text


# --- two eyes


@pytest.mark.parametrize(("stereo", "axis"), [("side", 1), ("over", 0)])
@pytest.mark.parametrize("scale", [4, 2.5, 6])
def test_eyes_are_painted_apart_and_in_one_look(stereo, axis, scale, draw):
    left, right = draw(16, 20, seed=1), draw(16, 20, seed=2) // 2
    both = np.concatenate((left, right), axis)
    painter = Painter(FakeEngine())
    painted = np.split(painter.paint(both, ROSE, stereo=stereo, scale=scale), 2, axis)
    look = painter.look([left, right], ROSE, scale=scale)
    for eye, found in zip((left, right), painted, strict=True):
        assert np.array_equal(found, painter.paint(eye, look=look, scale=scale))
    assert np.array_equal(
        painter.paint(both, look=painter.look(both, ROSE, scale=scale, stereo=stereo), scale=scale, stereo=stereo),
        np.concatenate(painted, axis),
    )


def test_equal_eyes_become_equal_paintings(draw):
    eye = draw(12, 18)
    painted = Painter(FakeEngine()).paint(np.concatenate((eye, eye), 1), ROSE, stereo="side")
    assert np.array_equal(painted[:, :72], painted[:, 72:])
    plain = Painter(FakeEngine()).paint(np.concatenate((eye, eye), 1), ROSE)
    assert not np.array_equal(plain[:, :72], plain[:, 72:])


def test_stereo_keeps_what_a_picture_has(draw):
    image = Image.fromarray(np.dstack((draw(8, 12), np.full((8, 12), 200, np.uint8))))
    told = []
    painted = Painter(FakeEngine()).paint(image, stereo="over", progress=lambda done, total: told.append((done, total)))
    assert painted.mode == "RGBA"
    assert painted.size == (48, 32)
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_stereo_that_cannot_be(draw):
    painter = Painter(FakeEngine())
    with pytest.raises(PictureError, match="is 9 pixels wide"):
        painter.paint(draw(8, 9), stereo="side")
    with pytest.raises(ConfigError, match="height asked for is 33"):
        painter.paint(draw(8, 9), stereo="over", size="40x33")
    with pytest.raises(ConfigError, match="stereo 'sbs' is unknown"):
        painter.paint(draw(8, 9), stereo="sbs")
