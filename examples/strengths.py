"""One photograph at five strengths of one style, side by side.

python examples/strengths.py photo.jpg monet ladder.png
"""

import sys

from PIL import Image

from upbrush import Painter


def main(photo: str, style: str, target: str) -> None:
    """Paint the ladder from restored (0) to repainted (1)."""
    painter = Painter()
    with Image.open(photo) as image:
        low = image.convert("RGB")
    low.thumbnail((128, 128))
    steps = [painter.paint(low, style=style, strength=strength / 4) for strength in range(5)]
    ladder = Image.new("RGB", (sum(step.width for step in steps), steps[0].height))
    for index, step in enumerate(steps):
        ladder.paste(step, (index * step.width, 0))
    ladder.save(target)


if __name__ == "__main__":
    main(*sys.argv[1:4])
