"""How far can `upbrush explain` be trusted? Its maps against the truth, and its faces' threshold against strangers.

    python benchmarks/explaining.py maps --data DATA [--model DIR]
    python benchmarks/explaining.py faces --data DATA --faces FACES [--source congress] [--people 520] [--model DIR]

maps: on val/ of the data, whose truth is known: how well does each map rank the places of a picture by their true
error, and what was the error where the map said so much? A plain edge detector is measured beside them.
faces: on portraits of train-faces.tar, one a person: the cosine between one person's low picture, enlarged by bicubic,
and another's painting, over all pairs; the threshold is what one pair in a thousand exceeds. Then what true pairs have.
"""

import argparse
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import record
from PIL import Image

from upbrush import Painter, picture
from upbrush.engine import open_engine
from upbrush.explain import determined, invention
from upbrush.explain.identity import FALSE_ACCEPTS, LEAST_OVERLAP, overlap
from upbrush.explain.inquiry import rank_correlation

KINDS, LOWS = ("faces", "photos", "art"), ("low-bicubic", "low-real")
EDGES = (0, 1, 2, 4, 8, 16, 256)  # levels of 255 between which places are put together


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("maps", "faces"))
    parser.add_argument("--data", type=Path, required=True, help="folder with val/ and train-faces.tar")
    parser.add_argument("--faces", type=Path, help="folder of the face networks")
    parser.add_argument("--source", default="congress_225x275", help="portraits whose source begins so: one a person")
    parser.add_argument("--people", type=int, default=520)
    parser.add_argument("--model", type=Path, help="folder of an exported model; the shipped one if left out")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    facts = record.circumstances(arguments.threads or os.cpu_count() or 1)
    painter = Painter(open_engine("auto", arguments.model, arguments.threads))
    result = measure_maps(painter, arguments) if arguments.task == "maps" else measure_faces(painter, arguments)
    result |= {"model": painter.engine.identity, "circumstances": facts}
    print(f"kept in {record.write(f'explaining-{arguments.task}', result)}")


def restore(painter: Painter, source: picture.Picture, fidelity: float, progress: object) -> picture.Picture:
    """As `upbrush paint` without a style does."""
    return painter.paint(source, fidelity=fidelity)


def measure_maps(painter: Painter, arguments: argparse.Namespace) -> dict[str, object]:
    """Rank correlations of each map with the true error, and the error by what the map says."""
    val, result = arguments.data / "val", {}
    for low_name in LOWS:
        for kind in KINDS:
            scores, said, errors = [], [], []
            for path in sorted((val / kind).glob("*.png")):
                low, truth = picture.read(val / low_name / kind / path.name), picture.read(path)
                painted, found = invention.examine(painter, low, restore, 0.5)
                gap = np.square(255 * (determined.unit(painted.pixels) - determined.unit(truth.pixels))).mean(2)
                error = np.sqrt(invention.cell_means(gap, found.map.shape))
                maps = {name: getattr(found, name) for name in ("added", "unsteady", "undecided", "map")}
                maps["largest of the three"] = np.maximum(np.maximum(found.added, found.unsteady), found.undecided)
                maps["edges of the bicubic enlargement"] = edges(low, found.map.shape)
                scores.append({name: rank_correlation(values, error) for name, values in maps.items()})
                said.append(found.map.ravel())
                errors.append(error.ravel())
            row = {name: round(float(np.mean([one[name] for one in scores])), 3) for name in scores[0]}
            row["by level"] = by_level(np.concatenate(said), np.concatenate(errors))
            result[f"{low_name} {kind}"] = row
            print(f"{low_name} {kind} ({len(scores)} pictures)\n{json.dumps(row, indent=1)}", flush=True)
    return result


def edges(low: picture.Picture, shape: tuple[int, int]) -> np.ndarray:
    """How steep the bicubic enlargement is in each cell: all that a map must beat that knows nothing of a network."""
    size = (4 * low.width, 4 * low.height)
    high = determined.unit(np.asarray(Image.fromarray(low.pixels).resize(size, Image.Resampling.BICUBIC)))
    steep = np.zeros(high.shape[:2], np.float32)
    steep[:-1] += np.square(np.diff(high, axis=0)).mean(2)
    steep[:, :-1] += np.square(np.diff(high, axis=1)).mean(2)
    return np.sqrt(invention.cell_means(steep, shape))


