"""Are the low pictures that training makes as blurred, and as noisy, as those of a folder?

    python benchmarks/degraded.py --high val/photos --low val/low-real/photos [--recipe recipes/small.toml] [--draws 3]

Every picture of --high is degraded, its damage left out, and both that and the low picture of the same name in --low
are compared with its clean bicubic reduction. Told are two things of each ring of spatial frequencies, of lightness
(BT.601) and of colour: transfer, the share of the clean picture's amplitude that is left (1: all; a gain found from the
cross spectrum, which noise does not bias), and noise, the deviation of what is not explained by it, in levels of 255 as
of white noise; of both the 10th, 50th and 90th percentile over pictures. PSNR cannot tell one from the other:
training's pictures had the folder's while they were more blurred and less noisy (docs/log.md, 61).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import record
import torch
from fidelity import tensor
from numpy.typing import NDArray
from scipy.fft import dctn

from upbrush import picture
from upbrush.config import load
from upbrush.damage import Damage
from upbrush.degrade import Degradation, bicubic, degrade

RINGS = ((0.03, 0.08), (0.1, 0.15), (0.2, 0.25), (0.3, 0.35), (0.4, 0.45), (0.5, 0.6))  # cycles per low px
PERCENTILES = (10, 50, 90)
NOTHING = 0.6  # of 255; rounding to whole pixels leaves about 0.3 of a coefficient that JPEG had made zero
TO_YCC = np.array([(0.299, 0.587, 0.114), (-0.1687, -0.3313, 0.5), (0.5, -0.4187, -0.0813)])  # BT.601, as JFIF


def rings(low: torch.Tensor, clean: torch.Tensor) -> NDArray[np.float64]:
    """Transfer and noise of one picture: (lightness and colour, RINGS, 2). low, clean: (1, 3, H, W) in [0, 1]."""
    found, truth = ((x[0].permute(1, 2, 0).double().numpy() @ TO_YCC.T) for x in (low, clean))
    height, width = found.shape[:2]
    window = np.outer(np.hanning(height), np.hanning(width))  # borders do not meet
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])

    def spectrum(plane: NDArray[np.complex128]) -> NDArray[np.complex128]:
        return np.fft.fft2((plane - plane.mean()) * window)

    told = np.empty((2, len(RINGS), 2))
    # The two differences of colour are one complex plane: they are blurred alike.
    for channel, planes in enumerate((lambda x: x[..., 0] + 0j, lambda x: x[..., 1] + 1j * x[..., 2])):
        ours, its = spectrum(planes(found)), spectrum(planes(truth))
        for ring, (least, most) in enumerate(RINGS):
            inside = (radius >= least) & (radius < most)
            a, b = ours[inside], its[inside]
            transfer = (a * b.conj()).real.sum() / max((abs(b) ** 2).sum(), 1e-12)
            noise = 255 * np.sqrt((abs(a - transfer * b) ** 2).mean() / (window**2).sum())
            told[channel, ring] = transfer, noise
    return told


def emptied(low: torch.Tensor) -> NDArray[np.float64]:
    """Share of coefficients of JPEG's blocks that are nothing: middle, high ones. low: (1, 3, H, W) in [0, 1]."""
    light = 255 * (low[0].permute(1, 2, 0).double().numpy() @ TO_YCC[0])
    rows, columns = light.shape[0] // 8, light.shape[1] // 8
    blocks = light[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8).swapaxes(1, 2)
    nothing = abs(dctn(blocks, axes=(2, 3), norm="ortho")) < NOTHING
    order = np.add.outer(np.arange(8), np.arange(8))
    return np.array([nothing[..., which].mean() for which in ((order >= 2) & (order < 6), order >= 6)])


def pairs(high: Path, low: Path) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """High pictures and the low ones of the same name: (1, 3, H, W) in [0, 1] each, the first four times as large."""
    for path in sorted(low.iterdir()):
        small = tensor(picture.read(path))
        height, width = small.shape[-2:]
        yield tensor(picture.read(high / path.name))[..., : 4 * height, : 4 * width], small


def main() -> None:
    """Measure the folder and training's own, print a row for each ring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--high", type=Path, required=True)
    parser.add_argument("--low", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, help="whose degradation is measured; without, the defaults")
    parser.add_argument("--draws", type=int, default=3, help="of each picture")
    told = parser.parse_args()
    # Damage is left out: a fold or a stain is noise by this measure, and the folder may have none.
    undamaged = Damage(halftone=0, grain=0, fading=0, stains=0, cracks=0, creases=0, scratches=0, dust=0)
    settings: Degradation = load(told.recipe).degradation.model_copy(update={"damage": undamaged})
    theirs, ours = [], []
    for high, low in pairs(told.high, told.low):
        clean = bicubic(high)
        theirs.append((rings(low, clean), emptied(low)))
        for draw in range(told.draws):
            generator = torch.Generator().manual_seed(1000 * draw + len(theirs))
            made = degrade(high, generator, settings=settings)
            ours.append((rings(made, clean), emptied(made)))
    (folder, their_zeros), (training, our_zeros) = (
        [np.percentile(np.stack(kind), PERCENTILES, axis=0) for kind in zip(*x, strict=True)] for x in (theirs, ours)
    )
    rows = []
    for channel, name in enumerate(("lightness", "colour")):
        for ring, (least, most) in enumerate(RINGS):
            cells = [
                " / ".join(f"{value:.{2 - kind}f}" for value in source[:, channel, ring, kind])
                for kind in (0, 1)
                for source in (folder, training)
            ]
            rows.append((f"{name}, {least} to {most}", *cells))
    record.show(("cycles per px", "transfer: folder", "training", "noise: folder", "training"), rows)
    rows = [
        (name, *(" / ".join(f"{value:.2f}" for value in source[:, kind]) for source in (their_zeros, our_zeros)))
        for kind, name in enumerate(("middle", "high"))
    ]
    record.show(("coefficients of blocks that are nothing", "folder", "training"), rows)
    facts = record.circumstances(torch.get_num_threads())
    result = {"circumstances": facts, "percentiles": PERCENTILES, "rings": RINGS}
    result |= {"folder": folder.tolist(), "training": training.tolist()}
    print(record.write("degraded", result | {"folder nothing": their_zeros.tolist(), "nothing": our_zeros.tolist()}))


if __name__ == "__main__":
    main()
