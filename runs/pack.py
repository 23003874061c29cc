"""A small pack of training pictures and VGG19, for a machine that gets little: some tens of megabytes.

    python runs/pack.py --data TAR ... --features vgg19.safetensors --megabytes 50 -o pack

Writes pack/pictures.tar, as much of each kind as of the others, spread evenly over what there is and reduced to a short
side of 288 pixels, and pack/vgg19.safetensors in half precision. `upbrush train` takes both.
"""

import argparse
import io
import json
import sys
import tarfile
from collections import defaultdict
from pathlib import Path

from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from upbrush import dataset
from upbrush.dataset import Indexed

SHORT_PX = 288
QUALITY = 88  # of WebP


def halved(features: Path, path: Path) -> int:
    """VGG19 in half precision. Returns its bytes."""
    with safe_open(features, "pt") as file:
        state = {key: file.get_tensor(key).half() for key in file.keys()}  # noqa: SIM118 (not a dict)
        save_file(state, path, metadata=file.metadata())
    return path.stat().st_size


def by_kind(data: list[Path]) -> dict[str, list[Indexed]]:
    """The pictures of folders and tars. Ends with a line where some are a stream, which has no number of pictures."""
    kinds = defaultdict(list)
    for entry in dataset.scan(data):
        if not isinstance(entry, Indexed):
            sys.exit(f"{entry.kind}: is a stream of shards; give its tars one by one")
        kinds[entry.kind].append(entry)
    return kinds


def reduced(entry: Indexed) -> bytes:
    """A picture as WebP, its short side SHORT_PX at most."""
    with Image.open(io.BytesIO(entry.read())) as opened:
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
    if told.out.exists():
        sys.exit(f"{told.out}: is there already; give another --out, or delete it")
    kinds = by_kind(told.data)
    unfinished = told.out.with_name(f".{told.out.name}.tmp")
    unfinished.mkdir(parents=True, exist_ok=True)
    room = told.megabytes * 1e6 - halved(told.features, unfinished / "vgg19.safetensors")
    with tarfile.open(unfinished / "pictures.tar", "w") as shard:
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
    unfinished.rename(told.out)


if __name__ == "__main__":
    main()
