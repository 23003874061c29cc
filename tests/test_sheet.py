"""Sheets: every picture is on the page, whole, in reading order, with something written under it."""

import numpy as np
import pytest
from PIL import Image

from upbrush.sheet import GAP_PX, INK, PAPER, sheet

CELL_PX = 64


def colours(page):
    return {tuple(colour) for colour in np.asarray(page).reshape(-1, 3)}


def test_pictures_come_in_reading_order():
    cells = [(str(shade), Image.new("RGB", (CELL_PX, CELL_PX), (shade, 0, 0))) for shade in (50, 100, 150, 200, 250)]
    page = np.asarray(sheet(cells, 2, CELL_PX))
    rows = (page.shape[0] - GAP_PX) // 3
    step = CELL_PX + GAP_PX
    found = [page[GAP_PX + row * rows + 5, GAP_PX + column * step + 5, 0] for row in range(3) for column in range(2)]
    assert found == [50, 100, 150, 200, 250, PAPER[0]]
    assert page.shape[1] == 2 * step + GAP_PX


@pytest.mark.parametrize("size", [(CELL_PX, CELL_PX), (300, 20), (20, 300), (1, 1), (1, 900)])
def test_a_picture_of_any_shape_keeps_it(size):
    page = np.asarray(sheet([("", Image.new("RGB", size, (255, 0, 0)))], 3, CELL_PX))
    red = (page == (255, 0, 0)).all(2)
    height, width = red.any(1).sum(), red.any(0).sum()
    assert (width, height) == tuple(max(1, round(side * CELL_PX / max(size))) for side in size)


def test_labels_are_written_and_cut_to_the_cell():
    bare = sheet([("", None)], 1, CELL_PX)
    assert INK not in colours(bare)
    page = np.asarray(sheet([("a name far too long to fit under such a small picture" * 3, None)], 1, CELL_PX))
    dark = np.nonzero((page < 100).all(2))
    assert len(dark[0])
    assert dark[0].min() >= GAP_PX + CELL_PX
    assert dark[1].max() < GAP_PX + CELL_PX


def test_accents_and_dashes_are_written_as_pillows_font_has_them():
    plain, accented = (sheet([(label, None)], 1, CELL_PX) for label in ("Durer-C", "Dürer–Č"))
    np.testing.assert_array_equal(plain, accented)


def test_more_lines_make_room():
    assert sheet([("one\ntwo\nthree", None)], 1, CELL_PX).height > sheet([("one", None)], 1, CELL_PX).height + 20


def test_an_empty_sheet_is_a_page():
    assert sheet([], 4, CELL_PX).mode == "RGB"