def by_level(said: np.ndarray, errors: np.ndarray) -> dict[str, list[float]]:
    """Where the map says from…to levels: share of places, median of the true error, its nine tenths, all in levels."""
    rows = {}
    for least, most in zip(EDGES[:-1], EDGES[1:], strict=True):
        here = errors[(said >= least) & (said < most)]
        if len(here):
            numbers = (len(here) / len(said), float(np.median(here)), float(np.quantile(here, 0.9)))
            rows[f"{least}-{most}"] = [round(number, 3) for number in numbers]
    return rows


def measure_faces(painter: Painter, arguments: argparse.Namespace) -> dict[str, object]:
    """The cosine that one pair of strangers in a thousand exceeds, and those of true pairs on val."""
    from upbrush.measure.faces import Faces

    if arguments.faces is None:
        raise SystemExit("--faces is needed: the folder of the face networks")
    faces = Faces(arguments.faces)
    vectors = [
        pair
        for high in portraits(arguments.data / "train-faces.tar", arguments.source, arguments.people)
        if (pair := embeddings(painter, faces, np.asarray(reduced(high)))) is not None
    ]
    before, after = (np.stack([pair[k] for pair in vectors]) for k in (0, 1))
    strangers = before @ after.T
    others = strangers[~np.eye(len(strangers), dtype=bool)]
    threshold = float(np.quantile(others, 1 - FALSE_ACCEPTS))
    closest = np.argwhere((strangers > threshold) & ~np.eye(len(strangers), dtype=bool))
    result: dict[str, object] = {
        "people": len(vectors), "pairs": others.size, "false accepts": FALSE_ACCEPTS, "threshold": round(threshold, 3),
        "by rate": {rate: round(float(np.quantile(others, 1 - rate)), 3) for rate in (0.01, 0.001, 0.0001)},
        "strangers' largest": np.sort(others)[::-1][:20].round(3).tolist(),
        "bootstrap over people, 95 %": bootstrap(strangers),
        "the same people": np.quantile(np.diag(strangers), (0.01, 0.05, 0.5)).round(3).tolist(),
        "pairs above, of how many people": [len(closest), len(np.unique(closest))],
    }  # fmt: skip
    for low_name in LOWS:
        lows = sorted((arguments.data / "val" / low_name / "faces").glob("*.png"))
        pairs = [embeddings(painter, faces, picture.read(path).pixels) for path in lows]
        same = [float(one @ other) for one, other in filter(None, pairs)]
        result[f"val {low_name}"] = {
            "faces": len(same), "least": round(min(same), 3), "median": round(float(np.median(same)), 3),
            "flagged": sum(cosine < threshold for cosine in same),
        }  # fmt: skip
    print(json.dumps(result, indent=1))
    return result


def bootstrap(strangers: np.ndarray, rounds: int = 200) -> list[float]:
    """The threshold's spread if other people had been drawn: pairs of one person with itself never count."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(rounds):
        drawn = rng.integers(0, len(strangers), len(strangers))
        different = drawn[:, None] != drawn[None]
        found.append(np.quantile(strangers[np.ix_(drawn, drawn)][different], 1 - FALSE_ACCEPTS))
    return np.quantile(found, (0.025, 0.975)).round(3).tolist()


def portraits(shard: Path, source: str, most: int) -> list[Image.Image]:
    """Portraits of a shard whose source begins so."""
    found = []
    with tarfile.open(shard) as tar:
        held: dict[str, bytes] = {}
        for member in tar:
            stored = tar.extractfile(member)
            if stored is None:
                continue
            name = Path(member.name)
            if name.suffix != ".json":
                held = {name.stem: stored.read()}
            elif json.load(stored)["source"].startswith(source) and name.stem in held:
                found.append(Image.open(io.BytesIO(held[name.stem])).convert("RGB"))
            if len(found) == most:
                break
    return found


def reduced(high: Image.Image) -> Image.Image:
    """A quarter of the size, by bicubic."""
    return high.resize((high.width // 4, high.height // 4), Image.Resampling.BICUBIC)


def embeddings(painter: Painter, faces: object, low: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The largest face before and after, where it is found in both; else None."""
    after = painter.paint(low)
    size = after.shape[1::-1]
    before = np.asarray(Image.fromarray(low).resize(size, Image.Resampling.BICUBIC))
    known, shown = faces.find(before), faces.find(after)
    if not known or all(overlap(known[0], other) < LEAST_OVERLAP for other in shown):
        return None
    return faces.embed(before, known[0]), faces.embed(after, known[0])


if __name__ == "__main__":
    main()
