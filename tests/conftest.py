"""What tests share: an engine without weights, and pictures drawn by code."""

import importlib
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from studio_fixtures import addresses, browser, studio_model, visit

__all__ = ["addresses", "browser", "studio_model", "visit"]  # fixtures: pytest finds them here


class FakeEngine:
    """An engine that keeps the laws and shows every mistake in tiling.

    Each high pixel is a weighted sum of the low pixels up to `overlap_px` away, with sizeable weights as far as that,
    so a tile that sees less than it must comes out visibly wrong. Contrast and tint come from the mods, and those from
    the thumbnail, so a tile summed up alone comes out wrong too. The result leaves [0, 1] at strong edges, as a
    network's does.
    """

    scale = 4
    code_size = 256

    def __init__(self, overlap_px=5, identity="fake"):
        self.overlap_px, self.identity = overlap_px, identity
        rng = np.random.default_rng(3)
        taps = 2 * overlap_px + 1
        weights = 0.06 * rng.standard_normal((self.scale, taps))
        place = (np.arange(self.scale) + 0.5) / self.scale - 0.5 + overlap_px  # of each sub-pixel, in low pixels
        weights += np.maximum(0, 1 - np.abs(np.arange(taps) - place[:, None]))  # bilinear
        self.weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
        self.shapes = []  # of each picture rendered
        self.modulated = []  # (has a code, strength, fidelity) of each call

    def encode(self, style):
        code = np.zeros(self.code_size, np.float32)
        code[:3] = style.reshape(-1, 3).mean(0) / 255
        return code

    def modulate(self, thumbnail, code, strength, fidelity):
        assert thumbnail.shape == (6, 32, 32)
        assert thumbnail.dtype == np.float32
        assert code is not None or strength == 0
        self.modulated.append((code is not None, strength, fidelity))
        tint = (code[:3] - 0.5) * strength * 0.6 if code is not None else np.zeros(3)
        mean = thumbnail[:3].mean()
        contrast = 1.3 - 0.6 * mean - 0.3 * strength + 0.1 * fidelity
        return np.array([contrast, *tint, mean], np.float32)

    def render(self, low, mods):
        assert low.dtype == np.float32
        assert low.ndim == 4
        assert low.min() >= 0
        assert low.max() <= 1
        self.shapes.append(low.shape)
        high = self._enlarged(self._enlarged(low, 2), 3)
        contrast, *tint, mean = mods
        return (mean + (high - mean) * contrast + np.reshape(tint, (1, 3, 1, 1))).astype(np.float32)

    def _enlarged(self, low, axis):
        reach = self.overlap_px
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(4)]
        padded = np.moveaxis(np.pad(low, pad, mode="edge"), axis, 0)
        length = low.shape[axis]
        parts = [sum(w * padded[k : k + length] for k, w in enumerate(row)) for row in self.weights]
        return np.moveaxis(np.stack(parts, 1).reshape(-1, *padded.shape[1:]), 0, axis)


class PlainEngine(FakeEngine):
    """Every pixel four times each way, nothing else: what comes out can be said in advance."""

    def render(self, low, mods):
        self.shapes.append(low.shape)
        return low.repeat(4, 2).repeat(4, 3)


@pytest.fixture(autouse=True)
def _handlers():
    """A command that ran in the test's own process leaves a handler whose stream is closed after it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def script(monkeypatch):
    """A function that runs a script of runs/ in this process: script("knob", argument, ...)."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "runs")
    loaded = []

    def run(name, *arguments):
        loaded.append(name)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        importlib.import_module(name).main()

    yield run
    for name in loaded:
        sys.modules.pop(name, None)


@pytest.fixture
def fake_engine():
    return FakeEngine()


@pytest.fixture
def plain_engine():
    return PlainEngine()


def draw(height, width, dtype=np.uint8, seed=0):
    """A picture with slopes, edges, a disc and grain: (H, W, 3)."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    y, x = y / max(height - 1, 1), x / max(width - 1, 1)
    slopes = np.stack([x, y, 1 - (x + y) / 2], axis=2)
    disc = ((x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.06)[..., None]
    bars = ((x * 9).astype(int) % 3 == 0)[..., None] & (y > 0.7)[..., None]
    image = np.where(disc, [0.9, 0.25, 0.1], np.where(bars, 0.95, slopes))
    image += np.random.default_rng(seed).normal(0, 0.02, image.shape)
    top = np.iinfo(dtype).max
    return np.rint(image.clip(0, 1) * top).astype(dtype)


@pytest.fixture(name="draw")
def draw_fixture():
    """A function that draws a picture: draw(height, width, dtype=uint8, seed=0) -> (H, W, 3)."""
    return draw
