"""What VGG19 sees: distance to the truth, style and content error, and features for distances between sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from upbrush.errors import WeightsError
from upbrush.measure.pixels import eight_bits
from upbrush.nn import features as vgg
from upbrush.tiles import cut

STYLE_PX = 256
WHOLE_PX = 1_200_000  # a picture of more pixels is looked at in tiles: the first layers take 1 KB a pixel
REACH_PX = 96  # how far relu5_1 sees is 78; and a multiple of 16
TILE_PX = 768
STYLE_LAYERS = 4  # relu1_1 to relu4_1
PLACES = 65_536  # that are summed up at once: in double precision relu1_1 of a large picture would take half a gigabyte
Array = NDArray[np.float64]
Moments = list[tuple[Tensor, Tensor]]


class Compared(NamedTuple):
    """What VGG19 says of a picture and its truth.

    distance: `vgg_distance`. texture: `style_error` of the one to the other. output, truth: their `pooled`.
    """

    distance: float
    texture: float
    output: Tensor
    truth: Tensor


class Eye:
    """VGG19 on the CPU in float32. path: safetensors, or None for torchvision's weights. Raises WeightsError."""

    def __init__(self, path: Path | None):
        self.net = vgg.load(path).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if len(self.net.convs) < sum(vgg.CONVS):
            raise WeightsError(f"{path}: VGG19 ends before {vgg.LAYERS[-1]}; measuring needs the whole of it")

    def look(self, picture: Array) -> list[Tensor]:
        """Features relu1_1 … relu5_1 of one picture, (1, C, h, w) each. (H, W, 3) in 0…255."""
        return self.look_together([picture])[0]

    @torch.inference_mode()
    def look_together(self, pictures: Sequence[Array]) -> list[list[Tensor]]:
        """The features of several pictures of one size, for each what `look` gives: two take 1.7 times as long."""
        x = torch.from_numpy(np.stack([picture.transpose(2, 0, 1) for picture in pictures]).astype(np.float32)) / 255
        seen = self.net(x.contiguous(memory_format=torch.channels_last), len(vgg.LAYERS))
        return [[layer[i : i + 1] for layer in seen] for i in range(len(pictures))]

    def compare(self, output: Array, truth: Array) -> Compared:
        """Both pictures, too large to be looked at whole.

        Tiles begin at multiples of 16 and see REACH_PX beyond what counts, so this equals looking at the whole.
        """
        distances, counts = np.zeros(len(vgg.LAYERS)), np.zeros(len(vgg.LAYERS))
        sums = ([_Sums() for _ in vgg.LAYERS], [_Sums() for _ in vgg.LAYERS])
        for outer, inner in aligned_tiles(*truth.shape[:2]):
            seen = self.look_together([output[outer], truth[outer]])
            kept = [_kept(features, outer, inner) for features in seen]
            for layer, (a, b) in enumerate(zip(*kept, strict=True)):
                squared = _unit_distance(a, b)
                distances[layer] += float(squared.sum(dtype=torch.float64))
                counts[layer] += squared.numel()
                sums[0][layer].add(a)
                sums[1][layer].add(b)
        texture = style_error(*([one.moments() for one in layers[:STYLE_LAYERS]] for layers in sums))
        ends = [_scaled(layers[-1].first) for layers in sums]
        return Compared(float(np.mean(distances / counts)), texture, *ends)


