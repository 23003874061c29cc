"""Photographs: there where scikit-image is, a clear word where it is not, and a drawing always."""

import numpy as np
import pytest
from PIL import Image

from upbrush import photographs
from upbrush.errors import ConfigError


@pytest.mark.parametrize("name", photographs.CUTS)
def test_photographs_are_square_and_of_the_size_asked(name):
    pytest.importorskip("skimage")
    pixels = photographs.photograph(name, 48)
    assert pixels.shape == (48, 48, 3)
    assert pixels.dtype == np.uint8
    assert pixels.std() > 20


def test_the_files_are_there_and_are_those_photographs():
    pytest.importorskip("skimage")
    assert len(photographs.files()) == len(photographs.CUTS)
    for path in photographs.files():
        with Image.open(path) as image:
            assert image.mode == "RGB"
            assert min(image.size) >= 300


def test_without_scikit_image_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(photographs, "find_spec", lambda name: None)
    assert not photographs.are_here()
    with pytest.raises(ConfigError, match=r"upbrush\[demo\]"):
        photographs.photograph("astronaut", 64)
    with pytest.raises(ConfigError, match=r"upbrush\[train\]"):
        photographs.files()


@pytest.mark.parametrize("side_px", [1, 16, 64])
def test_the_drawing_needs_nothing(side_px):
    pixels = photographs.drawing(side_px)
    assert pixels.shape == (side_px, side_px, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, photographs.drawing(side_px))


def test_the_drawing_has_sky_above_and_grass_below():
    pixels = photographs.drawing(64).astype(int)
    assert pixels[0, :, 2].mean() > pixels[0, :, 0].mean() + 50
    assert pixels[60, 5, 1] > pixels[60, 5, 2] + 30
