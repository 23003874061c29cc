"""Lay out what pack.py wrote where it is used: pictures decoded, VGG19 in half precision.

    python runs/unpack.py PACK ... -o DIR

Writes DIR/pictures/KIND/*.bmp (up to a fifth of the time that loading takes goes into WebP) and DIR/vgg19.safetensors.
"""

import argparse
import io
import json
import tarfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file


def decode(out: Path, picture: tuple[str, str, bytes]) -> None:
    """One picture to a file."""
    kind, stem, content = picture
    with Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").save(out / "pictures" / kind / f"{stem}.bmp")


def unquantised(source: Path, path: Path) -> None:
    """VGG19 from 8 bits to 16."""
    with safe_open(source, "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        told = file.metadata()
    for name in [name for name in state if name.endswith(".scale")]:
        wide = name.removesuffix(".scale")
        state[wide] = (state[wide].float() * state.pop(name).float()).half()
    save_file(state, path, metadata=told)


def main() -> None:
    """Lay out one pack or several."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", type=Path, nargs="+")
    parser.add_argument("--out", "-o", type=Path, required=True)
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    pictures = []
    for pack in told.packs:
        for path in sorted(pack.glob("*.tar")):
            with tarfile.open(path) as shard:
                contents = {member.name: file.read() for member in shard if (file := shard.extractfile(member))}
            for name in [name for name in contents if not name.endswith(".json")]:
                stem = name.rpartition(".")[0]
                kind = json.loads(contents[f"{stem}.json"])["kind"]
                pictures.append((kind, f"{path.stem}-{stem}", contents[name]))
        if (pack / "vgg19.safetensors").exists():
            unquantised(pack / "vgg19.safetensors", told.out / "vgg19.safetensors")
    for kind in {kind for kind, _, _ in pictures}:
        (told.out / "pictures" / kind).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as several:
        done = sum(1 for _ in several.map(partial(decode, told.out), pictures, chunksize=16))
    print(f"{done} pictures")


if __name__ == "__main__":
    main()
