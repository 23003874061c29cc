"""Many small pictures with a name under each, on one page: previews of styles, the demo, samples of a training run."""

import unicodedata
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

PAPER, INK, FAINT = (250, 250, 248), (24, 24, 24), (228, 228, 224)
GAP_PX = 12


def sheet(
    cells: Sequence[tuple[str, Image.Image | None]], columns: int, cell_px: int, height_px: int | None = None
) -> Image.Image:
    """Lay pictures out in rows, left to right.

    cells: a label of one line or more, and a picture, or None for an empty frame; a picture is brought to at most
    cell_px a side and never cut. height_px: of a cell, where no picture is higher. Returns an RGB picture.
    """
    high_px = height_px or cell_px
    columns = max(1, min(columns, len(cells)))
    rows = max(1, -(-len(cells) // columns))
    text_px = max(12, cell_px // 20)
    font = ImageFont.load_default(text_px)
    lines = max((label.count("\n") + 1 for label, _ in cells), default=1)
    label_px = round(lines * text_px * 1.3)
    step_x, step_y = cell_px + GAP_PX, high_px + label_px + GAP_PX
    page = Image.new("RGB", (columns * step_x + GAP_PX, rows * step_y + GAP_PX), PAPER)
    draw = ImageDraw.Draw(page)
    for index, (label, image) in enumerate(cells):
        row, column = divmod(index, columns)
        left, top = GAP_PX + column * step_x, GAP_PX + row * step_y
        if image is None:
            draw.rectangle((left, top, left + cell_px - 1, top + high_px - 1), fill=FAINT)
        else:
            page.paste(_within(image, cell_px), (left, top))
        for number, line in enumerate(label.split("\n")):
            text = _shortened(_in_ascii(line), font, cell_px)
            draw.text((left, top + high_px + round(text_px * (0.2 + 1.3 * number))), text, fill=INK, font=font)
    return page


def _within(image: Image.Image, cell_px: int) -> Image.Image:
    image = image.convert("RGB")
    if image.size == (cell_px, cell_px):
        return image
    factor = cell_px / max(image.size)
    return image.resize(
        (max(1, round(image.width * factor)), max(1, round(image.height * factor))), Image.Resampling.LANCZOS
    )


def _shortened(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width_px: int) -> str:
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text + "…"


def _in_ascii(text: str) -> str:
    """Letters without their accents: Pillow's own font draws a box for most others."""
    bare = unicodedata.normalize("NFKD", text.replace("–", "-").replace("—", "-"))
    return "".join(letter for letter in bare if not unicodedata.combining(letter)).encode("ascii", "replace").decode()
