"""The demo: a low picture, what it becomes, and sheets to look at."""

import numpy as np
import pytest
from conftest import FakeEngine

from upbrush import demo, photographs, picture
from upbrush.errors import PictureError, StyleError
from upbrush.painter import Painter
from upbrush.styles import Style


@pytest.fixture
def library():
    rng = np.random.default_rng(2)
    return {f"style-{n:02}": Style(f"Style {n}", rng.random(256), "fake") for n in range(20)}


@pytest.fixture
def _drawn(monkeypatch):
    """Drawings stand for the photographs, and are small."""
    monkeypatch.setattr(photographs, "photograph", lambda name, side_px: photographs.drawing(side_px))
    monkeypatch.setattr(demo, "LOW_PX", 16)


@pytest.mark.usefixtures("_drawn")
def test_the_demo_writes_pictures_and_sheets(tmp_path, library):
    out = tmp_path / "new" / "demo"
    told = []
    sheets = demo.run(out, Painter(FakeEngine()), library, told.append)
    assert sheets[0] == out / "sheet.png"
    assert [path.name for path in sheets[1:]] == ["sheet-cat.png", "sheet-coffee.png", "sheet-rocket.png"]
    assert picture.read(out / "astronaut" / "low.png").width == 16
    painted = {path.stem for path in (out / "astronaut").iterdir()} - {"low"}
    assert painted == {"bicubic", "restored", *demo.choose(library, 8)}
    assert all(picture.read(out / "astronaut" / f"{name}.png").width == 64 for name in painted)
    assert len(told) == 4 * 9
    assert picture.read(sheets[0]).width > 4 * 64
    demo.run(out, Painter(FakeEngine()), library)  # once more over the old one
    assert not list(out.rglob("*.part"))


def test_styles_are_spread_over_the_library(library):
    chosen = list(demo.choose(library, 8))
    assert len(chosen) == 8
    assert (chosen[0], chosen[-1]) == ("style-00", "style-19")
    assert list(demo.choose({"only": library["style-03"]}, 8)) == ["only"]
    with pytest.raises(StyleError, match="no library"):
        demo.choose({}, 8)


@pytest.mark.usefixtures("_drawn")
def test_a_place_that_cannot_be_written_is_named(tmp_path, library):
    (tmp_path / "file").touch()
    with pytest.raises(PictureError, match="cannot be made"):
        demo.run(tmp_path / "file" / "demo", Painter(FakeEngine()), library)
