"""The damage of old prints, films and paintings, drawn onto a clean high picture for training.

The network is asked to give the clean picture back, so every damage is kept to what it can mend within its receptive
field (about 30 low px): lines a few px wide, spots of a few px, and changes of tone mild enough that the restored
colours stay the user's. Lengths are in px of the high picture.
"""

import math
from typing import Annotated, Self

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from torch import Generator, Tensor


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= limits[0] <= limits[1]:
        raise ValueError(f"Expected (least, most) with 0 <= least <= most, found {limits}")
    return limits


Limits = Annotated[tuple[float, float], AfterValidator(_ordered)]
Probability = Annotated[float, Field(ge=0, le=1)]

LUMA = (0.299, 0.587, 0.114)  # BT.601


class Damage(BaseModel):
    """How often old prints, films and paintings are damaged, and how much. Every damage is drawn by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    halftone: Probability = Field(0.03, description="probability that the picture was printed with a dot screen")
    halftone_period_px: Limits = Field((5.0, 11.0), description="distance of dots, high px")
    grain: Probability = Field(0.08, description="probability of film grain")
    grain_levels: Limits = Field((4.0, 18.0), description="standard deviation of grain in mid tones, of 255")
    fading: Probability = Field(0.06, description="probability of lost contrast, lost saturation and yellowing")
    fading_share: Limits = Field((0.03, 0.25), description="share of saturation lost; of contrast, half of that")
    yellowing_share: Limits = Field((0.0, 0.12), description="share of blue lost where a picture fades")
    stains: Probability = Field(0.04, description="probability of blotches")
    stain_depth: Limits = Field((0.05, 0.25), description="share of light that the darkest stain takes")
    cracks: Probability = Field(0.04, description="probability of craquelure")
    crack_cell_px: Limits = Field((16.0, 48.0), description="size of the cells between cracks, high px")
    crack_width_px: Limits = Field((0.3, 1.2), description="half width of a crack, high px")
    creases: Probability = Field(0.03, description="probability of folds")
    crease_width_px: Limits = Field((3.0, 10.0), description="half width of a fold's shading, high px")
    scratches: Probability = Field(0.05, description="probability of scratches")
    scratch_width_px: Limits = Field((0.7, 3.0), description="half width of a scratch, high px")
    dust: Probability = Field(0.05, description="probability of dust and spots")
    dust_radius_px: Limits = Field((1.0, 6.0), description="radius of a spot, high px")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if min(self.halftone_period_px[0], self.crack_cell_px[0]) < 2:
            raise ValueError(
                "Expected halftone_period_px and crack_cell_px of at least 2 px, "
                f"found {self.halftone_period_px} and {self.crack_cell_px}"
            )
        if self.crease_width_px[0] < 0.5:
            raise ValueError(f"Expected crease_width_px of at least 0.5 px, found {self.crease_width_px}")
        if max(self.fading_share[1], self.yellowing_share[1], self.stain_depth[1]) > 1:
            raise ValueError("Expected fading_share, yellowing_share and stain_depth of at most 1")
        return self


def uniform(generator: Generator, limits: tuple[float, float]) -> float:
    """Draw a number evenly between two limits."""
    low, high = limits
    return low + (high - low) * float(torch.rand((), generator=generator, device=generator.device))


def chance(generator: Generator, probability: float) -> bool:
    """Draw whether something of this probability happens."""
    return uniform(generator, (0.0, 1.0)) < probability


def normal(generator: Generator, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Draw standard normal numbers on the generator's device and bring them to `device`."""
    return torch.randn(shape, generator=generator, device=generator.device).to(device)


def damage(high: Tensor, generator: Generator, settings: Damage) -> Tensor:
    """Damage one clean picture as age does; each kind with its own probability.

    high: (3, H, W) float32 in [0, 1]; not changed. Returns the same shape and range.
    """
    for probability, draw in (
        (settings.halftone, halftone),
        (settings.grain, grain),
        (settings.fading, fade),
        (settings.stains, stain),
        (settings.cracks, crack),
        (settings.creases, crease),
        (settings.scratches, scratch),
        (settings.dust, dust),
    ):
        if chance(generator, probability):
            high = draw(high, generator, settings).clamp(0, 1)
    return high


