"""Do styles drawn at random differ as real ones do, and look like art?

    python benchmarks/random_styles.py [--art train-art.tar] [--features vgg19.safetensors] [--sheet out.png]

Real styles are paintings of a tar or folder (--art), or else the library's. The same photographs are repainted in each.
Three distances are taken between the styles of a group, two by two: of codes; of thumbnails of the repaints (root mean
square, of 255); and, where --features or UPBRUSH_FEATURES is given, of VGG19 statistics of the repaints (the root of
the style error, both ways). A ratio is the mean of random pairs over the mean of real pairs: the law is 0.6 or more.
"Nearest" is the distance from a repaint to the nearest one in a real style: what is no art is far from all of it.
"""

import argparse
import io
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import record
from PIL import Image

from upbrush import Painter, photographs, styles

LAW = 0.6
PHOTOGRAPHS = ("astronaut", "coffee", "cat")
LOW_PX, THUMBNAIL_PX = 64, 32
Distance = Callable[[Any, Any], float]


def real_styles(painter: Painter, art: Path | None, count: int) -> list[styles.Style]:
    """Paintings of `art`, evenly over it, or styles of the library."""
    if art is None:
        return list(styles.library().values())
    from upbrush.dataset import scan

    entries = scan([art])
    found = []
    for entry in entries[:: max(1, len(entries) // count)][:count]:
        with Image.open(io.BytesIO(entry.read())) as image:
            found.append(styles.make([np.asarray(image.convert("RGB"))], painter.engine, entry.name))
    return found


def repaint(painter: Painter, photo: np.ndarray, group: list[styles.Style]) -> list[np.ndarray]:
    """One photograph in each style: (H, W, 3) uint8."""
    return [painter.paint(photo, style) for style in group]


def thumbnail(high: np.ndarray) -> np.ndarray:
    """(32, 32, 3)."""
    small = Image.fromarray(high).resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    return np.asarray(small, np.float64)


def root_mean_square(a: np.ndarray, b: np.ndarray) -> float:
    """Of two arrays' difference."""
    return float(np.sqrt(((a - b) ** 2).mean()))


def statistics_by(features: Path) -> Callable[[np.ndarray], Any]:
    """What sums a picture's style up: means and deviations of VGG19's relu1_1 … relu4_1."""
    import torch

    from upbrush.nn import features as vgg

    net = vgg.load(features)

    def summed_up(high: np.ndarray) -> Any:
        with torch.no_grad():
            layers = net(torch.from_numpy(high).permute(2, 0, 1)[None].float() / 255)
        return [(layer.mean((2, 3)), layer.std((2, 3))) for layer in layers]

    return summed_up


def style_distance(a: Any, b: Any) -> float:
    """The square root of the mean of the style errors of `losses.style_error` in both directions."""
    from upbrush.losses import style_error

    return float((style_error(a, b) + style_error(b, a)) / 2) ** 0.5


def pairs(group: list[Any], distance: Distance) -> list[float]:
    """The distance of each two."""
    return [distance(a, b) for a, b in itertools.combinations(group, 2)]


def nearest(group: list[Any], real: list[Any], distance: Distance) -> float:
    """Mean distance of each of a group to the nearest of the real ones that it is not."""
    return float(np.mean([min(distance(one, other) for other in real if other is not one) for one in group]))


def compare(name: str, drawn: list[list[Any]], real: list[list[Any]], distance: Distance) -> dict[str, Any]:
    """One kind of distance; for pictures a list for each photograph."""
    between = [record.spread([d for group in kind for d in pairs(group, distance)]) for kind in (drawn, real)]
    ratio = float(
        np.mean([np.mean(pairs(a, distance)) / np.mean(pairs(b, distance)) for a, b in zip(drawn, real, strict=True)])
    )
    near = [
        float(np.mean([nearest(a, b, distance) for a, b in zip(kind, real, strict=True)])) for kind in (drawn, real)
    ]
    return {"distance": name, "random": between[0], "real": between[1], "ratio": ratio, "nearest": near}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--art", type=Path)
    parser.add_argument("--features", type=Path, default=os.environ.get("UPBRUSH_FEATURES"))
    parser.add_argument("--count", type=int, default=40, help="random styles, and paintings of --art")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheet", type=Path, help="a picture of the random repaints, to look at")
    args = parser.parse_args()
    facts = record.circumstances(args.threads)
    record.introduce(facts)
    painter = Painter(threads=args.threads)
    drawn, real = [styles.random(seed) for seed in range(args.count)], real_styles(painter, args.art, args.count)
    photos = [photographs.photograph(name, LOW_PX) for name in PHOTOGRAPHS]
    highs = {
        kind: [repaint(painter, photo, group) for photo in photos] for kind, group in (("drawn", drawn), ("real", real))
    }
    if args.sheet:
        tiles = highs["drawn"][0][: args.count // 8 * 8]
        rows = [np.concatenate(tiles[start : start + 8], 1) for start in range(0, len(tiles), 8)]
        Image.fromarray(np.concatenate(rows)).save(args.sheet)
    views: dict[str, tuple[Callable[[np.ndarray], Any], Distance]] = {"thumbnails": (thumbnail, root_mean_square)}
    if args.features:
        views["VGG statistics"] = (statistics_by(Path(args.features)), style_distance)
    codes = [[[style.code[: styles.CODE_SIZE] for style in group]] for group in (drawn, real)]
    results = [compare("codes", *codes, lambda a, b: float(np.linalg.norm(a - b)))]
    for name, (view, distance) in views.items():
        seen = [[[view(high) for high in one] for one in highs[kind]] for kind in ("drawn", "real")]
        results.append(compare(name, *seen, distance))
    rows = []
    for found in results:
        numbers = [found["random"]["median"], found["real"]["median"], found["ratio"], *found["nearest"]]
        rows.append(
            [found["distance"], *(f"{number:.3g}" for number in numbers), "yes" if found["ratio"] >= LAW else "NO"]
        )
    print(f"\n{len(drawn)} random and {len(real)} real styles, {len(photos)} photographs")
    heads = ["", "random, median", "real, median", "ratio of means", "nearest, random", "nearest, real", f">= {LAW}"]
    record.show(heads, rows)
    settings = {"art": args.art.name if args.art else None, "count": args.count, "photographs": PHOTOGRAPHS}
    kept = {"circumstances": facts, "settings": settings, "results": results}
    print(f"\nwritten: {record.write('random_styles', kept)}")


if __name__ == "__main__":
    main()
