"""How much light lies round what is dark before a plain ground, how much texture on what is smooth, how much is woven?

    python benchmarks/halos.py --val val/ [--model MODEL] [--threads 2]

val/ holds faces, low-bicubic/faces, art and pairs.csv. Every face is restored and repainted in each built-in style, and
the faces of pairs.csv in their paintings; told is the mean of `losses.halo_error`, in thousandths of white, beside it
that of `losses.ghost_error`: texture where the truth is smooth, and that of `losses.weave_error`, in thousandths of a
nat: lines along the axes, or in any other direction, that the truth has not. Of repaints `upbrush evaluate` tells none
of them.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import record
from fidelity import tensor

from upbrush import Painter, losses, picture, styles
from upbrush.picture import Picture

Named = tuple[str, Picture | styles.Style | None]  # a face's file name, and what it is repainted in


def groups(val: Path, model: Path | None) -> Iterator[tuple[str, list[Named]]]:
    """What is painted, a row of the table each."""
    faces = sorted(path.name for path in (val / "low-bicubic" / "faces").glob("*.png"))
    yield "restored", [(face, None) for face in faces]
    with (val / "pairs.csv").open(encoding="utf-8", newline="") as file:
        pairs = [(row["content"], row["style"]) for row in csv.DictReader(file)]
    yield "pairs.csv", [(f"{face}.png", picture.read(val / "art" / f"{painting}.png")) for face, painting in pairs]
    for name, style in styles.library(model).items():
        yield name, [(face, style) for face in faces]


def main() -> None:
    """Paint, measure, print a row for each style."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--val", type=Path, required=True)
    told, facts, engine = record.opened(parser)
    painter = Painter(engine)
    measures = {"halo": losses.halo_error, "ghost": losses.ghost_error, "weave": losses.weave_error}
    found = {}
    for name, paintings in groups(told.val, told.model):
        errors: dict[str, list[float]] = {measure: [] for measure in measures}
        for face, style in paintings:
            painted = painter.paint(picture.read(told.val / "low-bicubic" / "faces" / face), style)
            output, truth = (tensor(x) for x in (painted, picture.read(told.val / "faces" / face)))
            for measure, error in measures.items():
                errors[measure].append(1000 * float(error(output, truth)))
        found[name] = {measure: mean(values) for measure, values in errors.items()}
    rows = [(name, f"{m['halo']:.2f}", f"{m['ghost']:.2f}", f"{m['weave']:.0f}") for name, m in found.items()]
    record.show(("painted", *measures), rows)
    print(record.write("halos", {"circumstances": facts, "model": engine.identity, "thousandths": found}))


if __name__ == "__main__":
    main()
