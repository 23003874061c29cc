"""Dead leaves for training, and the share of pictures that they are."""

import numpy as np
import pytest
from PIL import Image
from tiny_nets import tiny_config

from upbrush import leaves
from upbrush.dataset import Batches, scan


@pytest.mark.parametrize("side", [16, 61, 256])
def test_leaves_fill_a_square(side):
    for seed in range(5):
        pixels = leaves.drawn(side, np.random.default_rng(seed))
        assert pixels.shape == (side, side, 3)
        assert pixels.dtype == np.uint8


def test_leaves_look_alike_from_near_and_far():
    """Natural pictures' power falls by about the square of the frequency; noise has it level, slopes have none."""
    rng = np.random.default_rng(0)
    window = np.outer(np.hanning(128), np.hanning(128))
    far = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None])
    power = np.zeros((128, 128))
    for _ in range(40):
        grey = leaves.drawn(128, rng).astype(float).mean(2)
        power += np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    bands = [power[(far >= low) & (far < 2 * low)].mean() for low in (0.03, 0.06, 0.12)]
    falls = np.log2(np.array(bands[:-1]) / bands[1:])
    assert (falls > 1).all()
    assert (falls < 3.5).all()


def test_outlines_are_sharp_and_no_staircase():
    """Some edges are one whole step from pixel to pixel, and there is much between, as slanted edges have it."""
    rng = np.random.default_rng(1)
    steps = np.concatenate(
        [np.abs(np.diff(leaves.drawn(96, rng).astype(int)[..., 1], axis=1)).ravel() for _ in range(20)]
    )
    assert (steps > 100).mean() > 0.003
    assert ((steps > 5) & (steps < 60)).mean() > 0.05


def test_their_share_of_a_batch(tmp_path):
    Image.new("RGB", (64, 64), (0, 200, 0)).save(tmp_path / "plain.png")
    entries = scan([tmp_path])
    data = {"crop_px": 32, "restore": 40, "sharp": 0, "repaint": 0, "bicubic_share": 1.0, "drawn": 0.0, "leaves": 0.3}
    batch = Batches(entries, tiny_config(data=data))[0]
    plain = (batch.high - batch.high[:, :, :1, :1]).abs().amax((1, 2, 3)) < 0.01
    assert 4 <= int((~plain).sum()) <= 22