class _Sums:
    """Sums over the places of a layer that comes in parts. first, second: of features and of their squares, (C,)."""

    def __init__(self) -> None:
        self.first: Tensor = torch.zeros(())
        self.second: Tensor = torch.zeros(())
        self.places = 0

    def add(self, features: Tensor) -> None:
        """A part, (1, C, h, w)."""
        places = features[0].permute(1, 2, 0).flatten(0, 1)  # as the channels lie in memory
        for start in range(0, len(places), PLACES):
            exact = places[start : start + PLACES].double()
            self.first = self.first + exact.sum(0)
            self.second = self.second + exact.square_().sum(0)
        self.places += len(places)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, as `moments` has them."""
        mean = self.first / self.places
        spread = (self.second - self.places * mean.square()).clamp(min=0)
        return mean, (spread / (self.places - 1)).sqrt()


def aligned_tiles(height: int, width: int) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """(what is seen, what of it counts) of each tile, in pixels of the picture; starts are multiples of 16."""
    cells = [-(-side // 16) for side in (height, width)]
    tiles = []
    for tile in cut(cells[0], cells[1], TILE_PX // 16, REACH_PX // 16):
        boxes = []
        for box in (tile.outer, tile.inner):
            rows, columns = box.times(16).slices
            boxes.append((slice(rows.start, min(rows.stop, height)), slice(columns.start, min(columns.stop, width))))
        tiles.append((boxes[0], boxes[1]))
    return tiles


def _kept(features: Sequence[Tensor], outer: tuple[slice, slice], inner: tuple[slice, slice]) -> list[Tensor]:
    """The part of a tile's features that counts. Layer k has a pixel for 2^k of the picture's."""
    kept = []
    for layer, x in enumerate(features):
        for axis in (0, 1):
            first = (inner[axis].start - outer[axis].start) >> layer
            last = (inner[axis].stop >> layer) - (outer[axis].start >> layer)
            x = x.narrow(axis + 2, first, min(last, x.shape[axis + 2]) - first)
        kept.append(x)
    return kept


def vgg_distance(output: Sequence[Tensor], truth: Sequence[Tensor]) -> float:
    """Squared distance of unit-length features, summed over channels, mean over positions, then over layers.

    LPIPS (Zhang et al., CVPR 2018) without its learnt weights. output, truth: what `Eye.look` gives.
    """
    return float(np.mean([float(_unit_distance(a, b).mean()) for a, b in zip(output, truth, strict=True)]))


def _unit_distance(a: Tensor, b: Tensor) -> Tensor:
    """(1, C, h, w) twice -> (1, h, w)."""
    a, b = (x / (x.norm(dim=1, keepdim=True) + 1e-10) for x in (a, b))
    return (a - b).square().sum(1)


def pooled(features: Sequence[Tensor]) -> Tensor:
    """The deepest layer's mean over positions, for distances between sets: (C,) float64.

    Of root-mean-square 1, as Inception's features roughly are: kernels and distances are not made of VGG19's large
    numbers, and do not depend on how loud a picture is.
    """
    return _scaled(features[-1][0].double().mean((1, 2)))


def _scaled(vector: Tensor) -> Tensor:
    return vector / vector.square().mean().sqrt().clamp(min=1e-10)


def small(picture: Array) -> Array:
    """A picture at STYLE_PX × STYLE_PX by Pillow's Lanczos, whatever its shape."""
    if picture.shape[:2] == (STYLE_PX, STYLE_PX):
        return picture
    resized = Image.fromarray(eight_bits(picture)).resize((STYLE_PX, STYLE_PX), Image.Resampling.LANCZOS)
    return np.asarray(resized, np.float64)


def moments(features: Sequence[Tensor]) -> Moments:
    """Per-channel mean and standard deviation over positions, relu1_1 to relu4_1: [((C,), (C,)), …] float64."""
    layers = []
    for x in features[:STYLE_LAYERS]:
        sums = _Sums()
        sums.add(x)
        layers.append(sums.moments())
    return layers


def style_error(output: Moments, style: Moments) -> float:
    """Squared distance of means and deviations over the style's own squared size, mean over layers.

    The statistics are those of AdaIN (Huang & Belongie, ICCV 2017).
    """
    layers = []
    for (mean, deviation), (mean_s, deviation_s) in zip(output, style, strict=True):
        distance = (mean - mean_s).square().sum() + (deviation - deviation_s).square().sum()
        layers.append(float(distance / (mean_s.square().sum() + deviation_s.square().sum())))
    return float(np.mean(layers))


def content_error(output: Sequence[Tensor], truth: Sequence[Tensor]) -> float:
    """Squared distance of relu4_1 features over the truth's own squared size. What `Eye.look` gives."""
    a, b = output[3].double(), truth[3].double()
    return float((a - b).square().sum() / b.square().sum())
