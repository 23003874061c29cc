"""The degradation model: low pictures made from high ones, for training.

Two rounds of blur, resize, noise and compression after the second-order model of Real-ESRGAN (Wang et al., 2021,
arXiv:2107.10833), on a picture that age may have damaged first (`damage`). Every sample of a batch draws its own chain.
"""

import math
from functools import lru_cache
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Generator, Tensor

from upbrush.damage import LUMA, Damage, Limits, Probability, chance, damage, normal, uniform
from upbrush.errors import ConfigError

Kernel = Literal["area", "bilinear", "bicubic"]

BLUR_PX = 21  # side of every blur kernel, px; wide enough for three sigmas of the largest blur
CUBIC_A = -0.5  # Pillow's bicubic; OpenCV and torch take -0.75


class Round(BaseModel):
    """One round of blur, resize, noise and compression."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blur: Probability = Field(0.92, description="probability of any blur")
    sinc: Probability = Field(0.1, description="share of blurs that are sinc low-pass filters, which ring")
    sigma_px: Limits = Field((0.1, 2.2), description="blur radius (sigma) along each axis, px of the blurred picture")
    resize_up: Probability = Field(0.15, description="probability that the round enlarges")
    resize_keep: Probability = Field(0.15, description="probability of just the reference size; else it shrinks")
    resize_factor: Limits = Field((0.5, 1.3), description="smallest and largest resize, times the reference size")
    noise: Probability = Field(0.98, description="probability of any noise")
    poisson: Probability = Field(0.5, description="share of noise that is Poisson; else Gaussian")
    grey: Probability = Field(0.5, description="share of noise that is the same in red, green and blue")
    noise_levels: Limits = Field((5.0, 11.0), description="standard deviation of Gaussian noise, of 255")
    poisson_scale: Limits = Field((0.3, 1.0), description="Poisson noise, times that of 255 photons at white")
    compression: Probability = Field(0.85, description="probability of lossy compression")
    webp: Probability = Field(0.04, description="share of compression like WebP; else JPEG")
    chroma_half: Probability = Field(0.97, description="share of JPEGs with 4:2:0 chroma; else 4:4:4")
    quality: Limits = Field((45.0, 93.0), description="JPEG or WebP quality, 1 to 100")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError(f"quality: Expected 1 to 100, found {self.quality}")
        if not 0.1 <= self.resize_factor[0] <= self.resize_factor[1] <= 4:
            raise ValueError(f"resize_factor: Expected 0.1 to 4, found {self.resize_factor}")
        if self.sigma_px[1] > BLUR_PX / 5:
            raise ValueError(f"sigma_px: Expected at most {BLUR_PX / 5}, found {self.sigma_px}")
        if self.resize_up + self.resize_keep > 1:
            raise ValueError(f"Expected resize_up + resize_keep <= 1, found {self.resize_up + self.resize_keep}")
        return self


class Degradation(BaseModel):
    """How low pictures are made for training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Chosen to be about as hard as the validation set's own degraded pictures: as blurred and noisy at each frequency,
    # as often fresh from JPEG, and spread as there (`benchmarks/degraded.py`). With more blur and less noise PSNR is
    # the same, and noise is taken for detail; of a wider spread much is hardly ever met.
    # PSNR-Y of their bicubic enlargement, dB, over 24 pictures each (ours: --draws 2):
    #                                     faces  photos  art
    #   clean bicubic                      29.94  27.91   27.30
    #   validation set, degraded           27.72  26.38   25.68   (not stretched: 27.93, 26.62, 25.93; docs/log.md, 66)
    #   these defaults, no damage          28.06  26.43   25.92
    #   these defaults                     27.37  26.07   25.47
    # Undamaged the hardest and the easiest tenth lose 2.8 and 1.1 dB on faces (validation set: 3.5 and 1.4).
    damage: Damage = Field(default_factory=Damage, description="the damage of old prints, films and paintings")
    first: Round = Field(default_factory=Round, description="first round; resize is relative to the high size")
    second: Round = Field(
        default_factory=lambda: Round(
            blur=0.08, sigma_px=(0.2, 1.0), resize_up=0, resize_keep=1,
            noise=0.96, poisson=0.33, grey=0.4, noise_levels=(3.0, 8.0), poisson_scale=(0.3, 0.65),
            compression=0.99, chroma_half=0.98, quality=(60.0, 95.0),
        ),
        description="second round, less blurred; resize is relative to the low size",
    )  # fmt: skip
    last_sinc: Probability = Field(0.01, description="probability of a last sinc filter on the low picture")
    compressed_last: Probability = Field(0.98, description="share of pictures shrunk and then compressed; else before")


