"""Make the built-in styles and the statistics that random styles are drawn from, for the model in the package.

    python runs/library.py [--art train-art.tar] [--model src/upbrush/model]

The paintings are read from the shard where they lie (by default $UPBRUSH_DATA/train-art.tar); only their codes and
previews that we painted are kept. Run after every `upbrush export` into the package: codes belong to their weights.
"""

import argparse
import io
import os
import tarfile
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from upbrush import styles
from upbrush.engine import MODEL_DIR, OnnxEngine

LICENCE = "public domain work; this code CC0"
DIRECTIONS = 64  # principal directions kept: more than nine tenths of the variance of the codes


def main() -> None:
    """Write library/*.style and random.npz into the model's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--art", type=Path, default=Path(os.environ.get("UPBRUSH_DATA", ".")) / "train-art.tar")
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    arguments = parser.parse_args()
    chosen = tomllib.loads(Path(__file__).with_name("library.toml").read_text(encoding="utf-8"))["styles"]
    engine = OnnxEngine(arguments.model)
    folder = arguments.model / "library"
    folder.mkdir(exist_ok=True)
    works = {number: (name, artist) for name, (artist, number) in chosen.items()}
    codes = []
    with tarfile.open(arguments.art) as shard:
        for member in shard:
            stem, ending = os.path.splitext(member.name)
            if ending != ".webp":
                continue
            with Image.open(io.BytesIO(shard.extractfile(member).read())) as image:
                pixels = np.asarray(image.convert("RGB"))
            codes.append(engine.encode(pixels))
            if stem in works:
                name, artist = works.pop(stem)
                style = styles.make([pixels], engine, name, artist=artist, source="a painting", licence=LICENCE)
                styles.write(replace(style, preview=styles.preview(style, engine)), folder / f"{name}.style", True)
                print(f"{name}: {artist}")
    if works:
        raise SystemExit(f"{arguments.art}: has no {', '.join(works)}; is it the shard that library.toml was made for?")
    for stale in {path.stem for path in folder.glob("*.style")} - set(chosen):
        (folder / f"{stale}.style").unlink()
    summarise(np.stack(codes), engine.identity, arguments.model / "random.npz")


def summarise(codes: np.ndarray, identity: str, path: Path) -> None:
    """Keep mean, principal directions and spread along them. codes: (N, 256) float32."""
    mean = codes.mean(0)
    _, singular, directions = np.linalg.svd(codes - mean, full_matrices=False)
    variance = singular**2 / len(codes)
    kept = variance[:DIRECTIONS].sum() / variance.sum()
    np.savez(
        path,
        mean=mean.astype(np.float16),
        directions=directions[:DIRECTIONS].astype(np.float16),
        spread=np.sqrt(variance[:DIRECTIONS]).astype(np.float16),
        identity=np.array(identity),
    )
    print(f"{path}: of {len(codes)} codes, {DIRECTIONS} directions hold {kept:.1%} of the variance")


if __name__ == "__main__":
    main()
