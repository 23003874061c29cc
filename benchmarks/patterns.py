"""Do patterns come back as themselves, on pictures of any size?

    python benchmarks/patterns.py [--model MODEL] [--threads 2]

Layers may answer in step with what repeats, or with the size of a picture whose borders are mirrored; then values leave
[0, 1] by far and specks come back (docs/log.md, 50). Squares, stripes, diagonals and spots, black and white, and noise,
on 40 to 136 low pixels, are restored at fidelity 1/2. Told are those with values below -2 or above 3, and the mean
distance of all to the pattern enlarged, of 1. Run it before styles are fitted to new weights: it takes a minute.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import record

from upbrush.styles import CODE_SIZE
from upbrush.views import thumbnail

SIDES = range(40, 137, 8)
LEAST, MOST = -2.0, 3.0
FIDELITY = 0.5


def patterns(side: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names with sizes in low pixels, and planes: (side, side), 0 or 255; noise: anything between, too."""
    rows, columns = np.mgrid[:side, :side]
    rng = np.random.default_rng(0)
    for cell in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32):
        yield f"squares of {cell}", (rows // cell + columns // cell) % 2 * 255
    for cell in (1, 2, 3, 5, 8, 12):
        yield f"stripes of {cell}", columns // cell % 2 * 255
    for cell in (2, 3, 5):
        yield f"diagonals of {cell}", (rows + columns) // cell % 2 * 255
    for pitch in (4, 8):
        yield f"spots of {pitch}", ((rows % pitch < pitch // 2) & (columns % pitch < pitch // 2)) * 255
    yield "noise", rng.integers(0, 256, (side, side))
    yield "black and white noise", rng.integers(0, 2, (side, side)) * 255


def main() -> None:
    """Restore them all, print those that leave the range."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _, facts, engine = record.opened(parser)
    restored = np.zeros(CODE_SIZE, np.float32)  # at strength 0 no style counts
    far, distances = [], []
    for side in SIDES:
        for name, plane in patterns(side):
            low = plane.astype(np.uint8)[..., None].repeat(3, 2)
            mods = engine.modulate(thumbnail(low), restored, 0.0, FIDELITY)
            high = engine.render(low.transpose(2, 0, 1)[None].astype(np.float32) / 255, mods)
            distance = float(np.abs(high[0].clip(0, 1) - np.kron(plane / 255, np.ones((4, 4)))).mean())
            distances.append(distance)
            if high.min() < LEAST or high.max() > MOST:
                far.append((name, str(side), f"{high.min():.1f}", f"{high.max():.1f}", f"{distance:.2f}"))
    record.show(("pattern", "low pixels", "least", "most", "distance"), far)
    print(f"\n{len(far)} of {len(distances)} far out; mean distance {np.mean(distances):.4f}")
    found = {"far": far, "pictures": len(distances), "mean distance": float(np.mean(distances))}
    print(record.write("patterns", {"circumstances": facts, "model": engine.identity, **found}))


if __name__ == "__main__":
    main()
