"""What weights restore, before anything is exported: to choose between runs, their means and their steps.

    python runs/choose.py --val val/ --features vgg19.safetensors --faces networks/ [--every 3] WEIGHTS...

Of each file, a row for each kind of val/: PSNR-Y at fidelity 1 of clean low pictures (val/low-bicubic), then of damaged
ones (val/low-real) PSNR-Y and VGG distance at --fidelity, and of faces the identity that is left of both. As `upbrush
evaluate` has it, but for the engine, which is torch here. --every 3 takes every third picture.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from upbrush import picture, weights
from upbrush.measure import distortion
from upbrush.measure.faces import Faces
from upbrush.measure.perceptual import Eye, vgg_distance
from upbrush.nn.generator import Generator

KINDS = ("faces", "photos", "art")
BORDER_PX = 4


@torch.inference_mode()
def restored(generator: Generator, low: NDArray[np.uint8], fidelity: float) -> NDArray[np.uint8]:
    """(H, W, 3) to (4H, 4W, 3), 8 bits both."""
    x = torch.from_numpy(low.astype(np.float32) / 255).permute(2, 0, 1)[None]
    none = torch.zeros(0, 3, 256, 256)
    output = generator(x.contiguous(memory_format=torch.channels_last), none, torch.zeros(1), torch.tensor([fidelity]))
    return (output[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def psnr_y(output: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """PSNR of luma, dB, 4 px of border left out."""
    return distortion.psnr(*(distortion.luma(x.astype(np.float64)) for x in (output, truth)), BORDER_PX)


def main() -> None:
    """Restore and measure, one file after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="+")
    for name in ("val", "features", "faces"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--fidelity", type=float, default=0.5)
    parser.add_argument("--every", type=int, default=1)
    told = parser.parse_args()
    eye, faces = Eye(told.features), Faces(told.faces)
    print("weights                        kind    clean PSNR-Y  identity  damaged PSNR-Y  VGG distance  identity")
    for path in told.weights:
        generator = weights.load(path)[0].eval()
        for kind in KINDS:
            rows = []
            for file in sorted((told.val / kind).glob("*.png"))[:: told.every]:
                truth = picture.read(file).pixels
                found = faces.find(truth)[:1] if kind == "faces" else []
                row = []
                for lows, fidelity in (("low-bicubic", 1.0), ("low-real", told.fidelity)):
                    output = restored(generator, picture.read(told.val / lows / kind / file.name).pixels, fidelity)
                    alike = [float(faces.embed(output, face) @ faces.embed(truth, face)) for face in found]
                    row += [psnr_y(output, truth), *(alike or [np.nan])]
                seen = (eye.look(x.astype(np.float64)) for x in (output, truth))
                rows.append([*row[:3], vgg_distance(*seen), row[3]])
            mean = np.array(rows).mean(0)
            told_of = f"{mean[0]:12.3f}{mean[1]:10.3f}{mean[2]:16.3f}{mean[3]:14.4f}{mean[4]:10.3f}"
            print(f"{str(path)[-30:]:30} {kind:8}{told_of}", flush=True)


if __name__ == "__main__":
    main()
