"""Patterns drawn by code for training, and the share of a batch that they are."""

import numpy as np
import pytest
from PIL import Image
from tiny_nets import tiny_config

from upbrush import leaves, patterns
from upbrush.dataset import Batches, scan

KINDS = ("_noise", "_checks", "_stripes", "_slope", "_shapes", "_letters")


@pytest.mark.parametrize("side", [16, 61, 256])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_fills_a_square(kind, side):
    for seed in range(5):
        pixels = getattr(patterns, kind)(side, np.random.default_rng(seed))
        assert pixels.shape == (side, side, 3)
        assert pixels.dtype == np.uint8


@pytest.mark.parametrize("source", [patterns, leaves])
def test_what_is_drawn_is_fixed_by_its_generator_and_differs(source):
    first, again, other = (source.drawn(64, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_fine_and_coarse_contrast_both_occur():
    """What blew a generator up were full contrasts at one low pixel and at eight."""
    rng = np.random.default_rng(0)
    fine = coarse = 0
    for _ in range(200):
        pixels = patterns.drawn(160, rng).astype(float).mean(2)
        low = pixels.reshape(40, 4, 40, 4).mean((1, 3))
        fine += np.abs(np.diff(low, axis=1)).mean() > 60
        coarse += np.abs(np.diff(pixels.reshape(5, 32, 5, 32).mean((1, 3)), axis=1)).mean() > 60
    assert fine >= 5
    assert coarse >= 5


@pytest.fixture
def plain(tmp_path):
    """A folder of one white picture: all else in a batch was drawn."""
    Image.new("RGB", (64, 64), "white").save(tmp_path / "white.png")
    return scan([tmp_path])


def drawn_share(entries, share):
    config = tiny_config(data={"drawn": share})
    batches = Batches(entries, config)
    found = [batches[step] for step in range(40)]
    return tuple(
        float(np.mean([(x.amin((1, 2, 3)) < 1).float().mean() for x in group]))
        for group in ([batch.high for batch in found], [batch.style for batch in found])
    )


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_share_is_kept_for_pictures_and_for_styles(plain, share):
    for found in drawn_share(plain, share):
        assert abs(found - share) < (0.15 if 0 < share < 1 else 0.02)  # a slope may be white by chance
