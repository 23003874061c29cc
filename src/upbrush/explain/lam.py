"""Which low pixels a region of the output was drawn from: local attribution maps.

After "Interpreting Super-Resolution Networks with Local Attribution Maps" (Gu & Dong, CVPR 2021): gradients of how much
edge there is in the region, integrated along a path on which the low picture gains its detail, from blurred to sharp.
The paper's numbers: sigma 1.2, 50 steps, regions of 16 pixels, low pictures of 64.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from upbrush.explain.findings import Dependence
from upbrush.explain.scene import Scene, check_region
from upbrush.nn.generator import SCALE, thumbnails
from upbrush.tiles import Box

SIGMA_PX, BLUR_PX, STEPS = 1.2, 4, 50  # of the blur where the path begins, low pixels; its reach; steps to the end
WINDOW_PX = 64  # low pixels a side over which the diffusion index counts; its value depends on this
MOST_PIXELS = 1_000_000  # of a low picture of which every pixel is followed through the thumbnail
LEAST_EFFECT = 1e-4  # in edges, of all pixels together: less is rounding
LEAST_EDGE = 1e-10  # in the root: a flat place has a gradient of 0, not none


def depend(scene: Scene, region: Box, *, thumbnail: bool = False, steps: int = STEPS) -> Dependence:
    """Find the low pixels that a region of the output depends on.

    thumbnail: follow also what the whole picture says through the Modulator's thumbnail; otherwise the mods are held
    as they are, and everything beyond the Renderer's reach is exactly 0. region: output pixels. Takes a second for a
    region of 16 pixels, whatever the picture's size, where the mods are held.
    Raises ConfigError for a region outside the picture or of another size than can be asked about.
    """
    check_region(region, scene.size)
    seen = scene.around(region, scene.reach_px)
    whole = Box(0, 0, *scene.low.shape[:2])
    # What is blurred along the path: with a margin, so that it is blurred as in the whole picture.
    base = whole if thumbnail else scene.around(region, scene.reach_px + BLUR_PX)
    place = seen.moved(-base.top, -base.left)
    held = None if thumbnail else scene.mods()

    def edges(low: Tensor) -> Tensor:
        mods = scene.mods(summary=thumbnails(low)) if held is None else held
        high = scene.generator.renderer(low[..., place.slices[0], place.slices[1]], mods)
        inner = region.moved(-SCALE * seen.top, -SCALE * seen.left)
        return edge_sum(high[..., inner.slices[0], inner.slices[1]])

    attribution, gained = integrated(edges, scene.crop(base), steps)
    found = attribution[0].sum(0).numpy()
    window = scene.window(region, WINDOW_PX)
    field = np.zeros((window.height, window.width), np.float32)
    top, left = max(base.top, window.top), max(base.left, window.left)
    common = Box(top, left, min(base.bottom, window.bottom), min(base.right, window.right))
    absolute = attribution[0].abs().sum(0).numpy()
    field[common.moved(-window.top, -window.left).slices] = found[common.moved(-base.top, -base.left).slices]
    spread = np.zeros_like(field)
    spread[common.moved(-window.top, -window.left).slices] = absolute[common.moved(-base.top, -base.left).slices]
    diffusion = diffusion_index(spread) if spread.sum() > LEAST_EFFECT else 0.0
    share = float(absolute[place.slices].sum() / max(absolute.sum(), 1e-30)) if thumbnail else None
    return Dependence(region, window, field, gained, float(found.sum()), diffusion, share)


def edge_sum(high: Tensor) -> Tensor:
    """How much edge there is: the sum of gradient magnitudes over the pixels and colours of (1, 3, h, w)."""
    down = high[..., 1:, :-1] - high[..., :-1, :-1]
    right = high[..., :-1, 1:] - high[..., :-1, :-1]
    return (down.square() + right.square() + LEAST_EDGE).sqrt().sum()


def integrated(target: Callable[[Tensor], Tensor], low: Tensor, steps: int) -> tuple[Tensor, float]:
    """Integrate the gradients of a target along the path from the blurred picture to the sharp one.

    low: (1, C, H, W). Returns what each value adds to the target, of the same shape, and how much the target gains in
    all; the sum of the first is the second, but for the steps' coarseness. Each step takes the gradient in its middle.
    """
    path = [blurred(low, SIGMA_PX * (1 - step / steps)) for step in range(steps + 1)]
    total = torch.zeros_like(low)
    for before, after in zip(path[:-1], path[1:], strict=True):
        middle = ((before + after) / 2).requires_grad_()
        (gradient,) = torch.autograd.grad(target(middle), middle)
        total += gradient * (after - before)
    with torch.no_grad():
        gained = float(target(path[-1]) - target(path[0]))
    return total, gained


def blurred(low: Tensor, sigma_px: float) -> Tensor:
    """Blur (1, C, H, W) by a Gaussian, the edge repeated; a sigma of 0 gives the picture itself."""
    if sigma_px == 0:
        return low
    taps = torch.exp(-((torch.arange(-BLUR_PX, BLUR_PX + 1, dtype=low.dtype) / sigma_px) ** 2) / 2)
    taps = (taps / taps.sum()).to(low.device)
    planes = F.pad(low, (BLUR_PX,) * 4, mode="replicate").transpose(0, 1)
    return F.conv2d(F.conv2d(planes, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1)).transpose(0, 1)


def diffusion_index(attribution: np.ndarray) -> float:
    """How evenly a dependence is spread: 100 (1 - Gini); near 0 for one pixel alone, 100 for all alike.

    attribution: of any shape, not negative. 0 where there is no dependence at all.
    """
    values = np.sort(np.abs(attribution), axis=None).astype(np.float64)
    if not values.any():
        return 0.0
    rank = np.arange(1, values.size + 1)
    gini = (2 * rank - values.size - 1) @ values / (values.size * values.sum())
    return float(100 * (1 - gini))
