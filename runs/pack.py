"""Small packs of training pictures and VGG19, for a machine that gets little at once: some tens of megabytes.

    python runs/pack.py --data TAR ... --features vgg19.safetensors --megabytes 49 57 -o pack

Writes pack-1/pictures.tar, as many bytes of each kind as of the others, spread evenly over what there is, and
pack-1/vgg19.safetensors in 8 bits; pack-2 holds other pictures, and so on. runs/unpack.py lays them out again.
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
from torch import Tensor

from upbrush import dataset
from upbrush.dataset import Indexed

SHORT_PX = 320  # a picture's short side, at most; one that is no larger stays as it is, byte by byte
QUALITY = 88  # of WebP


def quantised(features: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """VGG19 with the weights of each output channel in 8 bits, and their scales beside them; its header."""
    with safe_open(features, "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        told = file.metadata() or {}
    for name in [name for name in state if name.endswith(".weight")]:
        scale = state[name].float().abs().amax((1, 2, 3), keepdim=True) / 127
        state[name] = (state[name].float() / scale).round().char()
        state[f"{name}.scale"] = scale
    return state, told


def by_kind(data: list[Path]) -> dict[str, list[Indexed]]:
    """The pictures of folders and tars. Ends with a line where some are a stream, which has no number of pictures."""
    kinds = defaultdict(list)
    for entry in dataset.scan(data):
        if not isinstance(entry, Indexed):
            sys.exit(f"{entry.kind}: is a stream of shards; give its tars one by one")
        kinds[entry.kind].append(entry)
    return kinds


def small(entry: Indexed) -> tuple[bytes, str]:
    """A picture's bytes and their ending: as they are, or as WebP where it is large or stored without loss."""
    content = entry.read()
    with Image.open(io.BytesIO(content)) as opened:
        if min(opened.size) <= SHORT_PX and opened.format in ("WEBP", "JPEG"):
            return content, opened.format.lower()
        image = opened.convert("RGB")
    factor = min(1.0, SHORT_PX / min(image.size))
    size = (round(image.width * factor), round(image.height * factor))
    written = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(written, "WEBP", quality=QUALITY, method=5)
    return written.getvalue(), "webp"


def add(shard: tarfile.TarFile, name: str, content: bytes) -> int:
    """One file into a tar. Returns the bytes that it takes there."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))
    return 512 + -(-len(content) // 512) * 512


def fill(path: Path, kinds: dict[str, list[Indexed]], orders: dict[str, list[int]], room: float) -> None:
    """Write a tar of `room` bytes with the first pictures of each kind's order, which are taken out of it."""
    with tarfile.open(path, "w") as shard:
        for kind, order in orders.items():
            left, count = room / len(kinds), 0
            while order:
                content, ending = small(kinds[kind][order[0]])
                if len(content) + 3072 > left:
                    break
                stem = f"{kind}-{order.pop(0):05d}"
                left -= add(shard, f"{stem}.{ending}", content)
                left -= add(shard, f"{stem}.json", json.dumps({"kind": kind}).encode())
                count += 1
            print(f"{path}: {kind}: {count} of {len(kinds[kind])}")


def main() -> None:
    """Write the packs; say how many pictures of each kind there is room for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[50.0], help="of each pack")
    parser.add_argument("--out", "-o", type=Path, required=True)
    told = parser.parse_args()
    outs = [told.out.with_name(f"{told.out.name}-{number + 1}") for number in range(len(told.megabytes))]
    if there := [out for out in outs if out.exists()]:
        sys.exit(f"{there[0]}: is there already; give another --out, or delete it")
    kinds = by_kind(told.data)
    # the golden ratio's multiples spread evenly however many are taken; an artist's pictures lie side by side
    orders = {
        kind: list(dict.fromkeys(int(i * 0.6180339887 % 1 * len(entries)) for i in range(4 * len(entries))))
        for kind, entries in sorted(kinds.items())
    }
    state, header = quantised(told.features)
    for out, megabytes in zip(outs, told.megabytes, strict=True):
        unfinished = out.with_name(f".{out.name}.tmp")
        unfinished.mkdir(parents=True, exist_ok=True)
        room = megabytes * 1e6
        if out == outs[0]:
            network = unfinished / "vgg19.safetensors"
            save_file(state, network, metadata=header)
            room -= network.stat().st_size
        fill(unfinished / "pictures.tar", kinds, orders, room)
        unfinished.rename(out)


if __name__ == "__main__":
    main()
