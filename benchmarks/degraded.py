"""Are the low pictures that training makes as blurred, and as noisy, as those of a folder?

    python benchmarks/degraded.py --high val/photos --low val/low-real/photos [--recipe recipes/small.toml] [--draws 3]
                                  [--damaged]

Every picture of --high is degraded, its damage left out, and both that and the low picture of the same name in --low
are compared with its clean bicubic reduction, stretched as they are from the upper left corner: programs that round a
size and not the scale do so by up to half a pixel, and what lies beside itself looks like noise at low frequencies, of
which there is none. Told are two things of each ring of spatial frequencies, of lightness
(BT.601) and of colour: transfer, the share of the clean picture's amplitude that is left (1: all; a gain found from the
cross spectrum, which noise does not bias), and noise, the deviation of what is not explained by it, in levels of 255 as
of white noise; whether JPEG was the last thing done to it, by the share of coefficients of its 8x8 blocks that are
nothing, and the quality that it had; and PSNR-Y of its bicubic enlargement. Of all the 10th, 50th and 90th percentile
over pictures, whether what is sharp is what is noisy (a correlation), and at the end one number for all of it: by how
much what is told would have to be moved over pictures to be the folder's (Wasserstein distance, in the folder's
standard deviations, of which three are the most that count), over the draws together and of each, since one is luck.
PSNR alone cannot tell: training's pictures had the folder's while they were more blurred and less noisy, and
half of them were shrunk after they had been compressed, and noisy where they were blurred (docs/log.md, 61 to 66).
"""

import argparse
import io
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import record
import torch
from fidelity import tensor
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.stats import wasserstein_distance

from upbrush import picture
from upbrush.config import load
from upbrush.damage import Damage
from upbrush.degrade import Degradation, bicubic, degrade
from upbrush.measure import distortion

RINGS = ((0.03, 0.08), (0.1, 0.15), (0.2, 0.25), (0.3, 0.35), (0.4, 0.45), (0.5, 0.6))  # cycles per low px
PERCENTILES = (10, 50, 90)
NOTHING = 0.6  # of 255; rounding to whole pixels leaves about 0.3 of a coefficient that JPEG had made zero
ROUNDED = 0.55  # of 255; deviation that rounding and clipping leave of a coefficient that JPEG had quantised
LEAST = 2.2  # of 255; smaller coefficients were made zero at any quality, and tell of none
PLAIN = 0.3  # nats a coefficient; a quality that explains them by less is chance
TO_YCC = np.array([(0.299, 0.587, 0.114), (-0.1687, -0.3313, 0.5), (0.5, -0.4187, -0.0813)])  # BT.601, as JFIF


def moved_by(planes: NDArray[np.float64], stretch: float) -> NDArray[np.float64]:
    """Planes (C, H, W) that are stretched by 1 + `stretch` from their upper left corner."""
    rows, columns = ((np.indices(planes.shape[1:]) + 0.5) / (1 + stretch)) - 0.5
    return np.stack([map_coordinates(plane, [rows, columns], order=3, mode="nearest") for plane in planes])


def stretch_of(low: torch.Tensor, clean: torch.Tensor) -> float:
    """By how much a low picture is stretched from its upper left corner: Gauss and Newton's steps on lightness.

    Gain, offset and blur are found along with it. Both (1, 3, H, W) in [0, 1]; 0 where they lie on one another.
    """
    found, truth = (np.einsum("c,chw->hw", TO_YCC[0], x[0].double().numpy()) for x in (low, clean))
    found, stretch = gaussian_filter(found, 1.0), 0.0
    rows, columns = np.indices(found.shape) + 0.5
    for _ in range(3):
        placed = moved_by(truth[None], stretch)[0]
        smooth = gaussian_filter(placed, 1.0)
        down, across = np.gradient(smooth)
        blur = gaussian_filter(placed, 1.0, order=(2, 0)) + gaussian_filter(placed, 1.0, order=(0, 2))
        causes = np.stack([-down * rows - across * columns, smooth, np.ones_like(smooth), blur], -1)[3:-3, 3:-3]
        stretch += np.linalg.lstsq(causes.reshape(-1, 4), found[3:-3, 3:-3].ravel(), rcond=None)[0][0]
    return float(stretch)


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


def blocks(low: torch.Tensor) -> NDArray[np.float64]:
    """Lightness of a picture as coefficients of JPEG's blocks: (blocks, 8, 8). low: (1, 3, H, W) in [0, 1]."""
    light = 255 * (low[0].permute(1, 2, 0).double().numpy() @ TO_YCC[0]) - 128
    rows, columns = light.shape[0] // 8, light.shape[1] // 8
    cut = light[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8).swapaxes(1, 2)
    coefficients: NDArray[np.float64] = dctn(cut, axes=(2, 3), norm="ortho").reshape(-1, 8, 8)
    return coefficients


@lru_cache
def steps(quality: int) -> NDArray[np.float64]:
    """By what libjpeg quantises lightness at a quality: (8, 8)."""
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file).quantization[0], float).reshape(8, 8)  # type: ignore[attr-defined]


