"""The generator: StyleEncoder, Modulator and Renderer.

    style picture ──► StyleEncoder ──► code
    thumbnail + code + strength + fidelity ──► Modulator ──► mods
    low picture + mods ──► Renderer ──► high picture, four times larger

The Renderer takes no statistic from its input: it knows only a scale and a shift for each channel of each layer, and
a colour matrix. So a picture painted in tiles equals the picture painted whole, and one set of mods is one look.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from upbrush.config import ModelConfig
from upbrush.errors import ConfigError
from upbrush.views import STYLE_PX, THUMBNAIL_PX, area_matrix

SCALE = 4
COLOUR_MODS = 12  # a 3x3 matrix and an offset, as differences from the identity
SLOPE = 0.1  # of the leaky rectifier
MOST = 4.0  # that the Renderer's rectifiers let through: where layers resonate, values grow by sums, not products


def thumbnails(low: Tensor) -> Tensor:
    """Sum up whole low pictures for the Modulator; the same numbers as `views.thumbnail`, batched and differentiable.

    low: (B, 3, H, W) in [0, 1]. Returns (B, 6, 32, 32) float32.
    """
    low = low.float()
    down = torch.from_numpy(area_matrix(low.shape[2], THUMBNAIL_PX)).to(low.device)
    across = torch.from_numpy(area_matrix(low.shape[3], THUMBNAIL_PX)).to(low.device)
    right = F.pad((low[..., 1:] - low[..., :-1]).abs(), (0, 1, 0, 0))
    below = F.pad((low[..., 1:, :] - low[..., :-1, :]).abs(), (0, 0, 0, 1))
    return down @ torch.cat([low, right + below], 1) @ across.T


def colour_moments(x: Tensor) -> Tensor:
    """Mean, standard deviation and correlations of the three colours of each picture.

    x: (B, 3, H, W) in [0, 1]. Returns (B, 9) float32.
    """
    flat = x.float().flatten(2)
    mean = flat.mean(2)
    centred = flat - mean[..., None]
    covariance = centred @ centred.transpose(1, 2) / flat.shape[2]
    deviation = (torch.diagonal(covariance, dim1=1, dim2=2) + 1e-4).sqrt()
    correlation = covariance / (deviation[:, :, None] * deviation[:, None, :])
    pairs = torch.stack([correlation[:, 0, 1], correlation[:, 0, 2], correlation[:, 1, 2]], 1)
    return torch.cat([mean * 2 - 1, deviation * 4, pairs], 1)


PALETTE = 9  # numbers of a code that are no convolution's work: mean, deviations and slopes of the opponent colours
OPPONENT = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
OPPONENT /= OPPONENT.norm(dim=1, keepdim=True)  # orthonormal: lightness, red against blue, green against both
RATIOS = (0.25, 2.5)  # a grey picture is not blown up to any style's colours, nor a colourful one put out


def palette(x: Tensor) -> Tensor:
    """Mean and covariance of lightness and the two opponent colours over a picture's cells.

    The covariance as its Cholesky factor, the diagonal first: how far lightness spreads, and the others beyond what
    follows from those before them; then how red-blue and green-magenta follow lightness, and the third the second. A
    mean of such factors is one again, so a blend of codes has a blended palette.

    x: (B, 3, H, W) in [0, 1], reduced to about 32 cells a side, so that texture is not taken for colour. Returns (B, 9)
    float32.
    """
    with torch.autocast(x.device.type, enabled=False):
        opponent = OPPONENT.to(x.device) @ (x.float().flatten(2) - 0.5)
        mean = opponent.mean(2)
        centred = opponent - mean[..., None]
        v = centred @ centred.transpose(1, 2) / centred.shape[2]
    return torch.cat([mean, _cholesky(v + 1e-5 * torch.eye(3, device=x.device))], 1)


def _cholesky(v: Tensor) -> Tensor:
    """The Cholesky factor of (B, 3, 3), by hand since ONNX has none: (B, 6), its diagonal and then 10, 20, 21."""
    first = v[:, 0, 0].clamp(min=1e-6).sqrt()  # the code of no style is zeros
    second, third = v[:, 1, 0] / first, v[:, 2, 0] / first
    second_rest = (v[:, 1, 1] - second.square()).clamp(min=1e-6).sqrt()
    both = (v[:, 2, 1] - second * third) / second_rest
    third_rest = (v[:, 2, 2] - third.square() - both.square()).clamp(min=1e-6).sqrt()
    return torch.stack([first, second_rest, third_rest, second, third, both], 1)


def _lower(factor: Tensor) -> Tensor:
    """(B, 6) of `_cholesky` as matrices: (B, 3, 3)."""
    first, second, third, a, b, c = factor.unbind(1)
    zero = torch.zeros_like(first)
    rows = [[first, zero, zero], [a, second, zero], [b, c, third]]
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def _between(of: Tensor, to: Tensor) -> Tensor:
    """The factor of a covariance with the deviations of `to` and correlations between those of both: (B, 6)."""
    own, wanted = (x @ x.transpose(1, 2) for x in (_lower(of), _lower(to)))
    before, after = ((torch.diagonal(x, dim1=1, dim2=2) + 1e-6).sqrt() for x in (own, wanted))
    stretch = after / before
    return _cholesky((wanted + own * stretch[:, :, None] * stretch[:, None]) / 2)


def colour_transfer(of: Tensor, to: Tensor) -> Tensor:
    """The colour mods that give a picture of one palette the mean and deviations of another, and half its correlations.

    After "Color Transfer between Images" (Reinhard et al., 2001), with correlations by Cholesky factors: lightness is
    made of lightness alone, so shapes stay, and colours of lightness and themselves, so shadows and lights get the
    style's. Half, because with all of it colours follow lightness and nothing else: hair is blue and skin is green
    under a painting of blue shadows. of, to: (B, 9) of `palette`. Returns (B, 12), as differences from the identity:
    what `Renderer` takes.
    """
    basis = OPPONENT.to(of.device)
    own, wanted = of[:, 3:], _between(of[:, 3:], to[:, 3:])
    ratio = ((wanted[:, :3] + 0.02) / (own[:, :3] + 0.02)).clamp(*RATIOS)

    def slope(aim: Tensor, given: Tensor, spread: Tensor) -> Tensor:
        return ((aim - given) / (spread + 0.02)).clamp(-1, 1)

    second = slope(wanted[:, 3], ratio[:, 1] * own[:, 3], own[:, 0])
    both = slope(wanted[:, 5], ratio[:, 2] * own[:, 5], own[:, 1])
    third = slope(wanted[:, 4], ratio[:, 2] * own[:, 4] + both * own[:, 3], own[:, 0])
    transfer = _lower(torch.stack([*ratio.unbind(1), second, third, both], 1))
    matrix = basis.T @ (transfer - torch.eye(3, device=of.device)) @ basis
    offset = (to[:, :3] - (transfer @ of[:, :3, None])[..., 0]) @ basis
    return torch.cat([matrix.flatten(1), offset], 1)


class StyleEncoder(nn.Module):
    """A style picture to its code: its palette, then what strided convolutions make of it.

    The convolutions' channels are summed up by mean and deviation at each depth. Colour needs no learning: the first
    nine numbers of a code are the palette, and a blend of codes has the blended palette.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        widths = config.encoder_channels
        self.stem = nn.Conv2d(3, widths[0], 5, 2, 2)
        self.stages = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.code_size = config.code_size
        self.head = nn.Linear(2 * sum(widths) + 9, config.code_size - PALETTE)

    def forward(self, style: Tensor) -> Tensor:
        """style: (B, 3, H, W) in [0, 1], short side 256. Returns codes (B, code_size)."""
        x = F.leaky_relu(self.stem(style * 2 - 1), SLOPE)
        summary = [colour_moments(style), *_moments(x)]
        for stage in self.stages:
            x = F.leaky_relu(stage(x), SLOPE)
            summary += _moments(x)
        cells = F.avg_pool2d(style, STYLE_PX // THUMBNAIL_PX)  # as coarse as the thumbnail it will be compared with
        return torch.cat([palette(cells), self.head(torch.cat(summary, 1)).float()], 1)


def _moments(x: Tensor) -> list[Tensor]:
    """Mean and standard deviation of each channel over the picture, in float32 (bfloat16 sums lose the small ones)."""
    flat = x.float().flatten(2)
    mean = flat.mean(2)
    return [mean, ((flat - mean[..., None]).square().mean(2) + 1e-5).sqrt()]


class Modulator(nn.Module):
    """Thumbnail, code and knobs to the mods: one scale and one shift per channel of every layer, and a colour matrix.

    One network gives the mods of restoring, another what repainting adds to them; strength says how much of it, so it
    is a line by construction. Apart, since one network for both was too small for the styles: with the Renderer frozen,
    mods of their own took pictures a quarter as far from their style (docs/log.md, 35). Fidelity enters as a number,
    after "You Only Train Once" (Dosovitskiy & Djolonga, ICLR 2020).
    """

    def __init__(self, config: ModelConfig, mods: int):
        super().__init__()
        widths = (6, 32, 64, 96)
        self.trunk = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(widths[:-1], widths[1:], strict=True))
        seen = widths[-1] + 9
        self.restore = _perceptron(seen + 1, config.hidden, mods)
        self.repaint = _perceptron(seen + config.code_size + 1, config.style_hidden, mods)
        self.code_size = config.code_size

    def forward(self, thumbnail: Tensor, code: Tensor, strength: Tensor, fidelity: Tensor) -> Tensor:
        """thumbnail: (B, 6, 32, 32); strength, fidelity: (B, 1) in [0, 1]. Returns (B, K).

        code: (B, code_size), or (B, code_size + K) of fitted styles: behind the code, what strength 1 adds to its mods.
        """
        code, fitted = code[:, : self.code_size], code[:, self.code_size :]
        x = torch.cat([thumbnail[:, :3] * 2 - 1, thumbnail[:, 3:] * 8], 1)
        for conv in self.trunk:
            x = F.leaky_relu(conv(x), SLOPE)
        seen = torch.cat([x.float().mean((2, 3)), colour_moments(thumbnail[:, :3])], 1)
        mods: Tensor = self.restore(torch.cat([seen, fidelity], 1)).float()
        added: Tensor = self.repaint(torch.cat([seen, code, fidelity], 1)).float()
        if fitted.shape[1]:
            added = added + fitted
        recolour = colour_transfer(palette(thumbnail[:, :3]), code[:, :PALETTE])
        return mods + strength * (added + F.pad(recolour, (added.shape[1] - COLOUR_MODS, 0)))


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two hidden layers; what comes out is small at first."""
    last = nn.Linear(hidden, outputs)
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(last.bias)
    layers = [nn.Linear(inputs, hidden), nn.LeakyReLU(SLOPE), nn.Linear(hidden, hidden), nn.LeakyReLU(SLOPE), last]
    return nn.Sequential(*layers)


class Renderer(nn.Module):
    """Plain convolutions at the low resolution, a short stage at twice it, and a residual over the enlargement.

    Behind each pixel shuffle stands a 2x2 mean: a feature that is flat stays flat, whatever the sub-pixel filters
    say, so no dot grid can be printed into flat areas (after Sugawara et al., "Super-resolution using convolutional
    neural networks without any checkerboard artifacts", ICIP 2018). Beyond the borders each layer sees what lies before
    them, mirrored: a flat picture stays flat to its borders.
    """

    enlarge: Tensor

    def __init__(self, config: ModelConfig):
        super().__init__()
        wide, narrow = config.channels, config.up_channels
        self.head = nn.Conv2d(3, wide, 3)
        self.body = nn.ModuleList(nn.Conv2d(wide, wide, 3) for _ in range(2 * config.pairs))
        self.up = nn.Conv2d(wide, 4 * narrow, 3)
        self.fine = nn.ModuleList(nn.Conv2d(narrow, narrow, 3) for _ in range(2))
        self.out = nn.Conv2d(narrow, 12, 3)
        self.widths = [wide] * (1 + 2 * config.pairs) + [4 * narrow, narrow, narrow, 12]
        self.register_buffer("enlarge", _bilinear_filters(), persistent=False)
        for first, second in [*self._pairs(self.body), *self._pairs(self.fine)]:
            nn.init.kaiming_normal_(first.weight, SLOPE, nonlinearity="leaky_relu")
            nn.init.normal_(second.weight, std=0.1 * (9 * second.in_channels) ** -0.5)  # residuals start small
        nn.init.normal_(self.out.weight, std=1e-3)
        for conv in [m for m in self.modules() if isinstance(m, nn.Conv2d)]:
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    @staticmethod
    def _pairs(convs: nn.ModuleList) -> list[tuple[nn.Conv2d, nn.Conv2d]]:
        return list(zip(convs[0::2], convs[1::2], strict=True))  # type: ignore[arg-type]

    @property
    def mods(self) -> int:
        """How many numbers one set of mods holds."""
        return 2 * sum(self.widths) + COLOUR_MODS

    @property
    def overlap_px(self) -> int:
        """Low pixels that can reach an output pixel on each side: with this overlap, tiled = whole."""
        return 1 + len(self.body) + 1 + 1 + len(self.fine)  # head, body, up, blur, then the stage at ×2, rounded up

    def forward(self, low: Tensor, mods: Tensor) -> Tensor:
        """low: (B, 3, h, w) in [0, 1]; mods: (B, K). Returns (B, 3, 4h, 4w) float32, not clipped."""
        if 1 in low.shape[2:]:  # there is nothing to mirror
            twice = low.expand(-1, -1, max(2, low.shape[2]), max(2, low.shape[3]))
            high = self.forward(twice, mods)
            return high[..., : SCALE * low.shape[2], : SCALE * low.shape[3]]
        # One slice for each, not one split into all: WebGPU binds no more than some ten outputs to a shader.
        ends = list(accumulate(n for width in self.widths for n in (width, width)))
        films = iter([mods[:, start:end] for start, end in zip([0, *ends], ends, strict=False)])

        def film(conv: nn.Module, x: Tensor) -> Tensor:
            scale, shift = next(films), next(films)
            y: Tensor = conv(_mirrored(x))
            return y * (1 + scale)[..., None, None].to(y.dtype) + shift[..., None, None].to(y.dtype)

        x = film(self.head, low)
        for first, second in self._pairs(self.body):
            x = x + film(second, _rectified(film(first, x)))
        x = _rectified(F.pixel_shuffle(film(self.up, x), 2))
        x = F.avg_pool2d(F.pad(x, (1, 0, 1, 0), mode="reflect"), 2, 1)
        for first, second in self._pairs(self.fine):
            x = x + film(second, _rectified(film(first, x)))
        residual = F.pixel_shuffle(film(self.out, x), 2).float()
        residual = F.avg_pool2d(F.pad(residual, (0, 1, 0, 1), mode="reflect"), 2, 1)
        return residual + self._enlarged(low.float(), mods[:, -COLOUR_MODS:].float())

    def _enlarged(self, low: Tensor, colour: Tensor) -> Tensor:
        """The bilinear enlargement through the colour matrix: per pixel, so tiles stay exact."""
        flat = low.flatten(2)
        matrix = colour[:, :9].view(-1, 3, 3)
        tinted = (flat + matrix @ (flat - 0.5) + colour[:, 9:, None]).view_as(low)
        with torch.autocast(low.device.type, enabled=False):  # eight bits of mantissa would band the base
            planes = tinted.flatten(0, 1)[:, None]
            enlarged = F.pixel_shuffle(F.conv2d(_edged(planes), self.enlarge), SCALE)
        return enlarged.view(low.shape[0], 3, SCALE * low.shape[2], SCALE * low.shape[3])


def _mirrored(x: Tensor) -> Tensor:
    """One more pixel at each side, those before the outermost once more. Sides at least 2."""
    if torch.compiler.is_exporting():
        return F.pad(x, (1, 1, 1, 1), mode="reflect")  # one node; in training as `_edged` does it
    x = torch.cat([x[..., 1:2], x, x[..., -2:-1]], 3)
    return torch.cat([x[..., 1:2, :], x, x[..., -2:-1, :]], 2)


def _edged(x: Tensor) -> Tensor:
    """One more pixel at each side, like the outermost: what an enlargement takes to lie there."""
    if torch.compiler.is_exporting():
        return F.pad(x, (1, 1, 1, 1), mode="replicate")  # one node, but torch 2.13 cannot compile its backward
    x = torch.cat([x[..., :1], x, x[..., -1:]], 3)
    return torch.cat([x[..., :1, :], x, x[..., -1:, :]], 2)


def _rectified(x: Tensor) -> Tensor:
    """A leaky rectifier that saturates: a pattern at which the layers resonate stays bounded, layer by layer."""
    return F.leaky_relu(x, SLOPE).clamp(-MOST, MOST)


def _bilinear_filters() -> Tensor:
    """Bilinear enlargement by 4 as a 3x3 convolution to 16 sub-pixels: (16, 1, 3, 3)."""
    taps = torch.zeros(SCALE, 3)
    for phase in range(SCALE):
        offset = (phase + 0.5) / SCALE - 0.5
        taps[phase, 1] = 1 - abs(offset)
        taps[phase, 0 if offset < 0 else 2] = abs(offset)
    return torch.einsum("ay,bx->abyx", taps, taps).reshape(SCALE * SCALE, 1, 3, 3)


class Generator(nn.Module):
    """StyleEncoder, Modulator and Renderer together, as they are trained."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.encoder = StyleEncoder(config)
        self.renderer = Renderer(config)
        self.modulator = Modulator(config, self.renderer.mods)

    def forward(self, low: Tensor, style: Tensor, strength: Tensor, fidelity: Tensor) -> Tensor:
        """Paint a batch of which the last pictures have styles and the first have none.

        low: (B, 3, h, w) in [0, 1]; style: (R, 3, H, W) in [0, 1] with R <= B, for the last R of the batch;
        strength, fidelity: (B,) in [0, 1], strength 0 for pictures without a style. Returns (B, 3, 4h, 4w) float32.
        """
        # Without styles too: an encoder that is never called has no gradient, and DistributedDataParallel waits for it.
        code = self.encoder(style).float()
        code = F.pad(code, (0, 0, low.shape[0] - len(style), 0))
        with torch.autocast(low.device.type, enabled=False):  # mods steer every layer: small, and worth float32
            mods = self.modulator(thumbnails(low), code, strength[:, None], fidelity[:, None])
        high: Tensor = self.renderer(low, mods)
        return high

    def freeze(self, parts: Sequence[str]) -> None:
        """Let parts, such as renderer or modulator.repaint.4.bias, learn nothing; ConfigError if one is missing."""
        for part in parts:
            found = [p for name, p in self.named_parameters() if name == part or name.startswith(f"{part}.")]
            if not found:
                known = ", ".join(name for name, _ in self.named_modules() if name and name.count(".") < 2)
                raise ConfigError(f"train.frozen: no part is called {part!r}; the generator has {known}")
            for parameter in found:
                parameter.requires_grad_(False)