def _axes(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel coordinates: y (H, 1) and x (1, W) in px."""
    _, height, width = picture.shape
    y = torch.arange(height, device=picture.device, dtype=torch.float32)[:, None]
    x = torch.arange(width, device=picture.device, dtype=torch.float32)[None]
    return y, x


def _field(generator: Generator, picture: Tensor, cell_px: float) -> Tensor:
    """Smooth random field (H, W) of mean 0 and deviation about 0.7 whose waves are about `cell_px` long."""
    _, height, width = picture.shape
    shape = (1, 1, math.ceil(height / cell_px) + 1, math.ceil(width / cell_px) + 1)
    coarse = normal(generator, shape, picture.device)
    return F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)[0, 0]


def _warm(picture: Tensor, blue_lost: float) -> Tensor:
    """What ageing paper and varnish turn white to, (3, 1, 1): red stays, green loses a third of what blue loses."""
    return torch.tensor([1.0, 1 - blue_lost / 3, 1 - blue_lost], device=picture.device)[:, None, None]


def _mark(picture: Tensor, generator: Generator, mask: Tensor, light_share: float) -> Tensor:
    """Paint a mask (H, W) in [0, 1] with the near white of bare paper or the near black of dirt."""
    is_light = chance(generator, light_share)
    tone = uniform(generator, (0.75, 1.0) if is_light else (0.0, 0.3))
    return picture + mask * (tone * _warm(picture, uniform(generator, (0.0, 0.2))) - picture)


def halftone(picture: Tensor, generator: Generator, settings: Damage) -> Tensor:
    """Print with rotated dot screens, one angle for all inks or one for each, and mix with the continuous tone."""
    period = uniform(generator, settings.halftone_period_px)
    turn = uniform(generator, (0.0, math.pi / 2))
    # Angles 30 degrees apart, as printers take them, hide the moire of one ink against another.
    apart = math.pi / 6 if chance(generator, 0.6) else 0.0
    y, x = _axes(picture)
    angle = turn + apart * torch.arange(3, device=picture.device, dtype=torch.float32)[:, None, None]
    u = (x * angle.cos() + y * angle.sin()) * (2 * math.pi / period)
    v = (y * angle.cos() - x * angle.sin()) * (2 * math.pi / period)
    screen = 0.5 + 0.25 * (u.cos() + v.cos())
    dots = torch.sigmoid((picture - screen) * uniform(generator, (5.0, 16.0)))
    return torch.lerp(picture, dots, uniform(generator, (0.3, 0.8)))


def grain(picture: Tensor, generator: Generator, settings: Damage) -> Tensor:
    """Add film grain: noise with a size, strongest in the mid tones, grey or of every colour layer by itself."""
    size = uniform(generator, (1.5, 4.0))
    layers = 3 if chance(generator, 0.4) else 1
    noise = torch.stack([_field(generator, picture, size) for _ in range(layers)])
    light = torch.einsum("c,chw->hw", torch.tensor(LUMA, device=picture.device), picture)
    strength = uniform(generator, settings.grain_levels) / 255
    return picture + noise * strength * (0.3 + 2.8 * light * (1 - light))


def fade(picture: Tensor, generator: Generator, settings: Damage) -> Tensor:
    """Take away contrast and saturation, and yellow."""
    grey = torch.einsum("c,chw->hw", torch.tensor(LUMA, device=picture.device), picture)
    faded = torch.lerp(picture, grey.expand_as(picture), uniform(generator, settings.fading_share))
    middle = torch.full_like(faded, uniform(generator, (0.4, 0.6)))
    faded = torch.lerp(faded, middle, uniform(generator, settings.fading_share) / 2)
    return faded * _warm(picture, uniform(generator, settings.yellowing_share))


def stain(picture: Tensor, generator: Generator, settings: Damage) -> Tensor:
    """Darken warm blotches with soft edges."""
    wave = _field(generator, picture, uniform(generator, (24.0, 80.0)))
    edge = uniform(generator, (2.0, 12.0))
    mask = torch.sigmoid((wave - uniform(generator, (0.3, 0.9))) * edge)
    depth = uniform(generator, settings.stain_depth)
    return picture * (1 - mask * (1 - (1 - depth) * _warm(picture, uniform(generator, (0.0, 0.15)))))


def crack(picture: Tensor, generator: Generator, settings: Damage) -> Tensor:
    """Draw craquelure: the borders between the cells of scattered points, bent a little, of uneven width."""
    cell = uniform(generator, settings.crack_cell_px)
    _, height, width = picture.shape
    y, x = _axes(picture)
    bend = cell / 5
    y = (y + bend * _field(generator, picture, cell / 2)) / cell
    x = (x + bend * _field(generator, picture, cell / 2)) / cell
    rows, columns = math.ceil(height / cell) + 6, math.ceil(width / cell) + 6
    offset = torch.rand((2, rows, columns), generator=generator, device=generator.device).to(picture.device)
    # One point in each cell of a grid: the nearest two lie among the 3x3 cells around a pixel, or near enough.
    near = torch.arange(-1, 2, device=picture.device)
    row = (y.floor().long() + near.repeat_interleave(3)[:, None, None]).clamp(-3, rows - 4)  # (9, H, W)
    column = (x.floor().long() + near.repeat(3)[:, None, None]).clamp(-3, columns - 4)
    point_y = row + offset[0, row + 3, column + 3]
    point_x = column + offset[1, row + 3, column + 3]
    squared, which = ((y - point_y) ** 2 + (x - point_x) ** 2).topk(2, dim=0, largest=False)
    gap_y, gap_x = point_y.gather(0, which).diff(dim=0)[0], point_x.gather(0, which).diff(dim=0)[0]
    apart = torch.hypot(gap_y, gap_x).clamp(min=0.05)
    border = cell * (squared[1] - squared[0]) / (2 * apart)  # px to the line halfway between the two points
    half_width = uniform(generator, settings.crack_width_px) * (1 + 0.5 * _field(generator, picture, cell)).clamp(0, 2)
    mask = (half_width + 0.5 - border).clamp(0, 1) * uniform(generator, (0.3, 0.9))
    return _mark(picture, generator, mask, light_share=0.25)


def crease(picture: Tensor, generator: Generator, settings: Damage) -> Tensor:
    """Fold along one to three long lines: light on one side, shade on the other, rubbed paper between."""
    y, x = _axes(picture)
    _, height, width = picture.shape
    for _ in range(1 + int(uniform(generator, (0.0, 3.0)))):
        angle = uniform(generator, (0.0, math.pi))
        middle_y, middle_x = uniform(generator, (0.2, 0.8)) * height, uniform(generator, (0.2, 0.8)) * width
        across = (x - middle_x) * math.sin(angle) - (y - middle_y) * math.cos(angle)
        across = across + 2.5 * _field(generator, picture, 40.0)
        soft = uniform(generator, settings.crease_width_px)
        shade = across / soft * torch.exp(-0.5 * (across / soft) ** 2)
        picture = picture * (1 + uniform(generator, (0.1, 0.35)) * shade)
        rubbed = torch.exp(-0.5 * (across / uniform(generator, (0.6, 1.8))) ** 2)
        worn = torch.sigmoid(3 * _field(generator, picture, 12.0) + 1)
        picture = _mark(picture, generator, rubbed * worn * uniform(generator, (0.2, 0.8)), light_share=0.8)
    return picture


def scratch(picture: Tensor, generator: Generator, settings: Damage) -> Tensor:
    """Draw one to six thin, slightly broken lines, of two straight pieces each."""
    y, x = _axes(picture)
    _, height, width = picture.shape
    for _ in range(1 + int(uniform(generator, (0.0, 6.0)))):
        at_y, at_x = uniform(generator, (0.0, 1.0)) * height, uniform(generator, (0.0, 1.0)) * width
        heading = uniform(generator, (0.0, 2 * math.pi))
        half_width = uniform(generator, settings.scratch_width_px)
        nearest = torch.full((height, width), math.inf, device=picture.device)
        for _ in range(2):
            length = uniform(generator, (0.1, 0.6)) * max(height, width)
            step_y, step_x = math.sin(heading), math.cos(heading)
            along = ((y - at_y) * step_y + (x - at_x) * step_x).clamp(0, length)
            nearest = nearest.minimum(torch.hypot(y - at_y - along * step_y, x - at_x - along * step_x))
            at_y, at_x = at_y + length * step_y, at_x + length * step_x
            heading += uniform(generator, (-0.5, 0.5))
        broken = torch.sigmoid(4 * _field(generator, picture, 10.0) + 3)
        mask = (half_width + 0.5 - nearest).clamp(0, 1) * broken * uniform(generator, (0.4, 1.0))
        picture = _mark(picture, generator, mask, light_share=0.65)
    return picture


def dust(picture: Tensor, generator: Generator, settings: Damage) -> Tensor:
    """Scatter spots of uneven outline: about one for every 3000 px."""
    y, x = _axes(picture)
    _, height, width = picture.shape
    count = min(40, 1 + int(uniform(generator, (0.3, 1.5)) * height * width / 3000))
    draws = torch.rand((4, count), generator=generator, device=generator.device).to(picture.device)
    spot_y, spot_x = draws[0] * height, draws[1] * width
    least, most = settings.dust_radius_px
    radius = least + (most - least) * draws[2] ** 3  # most dust is small
    squeeze = 0.5 + draws[3]
    # (count, H, 1) and (count, 1, W), so that only their sum is a whole picture.
    away = (y[None] - spot_y[:, None, None]).square() * squeeze[:, None, None]
    away = away + (x[None] - spot_x[:, None, None]).square() / squeeze[:, None, None]
    inside = (radius[:, None, None] + 0.5 - away.sqrt()).amax(0)
    mask = (inside + 0.7 * _field(generator, picture, 3.0)).clamp(0, 1) * uniform(generator, (0.5, 1.0))
    return _mark(picture, generator, mask, light_share=0.6)
