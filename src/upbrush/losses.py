"""The terms of the objective, one function each: float32, one number a picture. `objective` weighs them together."""

from collections.abc import Callable
from functools import cache, partial
from math import pi
from typing import Any

import torch
from torch import Tensor, atan2, cat, fft, hann_window, linspace, no_grad, ones_like, quantile, stack, zeros
from torch.nn import functional as F

from upbrush.config import LossConfig
from upbrush.dataset import Batch
from upbrush.errors import ConfigError
from upbrush.nn.embedding import FaceEmbedding

NO_ERROR = 1e-5  # mean squared error, of 50 dB: beyond it nothing is to be seen
PLAIN = 1.2 / 255  # deviation of a cell that shows nothing
SMOOTH = 6.0 / 255  # below it texture is seen that the truth has not: skin has 1 to 4 of 255, hair 8 to 30
ALIKE = 3.0  # times as far as they are in the truth, two plain colours may be apart: styles have their contrasts
WINDOW_PX = 32  # of the local spectra
COARSEST = 3  # cycles in a window: of what is coarser, none has enough
SECTORS = 8  # of half a turn, centred on the axes


def pixel_error(output: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error. output, truth: (B, 3, H, W) in [0, 1]. Returns (B,)."""
    return (output - truth).abs().mean((1, 2, 3))


def psnr_error(output: Tensor, truth: Tensor) -> Tensor:
    """Minus the PSNR over all three colours, in dB: a picture counts by the share, not the size, of its error.

    The loss of "HINet" (Chen et al., CVPRW 2021): a badly damaged picture, of which most can never be known, is no
    louder than a clean one. output, truth: (B, 3, H, W) in [0, 1]. Returns (B,), at least -50.
    """
    return 10 * ((output - truth).square().mean((1, 2, 3)) + NO_ERROR).log10()


def out_of_range(output: Tensor) -> Tensor:
    """Mean excess over [0, 1], so that clipping costs nothing. output: (B, 3, H, W). Returns (B,)."""
    return (F.relu(-output) + F.relu(output - 1)).mean((1, 2, 3))


def vgg_distance(output: list[Tensor], truth: list[Tensor]) -> Tensor:
    """Squared distance of unit-length VGG features, summed over channels, mean over positions, then layers.

    LPIPS (Zhang et al., CVPR 2018) without its learnt weights. output, truth: (B, C, h, w) a layer, as many as the
    features have. Returns (B,).
    """
    layers = []
    for a, b in zip(output, truth, strict=True):
        a, b = a.float(), b.float()
        # |u - v|² = 2 - 2 u·v for unit vectors: no normalised copy of either
        lengths = (a.square().sum(1) * b.square().sum(1) + 1e-12).sqrt()
        layers.append((2 - 2 * (a * b).sum(1) / lengths).mean((1, 2)))
    return stack(layers).mean(0)


def structure_error(output: Tensor, truth: Tensor) -> Tensor:
    """One minus the correlation of lightness at the low pictures' size: a repaint may change tones, not shapes.

    Law 5 (down(out) is in) as far as a repaint can keep it. output, truth: (B, 3, H, W). Returns (B,) in [0, 2].
    """
    a, b = (F.avg_pool2d(x.mean(1, keepdim=True), 4).flatten(1) for x in (output, truth))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    return 1 - (a * b).sum(1) / ((a.square().sum(1) + 1e-4) * (b.square().sum(1) + 1e-4)).sqrt()


def grid_deviation(output: Tensor) -> Tensor:
    """How strongly a picture repeats with the low pixels' period: the dot grid, as a deviation in [0, 1].

    The mean of each of the 4×4 sub-pixel places over the whole picture, less what is smooth; their standard deviation.
    Photographs and paintings have about .001 at 160 pixels, a grid that shows .005. output: (B, 3, H, W). Returns (B,).
    """
    luminance = output.mean(1, keepdim=True)
    # A mean over 4×4 is blind to every such period, and takes the slopes away
    rest = luminance[..., 1:-2, 1:-2] - F.avg_pool2d(luminance, 4, 1)
    rows, columns = rest.shape[2] // 4, rest.shape[3] // 4
    places = rest[..., : 4 * rows, : 4 * columns].reshape(len(output), rows, 4, columns, 4).mean((1, 3))
    return (places.flatten(1).var(1, correction=0) + 1e-10).sqrt()


def moments(features: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Mean and standard deviation over positions of each channel: a list of ((B, C), (B, C)), float32."""
    result = []
    for x in features:
        x = x.float()
        mean = x.mean((2, 3))
        # E x² - (E x)²: half the time of var_mean on a CPU; features are at least 0 and of the size of their deviation
        variance = x.square().mean((2, 3)) - mean.square()
        result.append((mean, (variance.clamp(min=0) + 1e-8).sqrt()))
    return result


def style_error(output: list[tuple[Tensor, Tensor]], style: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Squared distance of means and deviations over the style's own size, mean over layers relu1_1 … relu4_1.

    The statistics are those of AdaIN (Huang & Belongie, ICCV 2017). Returns (B,).
    """
    layers = []
    for (mean, deviation), (mean_s, deviation_s) in zip(output, style, strict=True):
        distance = (mean - mean_s).square().sum(1) + (deviation - deviation_s).square().sum(1)
        layers.append(distance / (mean_s.square().sum(1) + deviation_s.square().sum(1)))
    return stack(layers).mean(0)


def texture_error(output: Tensor, style: Tensor) -> Tensor:
    """How differently texture is spread: mean distance of the quantiles of its logarithm over 8×8 cells.

    Texture is what a 5×5 mean takes away from lightness. The moments of features are content with a little of it
    everywhere, on skin as cracks; a painting is smooth in places and rough in others, and so shall its repaints be.
    output: (B, 3, H, W), style: (B, 3, H', W') in [0, 1]. Returns (B,).
    """
    return (_texture(output) - _texture(style)).abs().mean(0)


def _texture(x: Tensor) -> Tensor:
    """Quantiles of the cells' logarithmic deviation: (24, B)."""
    return quantile(_deviations(x).log(), linspace(0.04, 0.96, 24, device=x.device), dim=1)


def _deviations(x: Tensor) -> Tensor:
    """Deviation of what a 5×5 mean takes away from lightness, over 8×8 cells: (B, cells), at least .001."""
    y = x.float().mean(1, keepdim=True)
    rest = y - F.avg_pool2d(F.pad(y, (2,) * 4, mode="reflect"), 5, 1)
    return (F.avg_pool2d(rest.square(), 8).flatten(1) + 1e-6).sqrt()


def ghost_error(output: Tensor, truth: Tensor) -> Tensor:
    """Texture where the truth is smooth: echoes of outlines on plain grounds, cracks on skin.

    Mean excess of the deviations of 8×8 cells over those of the truth, times how smooth the truth is: nearly 1 on plain
    grounds, falling in a line to 0 at 6 of 255. Of a smooth place a convolution knows little more than how far the
    next edge is, and there texture is seen; amid other texture it would not be. output, truth: (B, 3, H, W) in
    [0, 1]. Returns (B,).
    """
    painted, meant = _deviations(output), _deviations(truth)
    return (F.relu(painted - meant) * F.relu(1 - meant / SMOOTH)).mean(1)


def halo_error(output: Tensor, truth: Tensor) -> Tensor:
    """How differently plain places of one colour are painted: seams of light or colour along outlines, bands, blotches.

    Mean absolute difference between the colours of 8×8 cells up to 32 pixels apart, in rows and columns, beyond three
    times their difference in the truth; cells with texture in the truth count as zero. `ghost_error` does not see what
    is smooth within a cell. output, truth: (B, 3, H, W) in [0, 1], sides at least 16. Returns (B,).
    """
    painted, meant = (F.avg_pool2d(x.float(), 8) for x in (output, truth))
    plain = (_deviations(truth) < PLAIN).view(meant.shape[0], *meant.shape[2:])
    errors = []
    for a, b, counts in ((painted.mT, meant.mT, plain.mT), (painted, meant, plain)):  # along columns, then rows
        for far in (cells for cells in (1, 2, 4) if cells < counts.shape[-1]):
            apart, allowed = ((x[..., far:] - x[..., :-far]).abs().mean(1) for x in (a, b))
            both = counts[..., far:] & counts[..., :-far]
            errors.append((F.relu(apart - ALIKE * allowed) * both).mean((1, 2)))
    return stack(errors).mean(0)


def weave_error(output: Tensor, truth: Tensor) -> Tensor:
    """How much more than in the truth detail lies in some directions: a weave, like canvas, over all, or cracks.

    An upsampler's cheapest detail are replicas of what is coarse, in lines along the axes 2 to 10 pixels apart.
    Features and discriminators take them for texture, `grid_deviation` does not see them since their sign changes
    from place to place, and natural detail has hardly a direction. So this compares local power spectra, each over its
    own mean at the same frequency, from 3/32 cycle a pixel to 1/2, by sectors of 22.5 degrees. That a style's
    picture has a canvas excuses none: it lies across the sheet, where a repaint's strokes shall follow the picture.
    output, truth: (B, 3, H, W) in [0, 1], sides at least 32. Returns (B,) in nats.
    """
    return F.relu(_directions(output) - _directions(truth)).mean(1)


def _directions(x: Tensor) -> Tensor:
    """Mean logarithmic power over windows, over its mean at the same frequency: (B, pairs of rings times SECTORS)."""
    y = x.float().mean(1)
    windows = y.unfold(1, WINDOW_PX, WINDOW_PX // 2).unfold(2, WINDOW_PX, WINDOW_PX // 2).flatten(1, 2)
    fade = hann_window(WINDOW_PX, periodic=False, device=x.device)
    fade = fade[:, None] * fade
    spectrum: Tensor = fft.rfft2((windows - windows.mean((2, 3), keepdim=True)) * fade)
    power = (spectrum.real.square() + spectrum.imag.square()) / fade.square().sum()
    level = (power + (0.5 / 255) ** 2).log().mean(1).flatten(1)  # below half a grey level there is nothing to see
    rows = fft.fftfreq(WINDOW_PX, 1 / WINDOW_PX, device=x.device)[:, None]
    columns = fft.rfftfreq(WINDOW_PX, 1 / WINDOW_PX, device=x.device)[None]
    ring = (rows.square() + columns.square()).sqrt().round().long().flatten()
    sector = (atan2(rows, columns) / (pi / SECTORS)).round().long().remainder(SECTORS).flatten()
    level = level - _means(level, ring)[:, ring]
    fine = (ring >= COARSEST) & (ring <= WINDOW_PX // 2)
    # By sector: one bin of the few windows that a crop has is mostly chance
    return _means(level[:, fine], (ring - COARSEST)[fine] // 2 * SECTORS + sector[fine])


def _means(x: Tensor, group: Tensor) -> Tensor:
    """Means of x's columns by group. x: (B, N), group: (N,) whole numbers from 0. Returns (B, groups)."""
    groups = int(group.max()) + 1
    counts = zeros(groups, device=x.device).index_add(0, group, ones_like(group, dtype=x.dtype))
    return zeros(len(x), groups, device=x.device).index_add(1, group, x) / counts.clamp(min=1)


def content_error(output: Tensor, truth: Tensor) -> Tensor:
    """Squared distance of relu4_1 features over the truth's own size. (B, C, h, w) each. Returns (B,)."""
    difference = (output.float() - truth.float()).square().sum((1, 2, 3))
    return difference / truth.float().square().sum((1, 2, 3)).clamp(min=1e-6)


def identity_error(output: Tensor, truth: Tensor) -> Tensor:
    """One minus the cosine of two face embeddings of length 1. (B, K) each. Returns (B,) in [0, 2]."""
    return 1 - (output * truth).sum(1)


def diversity(pictures: Tensor) -> Tensor:
    """How different pictures' colours are: mean distance, over pairs, of their channels' means and deviations.

    pictures: (B, 3, H, W) in [0, 1], B at least 2. Returns a scalar; 0 where all look alike.
    """
    flat = pictures.float().flatten(2)
    summary = cat([flat.mean(2), flat.std(2)], 1)
    distance = (summary[:, None] - summary[None]).abs().mean(2)
    return distance.sum() / (len(pictures) * (len(pictures) - 1))


def objective(
    output: Tensor,
    batch: Batch,
    features: Callable[..., list[Tensor]] | None,
    weights: LossConfig,
    likeness: FaceEmbedding | None = None,
    *,
    compiled: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The generator's loss on what it made of one batch, and its terms by name, unweighted. output: (B, 3, H, W).

    Each term is a mean over the pictures that it concerns, so the mix of a batch does not shift the balance between
    terms. A picture at a strength between restored and repainted counts for both, in that proportion.

    `features` is VGG19 (`nn.features`), or calls it. It may be None where no picture of the batch needs it, `likeness`
    where faces shall not count. `compiled`: terms that read much memory for little arithmetic pass over it once.
    """
    fused: Callable[..., Any] = _compiled if compiled else _as_it_is
    if batch.drawn:
        known = {"pattern": pixel_error(output, batch.high).mean(), "range": out_of_range(output).mean()}
        return _weighted(known, weights), known
    restored, repainted = 1 - batch.strength, batch.strength
    terms = {
        "pixel": _mean(fused(pixel_error)(output, batch.high) * _faithful(batch.fidelity, weights), restored),
        "psnr": _mean(fused(psnr_error)(output, batch.high), restored * batch.fidelity),
        "range": fused(out_of_range)(output).mean(),
        "grid": fused(grid_deviation)(output).mean(),
    }
    count = len(batch.style)  # the last pictures of a batch are its repaints
    plain = len(output) - count
    sharp = (batch.fidelity[:plain] < 1).nonzero()[:, 0]
    if features is None and (len(sharp) or count):
        raise ConfigError("this mix of restore, sharp and repaint needs VGG19 features; give --features PATH")
    if features is not None and len(sharp):
        with no_grad():
            truth = features(batch.high[sharp], 5)
        distance = fused(vgg_distance)(features(output[sharp], 5), truth)
        terms["perceptual"] = (distance * (1 - batch.fidelity[sharp])).mean()
        terms["weave"] = weave_error(output[sharp], batch.high[sharp]).mean()
        terms["ghost"] = ghost_error(output[sharp], batch.high[sharp]).mean()
    if features is not None and count:
        painting, high, weight = output[plain:], batch.high[plain:], repainted[plain:]
        with no_grad():
            content, style = features(high)[3], fused(moments)(features(batch.style))
        seen = features(painting)
        terms["content"] = _mean(fused(content_error)(seen[3], content), weight)
        terms["structure"] = _mean(structure_error(painting, high), weight)
        terms["texture"] = _mean(texture_error(painting, batch.style), weight)
        terms["halo"] = _mean(halo_error(painting, high), weight)
        terms["style"] = _mean(style_error(fused(moments)(seen), style), weight)
        terms["weave"] = terms.get("weave", 0) + weave_error(painting, high).mean()
        terms["ghost"] = terms.get("ghost", 0) + _mean(ghost_error(painting, high), weight)
    if likeness is not None:
        rows = batch.faces.any(2).any(1)
        with no_grad():
            known = likeness(batch.high[rows], batch.faces[rows])
        lost = identity_error(likeness(output[rows], batch.faces[rows]), known)
        # Of all pictures, so that a lone face does not count for all; what is restored at 1 answers for its PSNR alone.
        terms["identity"] = (lost * (1 - restored * batch.fidelity)[rows]).sum() / len(output)
    return _weighted(terms, weights), terms


_compiled = cache(partial(torch.compile, dynamic=False))  # each shape by itself; once a process


def _as_it_is(term: Any) -> Any:
    return term


def _weighted(terms: dict[str, Tensor], weights: LossConfig) -> Tensor:
    return stack([getattr(weights, name) * value for name, value in terms.items()]).sum()


def _faithful(fidelity: Tensor, weights: LossConfig) -> Tensor:
    """How much of the absolute error counts: all at fidelity 1, falling in a line to the share that is left at 0."""
    return weights.pixel_share + (1 - weights.pixel_share) * fidelity


def _mean(value: Tensor, weight: Tensor) -> Tensor:
    return (value * weight).sum() / weight.sum().clamp(min=1)  # a lone picture of small weight does not count in full