def bicubic(high: Tensor, scale: int = 4) -> Tensor:
    """Shrink as Pillow's `Image.resize(..., BICUBIC)` does: antialiased, a = -0.5, edges renormalised.

    high: (B, 3, H, W) or (3, H, W) float32 in [0, 1], H and W multiples of `scale`. Returns (..., H/scale, W/scale),
    same range, not quantised; gradients pass. Raises ConfigError for other sizes.
    """
    height, width = high.shape[-2:]
    if high.ndim < 3 or height % scale or width % scale or not height or not width:
        raise ConfigError(f"Expected (B, 3, H, W) with sides that are multiples of {scale}, found {tuple(high.shape)}")
    with torch.autocast(high.device.type, enabled=False):
        return _resize(high.float(), height // scale, width // scale, "bicubic")


@torch.no_grad()
def degrade(high: Tensor, generator: Generator, *, scale: int = 4, settings: Degradation | None = None) -> Tensor:
    """Make a low picture of each high one: damaged, blurred, resized, noisy and compressed at random.

    high: (B, 3, H, W) float32 in [0, 1], any device, not changed; H and W multiples of `scale`. generator: best on the
    CPU; the same state gives the same result. Returns (B, 3, H/scale, W/scale) float32 in [0, 1], whole multiples
    of 1/255 as in a file. Raises ConfigError for another shape or type.
    """
    if high.ndim != 4 or high.shape[1] != 3 or high.dtype != torch.float32:
        raise ConfigError(f"Expected (B, 3, H, W) float32, found {tuple(high.shape)} {high.dtype}")
    if not high.shape[2] or not high.shape[3] or high.shape[2] % scale or high.shape[3] % scale:
        raise ConfigError(f"Expected sides that are multiples of {scale} px, found {high.shape[2]}x{high.shape[3]} px")
    settings = settings or Degradation()
    # A seed for each sample: what one sample draws does not shift what the next one draws.
    seeds = torch.randint(2**62, (len(high),), generator=generator, device=generator.device).tolist()
    low = high.new_empty(len(high), 3, high.shape[2] // scale, high.shape[3] // scale)
    with torch.autocast(high.device.type, enabled=False):
        for index, seed in enumerate(seeds):
            own = torch.Generator(generator.device).manual_seed(seed)
            low[index] = _degrade_one(high[index], own, scale, settings)
    return low


def _degrade_one(high: Tensor, generator: Generator, scale: int, settings: Degradation) -> Tensor:
    """(3, H, W) -> (3, H/scale, W/scale), quantised."""
    height, width = high.shape[1] // scale, high.shape[2] // scale
    first, second = settings.first, settings.second
    picture = damage(high, generator, settings.damage)
    picture = _blur_at_random(picture, generator, first)
    picture = _resize_at_random(picture, generator, first, high.shape[1], high.shape[2])
    picture = _noise_at_random(picture, generator, first)
    picture = _compress_at_random(picture, generator, first)
    picture = _blur_at_random(picture, generator, second)
    picture = _resize_at_random(picture, generator, second, height, width)
    picture = _noise_at_random(picture, generator, second)
    # A file is compressed and then shrunk, or shrunk and then compressed, as nearly all are that people have.
    is_compressed_last = chance(generator, settings.compressed_last)
    if not is_compressed_last:
        picture = _compress_at_random(picture, generator, second)
    picture = _resize(picture, height, width, _kernel(generator))
    if chance(generator, settings.last_sinc):
        picture = _blur(picture, _sinc_kernel(generator, picture.device))
    if is_compressed_last:
        picture = _compress_at_random(picture, generator, second)
    return _quantise(picture)


def _quantise(picture: Tensor) -> Tensor:
    return (picture.clamp(0, 1) * 255).round() / 255


# Resize


def _resize_matrix(source_px: int, target_px: int, kernel: Kernel, antialias: bool, device: torch.device) -> Tensor:
    """Weights (target_px, source_px), rows summing to 1: Pillow's, but of area and if not antialiased OpenCV's."""
    ratio = source_px / target_px
    stretch = max(ratio, 1.0) if antialias else 1.0
    centre = (torch.arange(target_px, dtype=torch.float64)[:, None] + 0.5) * ratio
    away = (torch.arange(source_px, dtype=torch.float64)[None] + 0.5 - centre).div_(stretch).abs_()
    if kernel == "area":
        # By how much of a source pixel is covered: whole ones alone would move what is shown by up to half a pixel.
        weights = ((stretch + 1) / 2 - away * stretch).clamp_(0, min(stretch, 1.0))
    elif kernel == "bilinear":
        weights = (1 - away).clamp_(min=0)
    else:
        near = ((CUBIC_A + 2) * away - (CUBIC_A + 3)) * away * away + 1
        far = (((away - 5) * away + 8) * away - 4) * CUBIC_A
        weights = torch.where(away < 1, near, torch.where(away < 2, far, 0.0))
    return (weights / weights.sum(1, keepdim=True)).float().to(device)


def _resize(picture: Tensor, height: int, width: int, kernel: Kernel, antialias: bool = True) -> Tensor:
    """(..., H, W) -> (..., height, width) in [0, 1]."""
    if picture.shape[-2:] == (height, width):
        return picture
    across = _resize_matrix(picture.shape[-1], width, kernel, antialias, picture.device)
    down = across
    if (picture.shape[-2], height) != (picture.shape[-1], width):
        down = _resize_matrix(picture.shape[-2], height, kernel, antialias, picture.device)
    # Clamped after each pass, and across before down, because Pillow keeps 8 bits between its two passes.
    return (down @ (picture @ across.T).clamp(0, 1)).clamp(0, 1)


def _kernel(generator: Generator) -> Kernel:
    kernels: tuple[Kernel, ...] = ("area", "bilinear", "bicubic")
    return kernels[int(uniform(generator, (0, 3)))]


def _resize_at_random(picture: Tensor, generator: Generator, settings: Round, height: int, width: int) -> Tensor:
    """Resize to a random share of (height, width)."""
    draw = uniform(generator, (0.0, 1.0))
    if draw < settings.resize_keep:
        return _resize(picture, height, width, _kernel(generator))
    smallest, largest = settings.resize_factor
    if draw < settings.resize_keep + settings.resize_up:
        factor = uniform(generator, (min(1.0, largest), largest))
    else:
        factor = uniform(generator, (smallest, max(1.0, smallest)))
    target = max(1, round(height * factor)), max(1, round(width * factor))
    kernel = _kernel(generator)
    # Many programs shrink without antialiasing; from far larger pictures that would leave nothing to learn from.
    antialias = picture.shape[1] > 2.5 * target[0] or chance(generator, 0.7)
    return _resize(picture, *target, kernel, antialias or kernel == "area")


# Blur


def _offsets(device: torch.device) -> Tensor:
    return torch.arange(BLUR_PX, device=device, dtype=torch.float32) - BLUR_PX // 2


def _gaussian_kernel(generator: Generator, settings: Round, device: torch.device) -> Tensor:
    """A Gaussian, generalised Gaussian or plateau, round or stretched and turned: (BLUR_PX, BLUR_PX), sum 1."""
    long = uniform(generator, settings.sigma_px)
    wide = long if chance(generator, 0.6) else uniform(generator, settings.sigma_px)
    turn = uniform(generator, (0.0, math.pi))
    y, x = _offsets(device)[:, None], _offsets(device)[None]
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    # Below 0.1 px a kernel is one point; the floor keeps 0 / 0 away.
    distance = (u / max(long, 0.1)) ** 2 + (v / max(wide, 0.1)) ** 2
    shape = uniform(generator, (0.0, 1.0))
    weights: Tensor
    if shape < 0.7:
        weights = torch.exp(-0.5 * distance)
    elif shape < 0.85:
        weights = torch.exp(-0.5 * distance ** uniform(generator, (0.5, 4.0)))
    else:
        weights = 1 / (1 + distance ** uniform(generator, (1.0, 2.0)))
    return weights / weights.sum()


def _sinc_kernel(generator: Generator, device: torch.device) -> Tensor:
    """A round low-pass filter, which rings as over-sharpened pictures do: (BLUR_PX, BLUR_PX), sum 1."""
    cutoff = uniform(generator, (math.pi / 2, math.pi))  # radians per px
    y, x = _offsets(device)[:, None], _offsets(device)[None]
    radius = torch.hypot(y, x)
    weights: Tensor = cutoff * torch.special.bessel_j1(cutoff * radius) / (2 * math.pi * radius)
    weights[BLUR_PX // 2, BLUR_PX // 2] = cutoff**2 / (4 * math.pi)  # the limit at radius 0
    return weights / weights.sum()


def _blur(picture: Tensor, kernel: Tensor) -> Tensor:
    """Convolve (3, H, W) with a point-symmetric kernel, edges repeated; the result may leave [0, 1] a little."""
    margin = BLUR_PX // 2
    _, height, width = picture.shape
    padded = F.pad(picture[None], (margin,) * 4, mode="replicate")[0]
    # By FFT: at 21x21 it took 1.0 ms for 3x192x192 on one core, a grouped convolution 4.3 ms.
    size = tuple(math.ceil(side / 8) * 8 for side in padded.shape[1:])
    product = torch.fft.rfft2(padded, s=size) * torch.fft.rfft2(kernel, s=size)
    blurred: Tensor = torch.fft.irfft2(product, s=size)
    return blurred[:, 2 * margin : 2 * margin + height, 2 * margin : 2 * margin + width]


def _blur_at_random(picture: Tensor, generator: Generator, settings: Round) -> Tensor:
    if not chance(generator, settings.blur):
        return picture
    if chance(generator, settings.sinc):
        kernel = _sinc_kernel(generator, picture.device)
    else:
        kernel = _gaussian_kernel(generator, settings, picture.device)
    return _blur(picture, kernel).clamp(0, 1)


# Noise


def _noise_at_random(picture: Tensor, generator: Generator, settings: Round) -> Tensor:
    if not chance(generator, settings.noise):
        return picture
    is_grey = chance(generator, settings.grey)
    noise = normal(generator, (1 if is_grey else 3, *picture.shape[1:]), picture.device)
    if chance(generator, settings.poisson):
        # At 255 photons for white a Poisson count is near enough normal, and this draws it twelve times faster.
        light = _luma(picture) if is_grey else picture
        noise = noise * (light / 255).sqrt() * uniform(generator, settings.poisson_scale)
    else:
        noise = noise * (uniform(generator, settings.noise_levels) / 255)
    return (picture + noise).clamp(0, 1)


def _luma(picture: Tensor) -> Tensor:
    """(3, H, W) -> (1, H, W), BT.601."""
    return torch.einsum("c,chw->hw", torch.tensor(LUMA, device=picture.device), picture)[None]


# Compression


def _compress_at_random(picture: Tensor, generator: Generator, settings: Round) -> Tensor:
    if not chance(generator, settings.compression):
        return picture
    quality = round(uniform(generator, settings.quality))
    if chance(generator, settings.webp):
        return webp(picture, quality)
    return jpeg(picture, quality, chroma_half=chance(generator, settings.chroma_half))


# The tables of ITU-T T.81, annex K, which libjpeg scales by quality.
_LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99), (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)  # fmt: skip


def jpeg(picture: Tensor, quality: int, *, chroma_half: bool = True) -> Tensor:
    """Pass a picture through JPEG at libjpeg's `quality`, without the bytes.

    picture: (3, H, W) in [0, 1]. quality: 1 to 100. chroma_half: 4:2:0, else 4:4:4. Returns the same shape, quantised
    to 8 bits.
    """
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    tables = [
        ((torch.tensor(table, device=picture.device) * percent + 50) // 100).clamp(1, 255).float()
        for table in (_LUMA_TABLE, _CHROMA_TABLE)
    ]
    luma, chroma, crop = _to_planes(picture, 16 if chroma_half else 8, chroma_half)
    return _from_planes(_transcode(luma, tables[0]), _transcode(chroma, tables[1]), *crop)


def webp(picture: Tensor, quality: int) -> Tensor:
    """Pass a picture through something like lossy WebP: 4x4 transform, 4:2:0 chroma, smoothed block borders.

    Approximate: VP8 also predicts blocks from their neighbours, which costs bits, not looks. picture: (3, H, W) in
    [0, 1]. quality: 1 to 100. Returns the same shape, quantised to 8 bits.
    """
    # libwebp's way from quality to an index of 0 to 127, and a curve near VP8's table of steps. VP8's transform is
    # twice an orthonormal one; a quarter is put on top because the encoder also drops what costs too many bits.
    share = quality / 100
    index = 127 * (1 - (share * 2 / 3 if share < 0.75 else 2 * share - 1) ** (1 / 3))
    step = (4 + index + 0.0285 * max(0.0, index - 54) ** 2) * 0.625
    table = torch.full((4, 4), step, device=picture.device)
    table[0, 0] = 0.75 * step
    luma, chroma, crop = _to_planes(picture, 8, chroma_half=True)
    luma, chroma = (_deblock(_transcode(planes, table), step) for planes in (luma, chroma))
    return _from_planes(luma, chroma, *crop)


def _to_planes(picture: Tensor, multiple: int, chroma_half: bool) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """(3, H, W) -> luma (1, H', W') and chroma (2, H'', W'') in levels around 0, padded; and (H, W)."""
    _, height, width = picture.shape
    levels = (picture * 255).round()
    luma = _luma(levels)
    # BT.601 at full range, as JFIF: each chroma is the difference to luma, scaled to [-128, 128].
    chroma = torch.cat([(levels[2:] - luma) / 1.772, (levels[:1] - luma) / 1.402]).round()
    planes = torch.cat([luma.round() - 128, chroma])
    planes = F.pad(planes[None], (0, -width % multiple, 0, -height % multiple), mode="replicate")[0]
    luma, chroma = planes[:1], planes[1:]
    return luma, F.avg_pool2d(chroma, 2) if chroma_half else chroma, (height, width)


def _from_planes(luma: Tensor, chroma: Tensor, height: int, width: int) -> Tensor:
    luma, chroma = (planes.round().clamp(-128, 127) for planes in (luma, chroma))
    if chroma.shape[1:] != luma.shape[1:]:
        # Weights 3/4 and 1/4, libjpeg's "fancy" upsampling.
        chroma = F.interpolate(chroma[None], scale_factor=2, mode="bilinear", align_corners=False)[0].round()
    blue, red = luma + 1.772 * chroma[:1], luma + 1.402 * chroma[1:]
    green = (luma + 128 - LUMA[0] * (red + 128) - LUMA[2] * (blue + 128)) / LUMA[1] - 128
    picture = torch.cat([red, green, blue])[:, :height, :width] + 128
    return picture.round().clamp(0, 255) / 255


def _transcode(planes: Tensor, table: Tensor) -> Tensor:
    """Quantise the cosine transform of each block: planes (C, H, W) in levels around 0, table (n, n) of steps."""
    side = len(table)
    both = _block_cosines(side, planes.device)
    blocks = F.pixel_unshuffle(planes[:, None], side)  # (C, n*n, H/n, W/n)
    steps = table.reshape(-1, 1)
    coefficients = (both @ blocks.flatten(2) / steps).round() * steps
    return F.pixel_shuffle((both.T @ coefficients).view_as(blocks), side)[:, 0]


@lru_cache
def _block_cosines(side: int, device: torch.device) -> Tensor:
    """The cosine transform of a block as one matrix (n*n, n*n), orthonormal."""
    frequency = torch.arange(side, device=device, dtype=torch.float32)[:, None]
    basis = torch.cos(math.pi / side * frequency * (torch.arange(side, device=device) + 0.5)[None])
    basis = basis * torch.where(frequency == 0, 1.0, math.sqrt(2)) / math.sqrt(side)
    return torch.kron(basis, basis)


def _deblock(planes: Tensor, limit: float) -> Tensor:
    """Soften the borders of 4x4 blocks where the two sides differ by less than `limit` levels."""
    for _ in range(2):
        planes = planes.transpose(1, 2).clone()
        left, right = planes[:, 3:-1:4], planes[:, 4::4]
        gap = right - left
        move = torch.where(gap.abs() < limit, gap / 4, 0.0)
        left += move
        right -= move
    return planes
