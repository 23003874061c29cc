"""The demo: photographs of scikit-image's made small, then restored, and repainted in styles of the library."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from upbrush import photographs, picture
from upbrush.errors import PictureError, StyleError
from upbrush.painter import Painter
from upbrush.sheet import sheet
from upbrush.styles import Style

LOW_PX = 128
STYLES = 8
FAVOURITES = ("monet", "munch", "kandinsky", "beardsley", "cezanne", "filonov", "durer", "hiroshige")
COLUMNS = 4


def run(
    out: Path, painter: Painter, library: Mapping[str, Style], told: Callable[[str], None] = lambda name: None
) -> list[Path]:
    """Restore and repaint each photograph; returns the sheets, the astronaut's first.

    out: a folder, made where missing; what an earlier demo wrote there is replaced. told: called with the name of
    each picture before it is painted. Raises ConfigError without scikit-image, StyleError without a library,
    PictureError where nothing can be written.
    """
    chosen = choose(library, STYLES)
    sheets: list[Path] = []
    for name in photographs.CUTS:
        low = photographs.photograph(name, LOW_PX)
        cells = [("low, each pixel enlarged", _enlarged(low, Image.Resampling.NEAREST))]
        cells.append(("bicubic", _enlarged(low, Image.Resampling.BICUBIC)))
        told(f"{name}, restored")
        cells.append(("restored", Image.fromarray(painter.paint(low))))
        for label, style in chosen.items():
            told(f"{name}, {label}")
            cells.append((label, Image.fromarray(painter.paint(low, style))))
        first = not sheets
        if first:  # the others are to be looked at on their sheets
            _write(out / name / "low.png", low)
            for label, image in cells[1:]:
                _write(out / name / f"{label}.png", np.asarray(image))
        sheets.append(out / ("sheet.png" if first else f"sheet-{name}.png"))
        _write(sheets[-1], np.asarray(sheet(cells, COLUMNS, cells[0][1].width)))
    return sheets


def choose(library: Mapping[str, Style], count: int) -> dict[str, Style]:
    """So many styles: favourites that are there, then others spread evenly; raises StyleError for an empty library."""
    if not library:
        raise StyleError("the model has no library of styles; reinstall upbrush, or fill it with `upbrush style make`")
    names = [name for name in FAVOURITES if name in library][:count]
    others = [name for name in library if name not in names]
    steps = np.linspace(0, len(others) - 1, min(count - len(names), len(others))).round().astype(int)
    return {name: library[name] for name in [*names, *(others[step] for step in steps)]}


def _enlarged(low: np.ndarray, resampling: Image.Resampling) -> Image.Image:
    image = Image.fromarray(low)
    return image.resize((4 * image.width, 4 * image.height), resampling)


def _write(path: Path, pixels: np.ndarray) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"{path.parent}: cannot be made ({error.strerror}); choose another folder") from None
    picture.write(picture.from_array(pixels), path, overwrite=True)
