"""The degradation model: its laws, and its likeness to the real programs it imitates."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel, ValidationError
from torch import Tensor

from upbrush.damage import Damage, damage
from upbrush.degrade import Degradation, Kernel, Round, _resize_matrix, bicubic, degrade, jpeg, webp
from upbrush.errors import ConfigError

DAMAGES = ("halftone", "grain", "fading", "stains", "cracks", "creases", "scratches", "dust")
NO_DAMAGE = Damage(**dict.fromkeys(DAMAGES, 0.0))
QUIET = Round(blur=0, resize_up=0, resize_keep=1, noise=0, compression=0)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn_picture(height: int, width: int) -> Tensor:
    """(3, H, W) on the 8-bit grid: gradients, a disc, stripes and a little texture, as a photograph has."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    disc = ((x - 0.4) ** 2 + (y - 0.5) ** 2 < 0.06).float()
    stripes = 0.5 + 0.5 * torch.sin(40 * x + 15 * y)
    picture = torch.stack([0.2 + 0.6 * x, 0.7 - 0.4 * y + 0.2 * disc, 0.3 + 0.3 * stripes * (x > 0.5)])
    picture = picture + 0.25 * disc + 0.03 * torch.randn(3, height, width, generator=seeded(1))
    return (picture.clamp(0, 1) * 255).round() / 255


def pixels(picture: Tensor) -> np.ndarray:
    return (picture * 255).round().byte().permute(1, 2, 0).numpy()


def psnr(a: Tensor, b: Tensor) -> float:
    return -10 * math.log10(float((a - b).square().mean()))


def saved(picture: Tensor, **how: object) -> Tensor:
    """What Pillow reads back of a picture it saved."""
    file = io.BytesIO()
    Image.fromarray(pixels(picture)).save(file, **how)  # type: ignore[arg-type]
    read = np.array(Image.open(file).convert("RGB"))
    return torch.from_numpy(read).permute(2, 0, 1).float() / 255


# The low picture


