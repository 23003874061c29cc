"""Tiles, sizes and the canvas: the geometry of painting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upbrush.canvas import Canvas, from_unit, resized
from upbrush.errors import ConfigError, OutOfMemoryError
from upbrush.sizes import memory_bytes, target_size
from upbrush.tiles import Box, cut, tile_px_for

sides = st.integers(1, 400)
quick = settings(max_examples=80, deadline=None, derandomize=True)


@quick
@given(height=st.integers(1, 130), width=st.integers(1, 90), overlap_px=st.integers(0, 20), inner_px=st.integers(7, 60))
def test_tiles_cover_once_and_see_enough(height, width, overlap_px, inner_px):
    tile_px = inner_px + 2 * overlap_px
    tiles = cut(height, width, tile_px, overlap_px)
    times_owned = np.zeros((height, width), int)
    for tile in tiles:
        outer, inner = tile.outer, tile.inner
        times_owned[inner.slices] += 1
        assert 0 <= outer.top <= inner.top < inner.bottom <= outer.bottom <= height
        assert 0 <= outer.left <= inner.left < inner.right <= outer.right <= width
        assert outer.height <= tile_px
        assert outer.width <= tile_px
        assert inner.top - outer.top >= overlap_px or outer.top == 0
        assert inner.left - outer.left >= overlap_px or outer.left == 0
        assert outer.bottom - inner.bottom >= overlap_px or outer.bottom == height
        assert outer.right - inner.right >= overlap_px or outer.right == width
    assert (times_owned == 1).all()
    assert len({(tile.outer.height, tile.outer.width) for tile in tiles}) == 1
    assert [(t.inner.top, t.inner.left) for t in tiles] == sorted((t.inner.top, t.inner.left) for t in tiles)


def test_tiles_are_no_more_than_needed():
    assert len(cut(100, 100, 100, 16)) == 1
    assert len(cut(101, 100, 100, 16)) == 2
    # Two border tiles own 84 each, one in between 68.
    assert len(cut(1, 84 + 68 + 84, 100, 16)) == 3
    assert len(cut(1, 84 + 68 + 84 + 1, 100, 16)) == 4


@pytest.mark.parametrize("arguments", [(0, 5, 9, 1), (5, 0, 9, 1), (5, 5, 2, 1), (5, 5, 9, -1)])
def test_tiles_that_cannot_be_cut(arguments):
    with pytest.raises(ValueError, match="cannot cut"):
        cut(*arguments)


@quick
@given(memory=st.integers(0, 10**10), bytes_per_px=st.integers(1, 10**5), overlap_px=st.integers(0, 64))
def test_tile_fits_the_memory_or_the_error_says_how_much_does(memory, bytes_per_px, overlap_px):
    try:
        side = tile_px_for(memory, bytes_per_px, overlap_px)
    except OutOfMemoryError as error:
        needed = int(str(error).split(" takes ")[1].split(" MB")[0]) * 10**6
        assert needed > memory
        assert tile_px_for(needed, bytes_per_px, overlap_px) > 2 * overlap_px
    else:
        assert side * side * bytes_per_px <= memory < (side + 1) ** 2 * bytes_per_px


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, (400, 280)),
        ({"scale": 1}, (100, 70)),
        ({"scale": 1.006}, (101, 70)),
        ({"scale": 16}, (1600, 1120)),
        ({"size": "333x77"}, (333, 77)),
        ({"size": " 333 X 77 "}, (333, 77)),
        ({"size": "333×77"}, (333, 77)),
        ({"size": "long:300"}, (300, 210)),
        ({"size": "short:301"}, (430, 301)),
        ({"size": "fit:300x300"}, (300, 210)),
        ({"size": "fit:1000x300"}, (429, 300)),
        ({"size": "long:1"}, (1, 1)),
    ],
)
def test_target_size(wanted, expected):
    assert target_size(100, 70, **wanted) == expected


@pytest.mark.parametrize("wanted", [{}, {"scale": 2.5}, {"size": "long:300"}, {"size": "short:77"}])
def test_upright_pictures_are_wide_ones_turned(wanted):
    assert target_size(70, 100, **wanted) == target_size(100, 70, **wanted)[::-1]


@quick
@given(width=sides, height=sides, factor=st.floats(1, 16), part=st.integers(1, 1600))
def test_sizes_keep_proportions_and_are_exact(width, height, factor, part):
    across, down = target_size(width, height, scale=factor)
    assert abs(across - width * factor) <= 0.5
    assert abs(down - height * factor) <= 0.5
    if part <= 16 * max(width, height):
        across, down = target_size(width, height, size=f"long:{part}")
        assert max(across, down) == part
        assert abs(across * height - down * width) <= max(width, height) / 2 or min(across, down) == 1
        fitted = target_size(width, height, size=f"fit:{across}x{down}")
        assert fitted[0] <= across
        assert fitted[1] <= down
    if part <= 16 * min(width, height):
        assert min(target_size(width, height, size=f"short:{part}")) == part


@pytest.mark.parametrize("scale", [0.5, 0, 16.1, -4, float("nan"), float("inf"), "4", True])
def test_scale_out_of_range(scale):
    with pytest.raises(ConfigError, match="is not in 1…16"):
        target_size(10, 10, scale=scale)


@pytest.mark.parametrize(
    "size", ["", "big", "0x5", "5x0", "long:0", "long:", "long:5x5", "fit:5", "5", "-5x5", "1.5x2", 7]
)
def test_sizes_that_are_none(size):
    with pytest.raises(ConfigError, match="is not a size; expected 3000x2000"):
        target_size(10, 10, size=size)


def test_sizes_that_are_too_much():
    with pytest.raises(ConfigError, match=r"is 16\.1 times the picture's 10x10; expected at most 16"):
        target_size(10, 10, size="161x10")
    with pytest.raises(ConfigError, match="are both given"):
        target_size(10, 10, scale=2, size="20x20")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1GB", 10**9),
        ("1.5 gb", 1_500_000_000),
        ("800M", 8 * 10**8),
        ("2GiB", 2**31),
        ("64 KiB", 65536),
        (12345, 12345),
    ],
)
def test_memory(text, expected):
    assert memory_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "much", "0", "0GB", "-1GB", "1XB", 0, -5, 1.5, True, None])
def test_memory_that_is_none(text):
    with pytest.raises(ConfigError, match="is not a memory size; expected one such as 1GB"):
        memory_bytes(text)


@pytest.mark.parametrize("target", [(96, 132), (24, 33), (71, 100), (95, 131), (1, 1), (96, 5), (3, 132)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_canvas_equals_one_resampling_of_the_whole(target, dtype):
    high = np.random.default_rng(1).random((96, 132, 3), np.float32) * 1.2 - 0.1
    canvas = Canvas((96, 132), target, 3, dtype)
    for tile in cut(24, 33, 9, 2):
        box = tile.inner.times(4)
        canvas.put(box, high[box.slices])
    whole = [Image.fromarray(high[..., c].clip(0, 1)).resize(target[::-1], Image.Resampling.LANCZOS) for c in range(3)]
    expected = np.dstack([np.asarray(plane) for plane in whole]).clip(0, 1) * np.iinfo(dtype).max
    assert canvas.finish().dtype == dtype
    # Half a level of rounding, and 16 bits in between.
    assert np.abs(canvas.finish() - expected).max() <= (0.51 if dtype == np.uint8 else 1.6)


def test_canvas_holds_few_rows():
    """Rows that are done with are let go: the high picture is never there whole."""
    canvas = Canvas((4000, 40), (1000, 10), 1, np.uint8)
    most = 0
    for top in range(0, 4000, 40):
        canvas.put(Box(top, 0, top + 40, 40), np.full((40, 40, 1), 0.5, np.float32))
        most = max(most, canvas._band.shape[0])
    assert most < 120
    assert (canvas.finish() == 128).all()


def test_canvas_refuses_to_enlarge():
    with pytest.raises(ValueError, match="larger"):
        Canvas((4, 4), (4, 5), 3, np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_numbers_round_trip_and_clip(dtype):
    top = np.iinfo(dtype).max
    every = np.arange(top + 1, dtype=dtype).reshape(-1, 64)
    assert np.array_equal(from_unit(every.astype(np.float32) / np.float32(top), np.dtype(dtype)), every)
    assert from_unit(np.array([[-3.0, 7.0]], np.float32), np.dtype(dtype)).tolist() == [[0, top]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_planes_keep_flat_and_extremes(dtype):
    top = np.iinfo(dtype).max
    assert (resized(np.full((7, 5), top, dtype), 61, 33) == top).all()
    edge = np.repeat(np.array([[0, top]], dtype), 4, axis=1)
    large = resized(edge, 4, 32)
    assert large.dtype == dtype
    assert large.min() == 0
    assert large.max() == top


@pytest.mark.parametrize("target", [(700, 33), (61, 9), (149, 37), (1100, 150), (10, 80)])
def test_planes_are_resized_by_stripes_as_they_are_whole(target):
    for dtype in (np.uint8, np.uint16):
        plane = np.random.default_rng(2).integers(0, np.iinfo(dtype).max, (149, 37), dtype, endpoint=True)
        whole = Image.fromarray(plane.astype(np.float32)).resize(target[::-1], Image.Resampling.LANCZOS)
        whole = np.asarray(whole).clip(0, np.iinfo(dtype).max)
        assert np.abs(resized(plane, *target) - whole).max() <= 0.6
