"""The pictures of a page: maps over what they are about, faces cut out, numbers that a script can read; pure."""

import base64
import io

import numpy as np
from PIL import Image

from upbrush.explain import heat
from upbrush.explain.findings import Account, Dependence, JudgedFace, StyleSource
from upbrush.explain.invention import Invention, cell_means
from upbrush.picture import Picture
from upbrush.styles import plain_pixels

MOST_PX = 1600  # the longer side of a picture in the page
MOST_LOSSLESS = 1_200_000  # pixels of a picture that is kept to the last bit
MOST_CELLS = 512  # a side of the map in the page
FACE_PX = 192
LOW_CELL_PX = 8  # how large a low pixel is drawn


def eight_bits(shown: Picture) -> Image.Image:
    """A picture as it is looked at: RGB on white where it is transparent."""
    return Image.fromarray(plain_pixels(shown))


def within(image: Image.Image, most_px: int = MOST_PX) -> Image.Image:
    """The image, reduced where it is larger than that."""
    factor = most_px / max(image.size)
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def uri(image: Image.Image) -> str:
    """An image as an address that holds it: PNG, or WebP where it is large."""
    stored = io.BytesIO()
    if image.width * image.height <= MOST_LOSSLESS:
        image.save(stored, "PNG", optimize=True)
        kind = "png"
    else:
        image.save(stored, "WEBP", quality=92, method=4)
        kind = "webp"
    return f"data:image/{kind};base64,{base64.b64encode(stored.getvalue()).decode()}"


def page_cells(found: Invention) -> tuple[int, int]:
    """Rows and columns of the map in the page."""
    rows, columns = found.map.shape
    factor = max(1.0, max(rows, columns) / MOST_CELLS)
    return max(1, round(rows / factor)), max(1, round(columns / factor))


def values(found: Invention, top: float) -> tuple[Image.Image, float]:
    """The maps as colours of an image, and what the brightest stands for, levels of 255.

    Red, green and blue are added, unsteady and undecided; below them, in an image of the same size, red is changed.
    """
    shape, most = page_cells(found), 2 * top
    planes = [
        np.sqrt(cell_means(np.square(plane), shape))
        for plane in (found.added, found.unsteady, found.undecided, found.changed)
    ]
    upper, nothing = np.dstack(planes[:3]), np.zeros(shape, np.float32)
    stacked = np.concatenate((upper, np.dstack((planes[3], nothing, nothing))))
    return Image.fromarray(np.round(255 * np.clip(stacked / most, 0, 1)).astype(np.uint8)), most


def map_over(account: Account) -> Image.Image:
    """The map over the output in grey."""
    found = account.invention
    return heat.over(within(eight_bits(account.painted)), heat.colours(found.map, heat.fitting_top(found.map)))


def face_pair(account: Account, face: JudgedFace) -> tuple[Image.Image, Image.Image]:
    """A face before and in the output, with some of what is around it."""
    left, top, width, height = face.box
    side, across, down = 1.5 * max(width, height), left + width / 2, top + height / 2
    area = (across - side / 2, down - side / 2, across + side / 2, down + side / 2)
    after = _cut(eight_bits(account.painted), area, Image.Resampling.LANCZOS)
    if account.truth is not None:
        return _cut(Image.fromarray(account.truth.pixels), area, Image.Resampling.LANCZOS), after
    factor = account.painted.width / account.source.width
    small = (area[0] / factor, area[1] / factor, area[2] / factor, area[3] / factor)
    return _cut(eight_bits(account.source), small, Image.Resampling.BICUBIC), after


def _cut(image: Image.Image, area: tuple[float, float, float, float], kind: Image.Resampling) -> Image.Image:
    """A square part, which may leave the image, at FACE_PX a side."""
    left, top, right, bottom = area
    pad = int(max(0, -left, -top, right - image.width, bottom - image.height)) + 1
    padded = Image.fromarray(np.pad(np.asarray(image), ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    return padded.resize((FACE_PX, FACE_PX), kind, (left + pad, top + pad, right + pad, bottom + pad))


def dependence_map(source: Picture, one: Dependence, scale: int = 4) -> Image.Image:
    """The low picture around a region of the output, in grey, under what each pixel gave; the region in a frame."""
    window = one.window
    part = eight_bits(source).crop((window.left, window.top, window.right, window.bottom))
    large = part.resize((part.width * LOW_CELL_PX, part.height * LOW_CELL_PX), Image.Resampling.NEAREST)
    shown = heat.over(large, heat.signed_colours(one.map, heat.signed_top(one.map)))
    top, left, bottom, right = one.region.top, one.region.left, one.region.bottom, one.region.right
    across = [round((side / scale - window.left) * LOW_CELL_PX) for side in (left, right)]
    down = [round((side / scale - window.top) * LOW_CELL_PX) for side in (top, bottom)]
    return heat.framed(shown, (across[0], down[0], across[1], down[1]))


def style_part(source: StyleSource, cells: np.ndarray | None) -> Image.Image:
    """The reference as it is, or in grey under what its cells do."""
    view = Image.fromarray(source.view)
    if cells is None:
        return view
    large = view.resize((2 * view.width, 2 * view.height), Image.Resampling.BICUBIC)
    return heat.over(large, heat.signed_colours(cells, heat.signed_top(cells)))