@pytest.mark.parametrize(("height", "width", "scale"), [(64, 96, 4), (4, 4, 4), (8, 60, 4), (30, 42, 2), (33, 21, 3)])
def test_low_pictures_have_exact_size_range_and_type(height: int, width: int, scale: int) -> None:
    high = torch.rand(12, 3, height, width, generator=seeded(0))
    settings = Degradation(damage=Damage(**dict.fromkeys(DAMAGES, 0.5)))
    low = degrade(high, seeded(1), scale=scale, settings=settings)
    assert low.shape == (12, 3, height // scale, width // scale)
    assert low.dtype == torch.float32
    assert bool(torch.isfinite(low).all())
    assert 0 <= float(low.min()) <= float(low.max()) <= 1
    assert torch.equal((low * 255).round() / 255, low)  # as a file holds it


def test_the_same_seed_gives_the_same_low_pictures() -> None:
    high = drawn_picture(64, 64).expand(6, -1, -1, -1)
    assert torch.equal(degrade(high, seeded(3)), degrade(high, seeded(3)))
    assert not torch.equal(degrade(high, seeded(3)), degrade(high, seeded(4)))
    generator = seeded(3)
    assert not torch.equal(degrade(high, generator), degrade(high, generator))  # the generator moves on


def test_a_sample_does_not_depend_on_the_others() -> None:
    high = torch.stack([drawn_picture(64, 64), torch.rand(3, 64, 64, generator=seeded(0))])
    other = torch.stack([torch.zeros(3, 64, 64), high[1]])
    assert torch.equal(degrade(high, seeded(5))[1], degrade(other, seeded(5))[1])


def test_samples_of_a_batch_differ_much() -> None:
    high = drawn_picture(96, 96)
    low = degrade(high.expand(40, -1, -1, -1), seeded(0))
    clean = bicubic(high)
    errors = torch.tensor([psnr(sample, clean) for sample in low])
    assert len({sample.numpy().tobytes() for sample in low}) == 40
    assert float(errors.std()) > 1  # dB; by seed 1.1 to 1.6 (1.1 to 3.0 by the settings until version 1.19)
    assert float(errors.max()) < 60


def test_the_high_picture_is_not_changed() -> None:
    high = drawn_picture(64, 64).repeat(8, 1, 1, 1)
    before = high.clone()
    degrade(high, seeded(0), settings=Degradation(damage=Damage(**dict.fromkeys(DAMAGES, 1.0))))
    bicubic(high)
    damage(high[0], seeded(0), Damage(**dict.fromkeys(DAMAGES, 1.0)))
    jpeg(high[0], 50)
    webp(high[0], 50)
    assert torch.equal(high, before)


def test_no_gradient_is_kept_and_autocast_changes_nothing() -> None:
    high = drawn_picture(64, 64)[None].requires_grad_()
    low = degrade(high, seeded(2))
    assert not low.requires_grad
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(degrade(high, seeded(2)), low)
        assert bicubic(high).dtype == torch.float32


def test_an_empty_batch_stays_empty() -> None:
    assert degrade(torch.zeros(0, 3, 8, 8), seeded(0)).shape == (0, 3, 2, 2)


@pytest.mark.parametrize("kernel", ["area", "bilinear", "bicubic"])
@pytest.mark.parametrize(("source", "target"), [(62, 64), (64, 64), (66, 64), (83, 64), (96, 64), (200, 64), (256, 64)])
def test_a_resize_moves_nothing(kernel: Kernel, source: int, target: int) -> None:
    """A slope is the slope again: what stands at a place stands there in every size, to an eighth of a source pixel.

    Where a whole source pixel or none was taken by area, places were up to half a pixel off: a network that cannot
    know by how much learns blurred outlines.
    """
    weights = _resize_matrix(source, target, kernel, antialias=True, device=torch.device("cpu"))
    found = weights @ (torch.arange(source) + 0.5)
    wanted = (torch.arange(target) + 0.5) * source / target
    inside = slice(2, -2)  # a kernel that reaches beyond the borders leans inwards
    assert float((found - wanted)[inside].abs().max()) < 0.13


def test_with_everything_off_only_a_resize_is_left() -> None:
    settings = Degradation(damage=NO_DAMAGE, first=QUIET, second=QUIET, last_sinc=0)
    high = drawn_picture(64, 96)
    image = Image.fromarray(pixels(high))
    shrunk = [
        torch.from_numpy(np.array(image.resize((24, 16), kernel))).permute(2, 0, 1).float() / 255
        for kernel in (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    ]
    chosen = set()
    for low in degrade(high.expand(20, -1, -1, -1), seeded(0), settings=settings):
        apart = [float((low - expected).abs().max()) for expected in shrunk]
        assert min(apart) < 1.5 / 255
        chosen.add(apart.index(min(apart)))
    assert chosen == {0, 1, 2}


@pytest.mark.parametrize(
    "part",
    [
        {"blur": 1.0},
        {"blur": 1.0, "sinc": 1.0},
        {"resize_keep": 0.0},
        {"noise": 1.0, "poisson": 0.0},
        {"noise": 1.0, "poisson": 1.0},
        {"compression": 1.0, "webp": 0.0},
        {"compression": 1.0, "webp": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("which", ["first", "second"])
def test_each_step_alone_changes_the_picture_but_not_its_mean_colour(which: str, part: dict[str, float]) -> None:
    rounds = {"first": QUIET, "second": QUIET, which: QUIET.model_copy(update=part)}
    high = drawn_picture(96, 96).expand(6, -1, -1, -1)
    quiet = degrade(high, seeded(8), settings=Degradation(damage=NO_DAMAGE, first=QUIET, second=QUIET, last_sinc=0))
    low = degrade(high, seeded(8), settings=Degradation(damage=NO_DAMAGE, last_sinc=0, **rounds))
    assert all(not torch.equal(a, b) for a, b in zip(low, quiet, strict=True))
    assert float((low.mean((2, 3)) - quiet.mean((2, 3))).abs().max()) < 0.02


@pytest.mark.parametrize("last", [0.0, 1.0])
def test_pictures_compressed_last_are_fresh_from_jpeg(last: float) -> None:
    """JPEG again, at the same quality, changes next to nothing of them, and much of those that were shrunk since."""
    squeezed = QUIET.model_copy(update={"compression": 1.0, "webp": 0.0, "chroma_half": 0.0, "quality": (60.0, 60.0)})
    rounds = {"first": QUIET, "second": squeezed.model_copy(update={"resize_keep": 0.0, "resize_up": 1.0})}
    settings = Degradation(damage=NO_DAMAGE, last_sinc=0, compressed_last=last, **rounds)
    lows = degrade(drawn_picture(192, 192).expand(4, -1, -1, -1), seeded(3), settings=settings)
    apart = [float((jpeg(low, 60, chroma_half=False) - low).abs().mean()) * 255 for low in lows]
    assert max(apart) < 0.3 if last else min(apart) > 0.6, apart


def test_noise_of_a_second_round_that_keeps_to_the_low_size_stays_what_it_is() -> None:
    """As strong as asked for and white: nothing shrinks it afterwards."""
    noisy = QUIET.model_copy(update={"noise": 1.0, "poisson": 0.0, "grey": 1.0, "noise_levels": (8.0, 8.0)})
    settings = Degradation(damage=NO_DAMAGE, first=QUIET, second=noisy, last_sinc=0)
    noise = 255 * (degrade(torch.full((2, 3, 256, 256), 0.5), seeded(0), settings=settings)[:, 0] - 0.5)
    assert 7.5 < float(noise.std()) < 8.5
    for apart in (noise[:, 1:] * noise[:, :-1], noise[:, :, 1:] * noise[:, :, :-1]):
        assert abs(float(apart.mean())) < 0.05 * 64


def test_grey_noise_is_the_same_in_every_channel() -> None:
    noisy = QUIET.model_copy(update={"noise": 1.0, "poisson": 0.0, "grey": 1.0, "noise_levels": (8.0, 8.0)})
    settings = Degradation(damage=NO_DAMAGE, first=QUIET, second=noisy, last_sinc=0)
    low = degrade(torch.full((3, 3, 64, 64), 0.5), seeded(0), settings=settings)
    assert float((low - low[:, :1]).abs().max()) == 0
    assert float(low.std()) > 1 / 255


@pytest.mark.parametrize(
    "high",
    [
        torch.zeros(3, 8, 8),
        torch.zeros(1, 1, 8, 8),
        torch.zeros(1, 3, 8, 10),
        torch.zeros(1, 3, 9, 8),
        torch.zeros(1, 3, 0, 8),
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
    ],
    ids=lambda high: f"{tuple(high.shape)}-{high.dtype}",
)
def test_other_shapes_and_types_are_refused_by_name(high: Tensor) -> None:
    with pytest.raises(ConfigError, match=r"Expected .*, found"):
        degrade(high, seeded(0))


def test_bicubic_refuses_sizes_that_do_not_divide() -> None:
    with pytest.raises(ConfigError, match="multiples of 4, found"):
        bicubic(torch.zeros(1, 3, 10, 8))


# Likeness to Pillow


@pytest.mark.parametrize("kind", ["drawn", "noise", "black and white"])
@pytest.mark.parametrize(("height", "width", "scale"), [(64, 96, 4), (4, 8, 4), (66, 42, 2), (63, 99, 3)])
def test_bicubic_is_pillows(kind: str, height: int, width: int, scale: int) -> None:
    high = drawn_picture(height, width) if kind == "drawn" else torch.rand(3, height, width, generator=seeded(0))
    high = high.round() if kind == "black and white" else (high * 255).round() / 255
    image = Image.fromarray(pixels(high)).resize((width // scale, height // scale), Image.Resampling.BICUBIC)
    expected = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    low = bicubic(high[None], scale)[0]
    # Half a level for Pillow's rounding at the end, and a little over half for its rounding between the passes.
    assert float((low - expected).abs().max()) < 1.25 / 255


def test_gradients_pass_through_bicubic() -> None:
    high = drawn_picture(16, 16)[None].requires_grad_()
    bicubic(high).sum().backward()
    assert high.grad is not None
    assert float(high.grad.sum()) == pytest.approx(3 * 16, rel=1e-4)


@pytest.mark.parametrize("chroma_half", [True, False])
@pytest.mark.parametrize("quality", [10, 30, 50, 75, 90, 95])
@pytest.mark.parametrize("size", [(96, 96), (41, 53)], ids=str)
def test_jpeg_is_pillows(quality: int, chroma_half: bool, size: tuple[int, int]) -> None:
    picture = drawn_picture(*size)
    expected = saved(picture, format="JPEG", quality=quality, subsampling=2 if chroma_half else 0)
    found = jpeg(picture, quality, chroma_half=chroma_half)
    assert abs(psnr(found, picture) - psnr(expected, picture)) < 0.2
    # Not only as bad, but bad in the same places: what is left is rounding.
    assert psnr(found, expected) > psnr(expected, picture) + 6
    assert psnr(found, expected) > 38


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 90, 95])
def test_webp_is_about_as_strong_as_pillows(quality: int) -> None:
    picture = drawn_picture(96, 96)
    expected = saved(picture, format="WEBP", quality=quality)
    assert abs(psnr(webp(picture, quality), picture) - psnr(expected, picture)) < 2.5


@pytest.mark.parametrize("codec", [jpeg, webp])
def test_less_quality_is_more_error(codec: object) -> None:
    picture = drawn_picture(96, 96)
    errors = [psnr(codec(picture, quality), picture) for quality in (10, 30, 50, 70, 90)]  # type: ignore[operator]
    assert errors == sorted(errors)


# Damage


@pytest.mark.parametrize("kind", DAMAGES)
def test_each_damage_alone_shows_and_keeps_the_mean_colour(kind: str) -> None:
    settings = NO_DAMAGE.model_copy(update={kind: 1.0})
    clean = drawn_picture(128, 96)
    for seed in range(8):
        damaged = damage(clean, seeded(seed), settings)
        assert damaged.shape == clean.shape
        assert 0 <= float(damaged.min()) <= float(damaged.max()) <= 1
        assert float((damaged - clean).square().mean().sqrt()) > 0.002
        assert float((damaged.mean((1, 2)) - clean.mean((1, 2))).abs().max()) < 0.13
        assert torch.equal(damage(clean, seeded(seed), settings), damaged)


@pytest.mark.parametrize("kind", ["cracks", "creases", "scratches", "dust"])
def test_marks_leave_most_of_the_picture_alone(kind: str) -> None:
    """What a network is to mend must be small: the clean surroundings tell it what was there."""
    settings = NO_DAMAGE.model_copy(update={kind: 1.0})
    clean = drawn_picture(192, 192)
    touched = [
        float(((damage(clean, seeded(seed), settings) - clean).abs().amax(0) > 0.1).float().mean()) for seed in range(8)
    ]
    assert max(touched) < 0.25
    assert max(touched) > 0.002


def test_no_damage_is_no_change() -> None:
    clean = drawn_picture(32, 32)
    assert torch.equal(damage(clean, seeded(0), NO_DAMAGE), clean)


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_fits_pictures_of_any_size(kind: str) -> None:
    settings = NO_DAMAGE.model_copy(update={kind: 1.0})
    for size in ((1, 1), (1, 40), (7, 3)):
        damaged = damage(torch.full((3, *size), 0.5), seeded(0), settings)
        assert damaged.shape == (3, *size)
        assert bool(torch.isfinite(damaged).all())


# Settings


def test_defaults_are_frozen_and_survive_a_round_trip() -> None:
    settings = Degradation()
    assert Degradation.model_validate(settings.model_dump()) == settings
    with pytest.raises(ValidationError):
        settings.last_sinc = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(
    "keys",
    [
        {"blurr": 1},
        {"last_sinc": 1.5},
        {"first": {"sigma_px": (2.0, 1.0)}},
        {"second": {"quality": (40.0, 101.0)}},
        {"first": {"quality": (0.0, 50.0)}},
        {"first": {"resize_factor": (0.0, 1.0)}},
        {"first": {"resize_up": 0.7, "resize_keep": 0.7}},
        {"damage": {"dust": -0.1}},
        {"damage": {"crack_cell_px": (0.0, 4.0)}},
        {"damage": {"halftone_period_px": (1.0, 4.0)}},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(keys: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Degradation.model_validate(keys)


@pytest.mark.parametrize("settings", [Degradation, Round, Damage])
def test_every_setting_says_what_it_means(settings: type[BaseModel]) -> None:
    assert all(field.description for field in settings.model_fields.values())
