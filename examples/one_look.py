"""A folder of pictures repainted with one blended style, kept as a .style file for the next folder.

python examples/one_look.py photos/ painting-a.jpg painting-b.jpg painted/
"""

import sys
from pathlib import Path

import upbrush
from upbrush import Painter, styles


def main(folder: str, first: str, second: str, target: str) -> None:
    """Blend two pictures' styles half and half, keep the blend, and paint every picture of the folder with it."""
    painter = Painter()
    parts = [styles.resolve(picture, painter.engine) for picture in (first, second)]
    look = styles.blend([(part, 0.5) for part in parts])
    out = Path(target)
    out.mkdir(exist_ok=True)
    styles.write(look, out / "look.style")
    for path in sorted(Path(folder).iterdir()):
        try:
            picture = upbrush.read(path)
        except upbrush.PictureError as error:
            print(f"left out: {error}")
            continue
        upbrush.write(painter.paint(picture, style=look), out / f"{path.stem}.png", note={"style": look.name})


if __name__ == "__main__":
    main(*sys.argv[1:5])
