"""Squares cut for training: where, how large, and the same whether the picture is resized whole or not."""

import numpy as np
import pytest
from conftest import draw
from PIL import Image

from upbrush import crops
from upbrush.config import DataConfig
from upbrush.views import STYLE_PX


def settings(**changes):
    return DataConfig(**{"crop_px": 32} | changes)


def corners(image, size, side, seed):
    """The squares of `size` cut by resizing the whole picture, and as `crops` cuts them."""
    whole = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    rng = np.random.default_rng(seed)
    left, upper = (int(rng.integers(extent - side + 1)) for extent in size)
    expected = whole[upper : upper + side, left : left + side]
    expected = expected[:, ::-1] if rng.random() < 0.5 else expected
    return expected.astype(int), crops._squares(image, size, side, 1, np.random.default_rng(seed))[0]


@pytest.mark.parametrize("size", [(64, 48), (95, 71), (200, 150), (40, 33)], ids=str)
def test_a_square_is_that_of_the_picture_resized_whole(size):
    image = Image.fromarray(draw(90, 120))
    for seed in range(8):
        expected, found = corners(image, size, 32, seed)
        assert found.shape == (32, 32, 3)
        assert np.abs(found - expected).max() <= 2
        assert np.abs(found - expected).mean() < 0.02


@pytest.mark.parametrize("size", [(32, 32), (33, 100), (300, 32), (20, 50), (7, 7), (1, 90)], ids=str)
@pytest.mark.parametrize("tries", [1, 9])
def test_pictures_of_any_size_give_a_crop(size, tries):
    image = Image.fromarray(draw(*size[::-1]))
    for seed in range(4):
        rng = np.random.default_rng(seed)
        assert crops.content(image, settings(detail_tries=tries), rng).shape == (32, 32, 3)
        assert crops.style(image, rng).shape == (STYLE_PX, STYLE_PX, 3)


def test_crops_come_from_all_over_at_all_sizes_and_mirrored():
    """By the slopes of a picture that grows brighter to the right and redder downwards."""
    y, x = np.mgrid[:96, :96]
    image = Image.fromarray(np.stack([y * 2, x * 2, 0 * x], 2).astype(np.uint8))
    rng = np.random.default_rng(0)
    found = [crops.content(image, settings(zoom=0.4), rng).astype(float) for _ in range(200)]
    slopes = np.array([np.diff(pixels[..., 1], axis=1).mean() for pixels in found])
    assert 0.35 < (slopes < 0).mean() < 0.65
    assert 1.9 < np.abs(slopes).min() < 2.1  # as large as it was
    assert 4 < np.abs(slopes).max() <= 5.2  # reduced by 0.4
    middles = np.array([pixels.mean((0, 1))[:2] for pixels in found])
    assert (middles.min(0) < 45).all()
    assert (middles.max(0) > 145).all()


@pytest.mark.parametrize("native", [0, 1])
def test_crops_are_as_large_as_they_were_or_reduced(native):
    image = Image.fromarray(np.tile(np.arange(96, dtype=np.uint8) * 2, (96, 1))[..., None].repeat(3, 2))
    rng = np.random.default_rng(0)
    found = [crops.content(image, settings(zoom=0.4, native=native), rng).astype(float) for _ in range(60)]
    slopes = np.array([np.abs(np.diff(pixels[..., 1], axis=1)).mean() for pixels in found])
    if native:
        assert np.abs(slopes - 2).max() < 0.05
    else:
        assert (slopes > 2.05).mean() > 0.9


def test_more_tries_find_more_detail():
    pixels = np.full((200, 200, 3), 128, np.uint8)
    pixels[120:160, 120:160] = np.random.default_rng(0).integers(0, 256, (40, 40, 3))
    image = Image.fromarray(pixels)
    hits = [
        np.mean(
            [crops.content(image, settings(detail_tries=n, zoom=1), np.random.default_rng(s)).std() for s in range(60)]
        )
        for n in (1, 4)
    ]
    assert hits[1] > 1.5 * hits[0]
