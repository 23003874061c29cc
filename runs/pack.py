"""A small pack of training pictures and VGG19, for a machine that gets little: some tens of megabytes.

    python runs/pack.py --data TAR ... --features vgg19.safetensors --megabytes 50 -o pack

Writes pack/pictures.tar, as much of each kind as of the others, spread evenly over what there is and reduced to a short
side of 288 pixels, and pack/vgg19.safetensors in half precision. `upbrush train` takes both.
"""

import argparse
import io
import json
import tarfile
from collections import defaultdict
from pathlib import Path

from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from upbrush import dataset
from upbrush.dataset import Entry

SHORT_PX = 288
QUALITY = 88  # of WebP


def halved(features: Path, path: Path) -> int:
    """VGG19 in half precision. Returns its bytes."""
    with safe_open(features, "pt") as file:
        state = {key: file.get_tensor(key).half() for key in file.keys()}  # noqa: SIM118 (not a dict)
        save_file(state, path, metadata=file.metadata())
    return path.stat().st_size


def reduced(entry: Entry) -> bytes:
    """A picture as WebP, its short side SHORT_PX at most."""
    with Image.open(io.BytesIO(entry.read())) as opened:  # type: ignore[union-attr]
        image = opened.convert("RGB")
    factor = min(1.0, SHORT_PX / min(image.size))
    size = (round(image.width * factor), round(image.height * factor))
    written = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(written, "WEBP", quality=QUALITY, method=5)
    return written.getvalue()


def add(shard: tarfile.TarFile, name: str, content: bytes) -> int:
    """One file into a tar. Returns the bytes that it takes there."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))
    return 512 + -(-len(content) // 512) * 512


def main() -> None:
    """Write both files; say how many pictures of each kind there is room for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=50, help="of both files together")
    parser.add_argument("--out", "-o", type=Path, required=True)
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    room = told.megabytes * 1e6 - halved(told.features, told.out / "vgg19.safetensors")
    kinds = defaultdict(list)
    for entry in dataset.scan(told.data):
        kinds[entry.kind].append(entry)
    with tarfile.open(told.out / "pictures.tar", "w") as shard:
        for kind, entries in sorted(kinds.items()):
            # the golden ratio's multiples spread evenly however many are taken; an artist's pictures lie side by side
            order = dict.fromkeys(int(i * 0.6180339887 % 1 * len(entries)) for i in range(4 * len(entries)))
            left, count = room / len(kinds), 0
            for number in order:
                content = reduced(entries[number])
                if len(content) + 2048 > left:
                    break
                left -= add(shard, f"{kind}-{number:05d}.webp", content)
                left -= add(shard, f"{kind}-{number:05d}.json", json.dumps({"kind": kind}).encode())
                count += 1
            print(f"{kind}: {count} of {len(entries)}")


if __name__ == "__main__":
    main()
