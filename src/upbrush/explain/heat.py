"""Numbers as colours: maps laid over pictures, and the bar that says what the colours mean; pure."""

import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TOPS = (16.0, 32.0, 64.0)  # levels of 255 at which the colours may end: few, so that maps can be compared
LEAST_PX, MOST_PX = 560, 1280  # how wide a map is drawn that is to be looked at alone
# Share of the top, then red, green, blue and opacity: ColorBrewer's YlOrRd, from light to dark so that it survives
# colour blindness and printing in grey, and clear at 0 so that what was not invented is seen as it is.
RAMP = np.array(
    [
        (0.00, 255, 245, 190, 0.00),
        (0.12, 254, 224, 130, 0.30),
        (0.30, 253, 160, 70, 0.62),
        (0.55, 240, 70, 35, 0.80),
        (0.80, 190, 10, 40, 0.90),
        (1.00, 95, 0, 60, 0.95),
    ]
)
PAPER, INK, SOFT = (250, 250, 248), (28, 28, 28), (96, 96, 96)


def fitting_top(values: np.ndarray) -> float:
    """The least of TOPS that 95 % of a map stay below, or the largest."""
    most = float(np.quantile(values, 0.95))
    return next((top for top in TOPS if most <= top), TOPS[-1])


def colours(values: np.ndarray, top: float) -> np.ndarray:
    """Colours of a map: (h, w), 0…top and beyond -> (h, w, 4) uint8 RGBA."""
    share = np.clip(values / top, 0, 1)
    planes = [np.interp(share, RAMP[:, 0], RAMP[:, k]) for k in range(1, 5)]
    planes[3] = planes[3] * 255
    return np.round(np.stack(planes, -1)).astype(np.uint8)


def signed_colours(values: np.ndarray, top: float) -> np.ndarray:
    """Colours of a map with signs: red above 0, blue below, clear at 0; (h, w) -> (h, w, 4) uint8 RGBA."""
    share = np.clip(values / top, -1, 1)
    blue, red = np.array((33, 102, 190)), np.array((200, 30, 40))
    colour = np.where(share[..., None] < 0, blue, red)
    opacity = 235 * np.sqrt(np.abs(share))
    return np.round(np.dstack((colour, opacity))).astype(np.uint8)


def signed_top(values: np.ndarray) -> float:
    """Where the colours of a map with signs end: what one value in two hundred, of those that are not 0, exceeds."""
    present = np.abs(values[values != 0])
    return float(np.quantile(present, 0.995)) if present.size else 1.0


def over(picture: Image.Image, layer: np.ndarray, strength: float = 1.0) -> Image.Image:
    """Lay RGBA cells over a picture, each cell as a rectangle of its size; the picture becomes a faint grey."""
    grey = picture.convert("L").point(lambda level: 70 + level * 0.68)
    cells = Image.fromarray(layer).resize(picture.size, Image.Resampling.NEAREST)
    if strength < 1:
        cells.putalpha(cells.getchannel("A").point(lambda level: level * strength))
    merged = Image.merge("RGBA", [grey, grey, grey, Image.new("L", grey.size, 255)])
    merged.alpha_composite(cells)
    return merged.convert("RGB")


def framed(picture: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """The picture with a frame around left, top, right, bottom: white with black beside it, seen on anything."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    for grow, colour in ((2, "black"), (1, "white"), (0, "white")):
        draw.rectangle((box[0] - grow, box[1] - grow, box[2] - 1 + grow, box[3] - 1 + grow), outline=colour)
    return picture


def drawn(picture: Image.Image, values: np.ndarray, title: str, lines: list[str]) -> Image.Image:
    """A map to be looked at alone: title, the picture under its colours, the bar of the colours, and what to know.

    picture: RGB, of any size. values: (h, w), levels of 255. lines: sentences, broken to fit.
    """
    top = fitting_top(values)
    width = min(MOST_PX, max(LEAST_PX, picture.width))
    height = max(1, round(picture.height * width / picture.width))
    resampling = Image.Resampling.LANCZOS if picture.width > width else Image.Resampling.NEAREST
    shown = over(picture.convert("RGB").resize((width, height), resampling), colours(values, top))
    font, large = ImageFont.load_default(15), ImageFont.load_default(19)
    wrapped = [textwrap.wrap(line, max(40, int(width / 7.6))) for line in lines]
    words = [(part, SOFT if number else INK) for number, parts in enumerate(wrapped) for part in parts]
    page = Image.new("RGB", (width + 24, height + 118 + 21 * len(words)), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((12, 10), title, INK, large)
    page.paste(shown, (12, 42))
    _bar(page, draw, (12, height + 54), min(width - 120, 420), top, font)
    for number, (part, colour) in enumerate(words):
        draw.text((12, height + 104 + 21 * number), part, colour, font)
    return page


def _bar(
    page: Image.Image, draw: ImageDraw.ImageDraw, place: tuple[int, int], width: int, top: float,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:  # fmt: skip
    """The colours from 0 to top, with their levels beneath."""
    left, upper = place
    ramp = np.broadcast_to(np.linspace(0, top, width), (16, width))
    page.paste(over(Image.new("RGB", (width, 16), (150, 150, 150)), colours(ramp, top)), place)
    for share in (0, 0.25, 0.5, 0.75, 1):
        text = f"{share * top:g}{' or more' if share == 1 else ''}"
        draw.line((left + share * (width - 1), upper + 16, left + share * (width - 1), upper + 20), INK)
        draw.text((left + share * (width - 1) - (4 if share else 0), upper + 22), text, INK, font)
    draw.text((left + width + 8, upper - 1), "levels of 255", SOFT, font)
