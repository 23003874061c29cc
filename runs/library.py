"""Make the built-in styles and the statistics that random styles are drawn from, for the model in the package.

    python runs/library.py [--data folder] [--features vgg19.safetensors] [--model src/upbrush/model] [--statistics]

The paintings are read from train-art.tar where it lies (by default in $UPBRUSH_DATA); only their codes, their mods and
previews that we painted are kept. The built-in styles are fitted to their paintings on faces and photographs of the
other two shards, a minute each; what is there already is kept, so the command goes on where it was stopped. Run
after every `upbrush export` into the package: codes belong to their weights.
"""

import argparse
import io
import os
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from upbrush import config, fitting, styles
from upbrush.dataset import scan
from upbrush.engine import MODEL_DIR, OnnxEngine
from upbrush.nn import features

LICENCE = "public domain work; this code CC0"
CONTENTS = ["data.photographs=0", "data.mix.face=0.67", "data.mix.photo=0.33"]  # what the styles are fitted on
DIRECTIONS = 64  # principal directions kept: more than nine tenths of the variance of the codes


def main() -> None:
    """Write library/*.style and random.npz into the model's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("UPBRUSH_DATA", ".")))
    parser.add_argument("--features", type=Path, default=os.environ.get("UPBRUSH_FEATURES"))
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--statistics", action="store_true", help="write random.npz only, which `train.keep` wants")
    parser.add_argument("--set", action="append", default=[], dest="changes", help="as loss.halo=8000, of fit.toml")
    arguments = parser.parse_args()
    chosen = tomllib.loads(Path(__file__).with_name("library.toml").read_text(encoding="utf-8"))["styles"]
    engine = OnnxEngine(arguments.model)
    folder = arguments.model / "library"
    folder.mkdir(exist_ok=True)
    works = {number: (name, artist) for name, (artist, number) in chosen.items()}
    codes, made = [], {}
    art = arguments.data / "train-art.tar"
    for entry in scan([art]):
        with Image.open(io.BytesIO(entry.read())) as image:
            pixels = np.asarray(image.convert("RGB"))
        codes.append(engine.encode(pixels))
        if (number := Path(entry.name.partition(":")[2]).stem) in works:
            name, artist = works.pop(number)
            style = styles.make([pixels], engine, name, artist=artist, source="a painting", licence=LICENCE)
            made[name] = style, pixels
    if works:
        raise SystemExit(f"{art}: has no {', '.join(works)}; is it the shard that library.toml was made for?")
    summarise(np.stack(codes), engine.identity, arguments.model / "random.npz")
    if arguments.statistics:
        return
    for stale in {path.stem for path in folder.glob("*.style")} - set(chosen):
        (folder / f"{stale}.style").unlink()
    settings = config.load(MODEL_DIR / "fit.toml", [*CONTENTS, *arguments.changes])
    contents = scan([arguments.data / "train-faces.tar", arguments.data / "train-photos.tar"])
    judge = features.load(arguments.features)
    for name, (style, pixels) in made.items():
        path, began = folder / f"{name}.style", time.monotonic()
        if path.exists() and is_fitted(styles.read(path), style):
            print(f"{name}: is there")
            continue
        heard: list[dict[str, float]] = []
        fitted = fitting.fit(style, [pixels], settings, arguments.model, judge, contents, heard.append)
        styles.write(replace(fitted, preview=styles.preview(fitted, engine)), path, True)
        last = ", ".join(f"{term} {heard[-1][term]:.3f}" for term in ("style", "content", "texture"))
        print(f"{name}: {style.artist}, {last}, {time.monotonic() - began:.0f} s", flush=True)


def is_fitted(there: styles.Style, style: styles.Style) -> bool:
    """Whether a file holds this very style, fitted."""
    size = styles.CODE_SIZE
    return there.model == style.model and len(there.code) > size and np.array_equal(there.code[:size], style.code)


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
