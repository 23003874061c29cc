"""Styles from noise, on the model that ships: as different from one another as real styles, and as much like art."""

import numpy as np
import pytest
from PIL import Image

from upbrush import Painter, styles
from upbrush.engine import MODEL_DIR
from upbrush.photographs import are_here, photograph

pytestmark = [
    pytest.mark.skipif(not are_here(), reason="scikit-image is not installed: its photographs are painted here"),
    pytest.mark.skipif(not (MODEL_DIR / "random.npz").is_file(), reason="the shipped model is not in the package"),
]
SEEDS = 16


@pytest.fixture(scope="module")
def drawn():
    return [styles.random(seed) for seed in range(SEEDS)]


@pytest.fixture(scope="module")
def real():
    return list(styles.library().values())  # all of them: every second happens to be two thirds as different


@pytest.fixture(scope="module")
def painted(drawn, real):
    """The same photograph in every style, as thumbnails: {name: (32, 32, 3)}."""
    painter, photo = Painter(threads=1), photograph("astronaut", 48)

    def thumbnail(style):
        high = Image.fromarray(painter.paint(photo, style))
        return np.asarray(high.resize((32, 32), Image.Resampling.BOX), float)

    return {style.name: thumbnail(style) for style in (*drawn, *real)}


def distances(a, b):
    """Root mean squared difference of each of `a` to each of `b`."""
    a, b = (np.stack(list(items)).reshape(len(items), 1, -1) for items in (a, b))
    return np.sqrt(((a - b.transpose(1, 0, 2)) ** 2).mean(2))


def mean_of_pairs(items):
    return distances(items, items)[np.triu_indices(len(items), 1)].mean()


def test_random_codes_differ_as_real_ones_do(drawn, real):
    ratio = mean_of_pairs([s.code[: styles.CODE_SIZE] for s in drawn]) / mean_of_pairs(
        [s.code[: styles.CODE_SIZE] for s in real]
    )
    assert 0.6 <= ratio < 1.5


def test_random_pictures_differ_as_real_repaints_do(painted, drawn, real):
    ratio = mean_of_pairs([painted[s.name] for s in drawn]) / mean_of_pairs([painted[s.name] for s in real])
    assert 0.6 <= ratio < 1.5


def test_random_pictures_look_like_repaints_of_art(painted, drawn, real):
    """The nearest real repaint is about as near as it is for a real one, and none is lost in black or white."""
    own, others = ([painted[s.name] for s in group] for group in (drawn, real))
    between = distances(others, others)
    np.fill_diagonal(between, np.inf)
    assert distances(own, others).min(1).mean() < 1.6 * between.min(1).mean()
    assert min(picture.std() for picture in own) > 0.5 * min(picture.std() for picture in others)


def test_the_same_seed_is_the_same_picture():
    painter, photo = Painter(threads=1), photograph("coffee", 32)
    seven, again, eight = (painter.paint(photo, f"random:{seed}") for seed in (7, 7, 8))
    assert np.array_equal(seven, again)
    assert np.abs(seven.astype(float) - eight).mean() > 2