def jpeg(low: torch.Tensor) -> NDArray[np.float64]:
    """What JPEG left: shares of middle and of high coefficients that are nothing, and its quality, 100 if not by JPEG.

    The quality whose steps explain best where coefficients lie that are not nothing: on multiples of them but for
    rounding, and a tenth anywhere, rather than all of them anywhere. low: (1, 3, H, W) in [0, 1].
    """
    found = blocks(low)
    order = np.add.outer(np.arange(8), np.arange(8))
    nothing = [(abs(found[:, where]) < NOTHING).mean() for where in ((order >= 2) & (order < 6), order >= 6)]
    gains = []
    telling = abs(found) > LEAST
    for quality in range(20, 100):
        step = steps(quality)
        away = found - step * (found / step).round()
        near = np.exp(-((away / ROUNDED) ** 2) / 2) / (ROUNDED * np.sqrt(2 * np.pi))
        gain = np.log(0.9 * near * step + 0.1) * (step >= 3) * telling
        gains.append(gain.sum() / max(1, telling.sum()))
    return np.array([*nothing, 20 + int(np.argmax(gains)) if max(gains) > PLAIN else 100])


def enlarged(low: torch.Tensor, high: torch.Tensor) -> float:
    """PSNR-Y of the low picture's bicubic enlargement, dB, 4 px of border left out. Both (1, 3, H, W) in [0, 1]."""
    small, large = ((255 * x[0]).round().byte().permute(1, 2, 0).numpy() for x in (low, high))
    plain = np.asarray(Image.fromarray(small).resize(large.shape[1::-1], Image.Resampling.BICUBIC))
    return distortion.psnr(*(distortion.luma(x.astype(np.float64)) for x in (plain, large)), 4)


def measured(low: torch.Tensor, high: torch.Tensor) -> tuple[NDArray[np.float64], ...]:
    """All that is told of a picture: its rings, what JPEG left, PSNR-Y and how much more the clean one has."""
    stretched = moved_by(high[0].double().numpy(), stretch_of(low, bicubic(high)))
    high = torch.from_numpy(stretched).float().clamp(0, 1)[None]
    psnr, clean = enlarged(low, high), bicubic(high)
    return rings(low, clean), jpeg(low), np.array([psnr, enlarged(clean.clamp(0, 1), high) - psnr])


def moved(theirs: NDArray[np.float64], ours: NDArray[np.float64]) -> float:
    """Mean Wasserstein distance of columns, in standard deviations of theirs. Both (pictures, columns).

    More than three from their mean counts as three: else a grey picture, whose colours have no transfer, decides.
    """
    mean, size = theirs.mean(0), theirs.std(0) + 1e-6
    theirs, ours = (((x - mean) / size).clip(-3, 3) for x in (theirs, ours))
    return float(np.mean([wasserstein_distance(a, b) for a, b in zip(theirs.T, ours.T, strict=True)]))


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
    parser.add_argument("--seed", type=int, default=0, help="of the first draw; after a choice take others")
    parser.add_argument("--damaged", action="store_true", help="with the recipe's damage")
    told = parser.parse_args()
    settings: Degradation = load(told.recipe).degradation
    # Damage is left out: a fold or a stain is noise by this measure, and the folder may have none.
    undamaged = Damage(halftone=0, grain=0, fading=0, stains=0, cracks=0, creases=0, scratches=0, dust=0)
    if not told.damaged:
        settings = settings.model_copy(update={"damage": undamaged})
    theirs, ours = [], []
    for high, low in pairs(told.high, told.low):
        theirs.append(measured(low, high))
        for draw in range(told.draws):
            generator = torch.Generator().manual_seed(1000 * (told.seed + draw) + len(theirs))
            ours.append(measured(degrade(high, generator, settings=settings), high))
    stacks = [[np.stack(kind) for kind in zip(*source, strict=True)] for source in (theirs, ours)]
    of_each = [[np.percentile(kind, PERCENTILES, axis=0) for kind in stack] for stack in stacks]
    (folder, *_), (training, *_) = of_each
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
    names = (
        ("middle coefficients that are nothing", "high ones", "JPEG's quality"),
        ("PSNR-Y, dB", "lost to the clean reduction, dB"),
    )
    rows = [
        (name, *(" / ".join(f"{value:.2f}" for value in source[kind][:, place]) for source in of_each))
        for kind, pair in enumerate(names, start=1)
        for place, name in enumerate(pair)
    ]
    rows.append(("PSNR-Y, dB, mean", *(f"{stack[2][:, 0].mean():.2f}" for stack in stacks)))
    together = (f"{np.corrcoef(stack[0][:, 0, 4, 0], stack[0][:, 0, 1, 1])[0, 1]:+.2f}" for stack in stacks)
    rows.append((f"transfer at {RINGS[4]} with noise at {RINGS[1]}, correlation", *together))
    folder_all, ours_all = (np.hstack([kind.reshape(len(kind), -1) for kind in stack]) for stack in stacks)
    apart = moved(folder_all, ours_all)
    each = [moved(folder_all, ours_all[draw :: told.draws]) for draw in range(told.draws)]
    rows.append(("distance, deviations of the folder's", "", f"{apart:.3f} ({min(each):.3f} to {max(each):.3f})"))
    record.show(("", "folder", "training"), rows)
    facts = record.circumstances(torch.get_num_threads())
    result = {"circumstances": facts, "percentiles": PERCENTILES, "rings": RINGS, "distance": apart}
    for name, source in zip(("folder", "training"), of_each, strict=True):
        result[name] = dict(zip(("rings", "jpeg", "psnr_y"), (kind.tolist() for kind in source), strict=True))
    print(record.write("degraded", result))


if __name__ == "__main__":
    main()
