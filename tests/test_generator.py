"""The laws of the generator, on tiny random networks and on the sizes that ship."""

import numpy as np
import pytest
import torch
from tiny_nets import tiny_config, tiny_generator

from upbrush.config import ModelConfig
from upbrush.nn.generator import OPPONENT, Generator, Renderer, colour_moments, colour_transfer, palette, thumbnails
from upbrush.views import thumbnail


@pytest.fixture
def generator():
    return tiny_generator()


def mods_of(generator, low, *, strength=1.0, fidelity=0.5, seed=1):
    torch.manual_seed(seed)
    code = torch.randn(len(low), generator.encoder.code_size)
    knobs = torch.tensor([[strength]] * len(low)), torch.tensor([[fidelity]] * len(low))
    return generator.modulator(thumbnails(low), code, *knobs)


@torch.no_grad()
@pytest.mark.parametrize("cut", [17, 24, 31])
def test_tiled_equals_whole(generator, cut):
    low = torch.rand(1, 3, 20, 48)
    mods = mods_of(generator, low)
    reach = generator.renderer.overlap_px
    whole = generator.renderer(low, mods)
    left = generator.renderer(low[..., : cut + reach], mods)[..., : 4 * cut]
    right = generator.renderer(low[..., cut - reach :], mods)[..., 4 * reach :]
    assert torch.allclose(torch.cat([left, right], 3), whole, atol=1e-5)


@torch.no_grad()
def test_overlap_is_no_larger_than_needed_by_much(generator):
    """A change `overlap_px + 1` away is not seen; one three pixels nearer is."""
    reach = generator.renderer.overlap_px
    low = torch.rand(1, 3, 8, 48)
    mods = mods_of(generator, low)
    before = generator.renderer(low, mods)

    def changed_at(column):
        other = low.clone()
        other[..., column] = 1 - other[..., column]
        return (generator.renderer(other, mods) - before)[..., :4].abs().max()

    assert changed_at(reach + 1) == 0
    assert changed_at(reach - 3) > 0


@torch.no_grad()
def test_flat_stays_flat(generator):
    """Whatever the filters, a flat picture gets no dot grid: that is what the means behind the shuffles are for."""
    low = torch.tensor([0.3, 0.6, 0.2]).view(1, 3, 1, 1).expand(1, 3, 40, 40)
    high = generator.renderer(low, mods_of(generator, low))
    inner = high[..., 64:-64, 64:-64]
    assert inner.std((2, 3)).max() < 1e-5
    assert (high.mean((2, 3)) - low.mean((2, 3))).abs().max() > 0.01  # and it is no constant picture by accident


@torch.no_grad()
def test_strength_is_a_line_between_restored_and_repainted(generator):
    low = torch.rand(1, 3, 16, 16)
    ends = [mods_of(generator, low, strength=s) for s in (0.0, 1.0)]
    assert torch.allclose(mods_of(generator, low, strength=0.25), 0.75 * ends[0] + 0.25 * ends[1], atol=1e-6)


@torch.no_grad()
def test_strength_zero_forgets_the_style_and_one_does_not(generator):
    low = torch.rand(1, 3, 16, 16)
    assert torch.equal(mods_of(generator, low, strength=0.0, seed=1), mods_of(generator, low, strength=0.0, seed=2))
    assert not torch.allclose(mods_of(generator, low, strength=1.0, seed=1), mods_of(generator, low, seed=2), atol=1e-2)


@torch.no_grad()
def test_fidelity_enters_the_mods(generator):
    low = torch.rand(1, 3, 16, 16)
    assert not torch.equal(mods_of(generator, low, fidelity=0.0), mods_of(generator, low, fidelity=1.0))


@torch.no_grad()
def test_an_untrained_renderer_enlarges_bilinearly():
    """The residual starts near nothing, so training begins from a picture, not from noise."""
    renderer = Renderer(ModelConfig())
    low = torch.rand(1, 3, 12, 15)
    high = renderer(low, torch.zeros(1, renderer.mods))
    expected = torch.nn.functional.interpolate(low, scale_factor=4, mode="bilinear", align_corners=False)
    assert (high - expected).abs().max() < 0.05


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 3), (33, 32)])
@torch.no_grad()
def test_any_size(generator, size):
    low = torch.rand(2, 3, *size)
    assert generator.renderer(low, mods_of(generator, low)).shape == (2, 3, 4 * size[0], 4 * size[1])


@pytest.mark.parametrize("size", [(48, 48), (20, 75), (3, 1)])
def test_thumbnail_is_the_same_in_torch_and_numpy(size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    low = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    assert np.abs(thumbnails(low)[0].numpy() - thumbnail(pixels)).max() < 1e-5


def test_colour_moments_are_those_of_numpy():
    x = torch.rand(2, 3, 9, 11)
    mean, deviation, correlation = colour_moments(x).split(3, 1)
    flat = x[1].flatten(1).numpy()
    assert np.allclose(mean[1], flat.mean(1) * 2 - 1, atol=1e-5)
    assert np.allclose(deviation[1] / 4, flat.std(1), atol=1e-3)
    assert np.allclose(correlation[1], np.corrcoef(flat)[[0, 0, 1], [1, 2, 2]], atol=1e-2)


def test_a_palette_is_the_mean_and_the_cholesky_factor_of_the_covariance():
    x = torch.rand(1, 3, 32, 32)
    x[:, 2] = 0.7 * x[:, 0] + 0.3 * x[:, 2]
    mean, spread, slopes = palette(x)[0].split(3)
    opponent = OPPONENT @ (x[0].flatten(1) - 0.5)
    factor = torch.linalg.cholesky(torch.cov(opponent, correction=0) + 1e-5 * torch.eye(3))
    assert torch.allclose(mean, opponent.mean(1), atol=1e-5)
    assert torch.allclose(spread, factor.diagonal(), atol=1e-4)
    assert torch.allclose(slopes, factor[[1, 2, 2], [0, 0, 1]], atol=1e-4)


def test_colour_transfer_gives_the_palette_asked_for():
    """Put through the matrix and offset as the Renderer does: the other's means and spreads, half its correlations."""
    torch.manual_seed(3)
    picture, other = (0.5 + scale * (torch.rand(1, 3, 32, 32) - 0.5) for scale in (0.3, 0.4))
    other[:, 2] = 0.5 - 0.5 * (other[:, 0] - 0.5) + 0.5 * (other[:, 2] - 0.5)  # blue shadows, yellow lights
    wanted = palette(other)
    colour = colour_transfer(palette(picture), wanted)
    flat = picture.flatten(2)
    tinted = flat + colour[:, :9].view(-1, 3, 3) @ (flat - 0.5) + colour[:, 9:, None]
    before, after, aim = (torch.corrcoef(OPPONENT @ (x[0].flatten(1) - 0.5)) for x in (flat, tinted, other))
    assert (aim - before).abs().max() > 0.4, "its colours follow its lightness"
    assert (after - (before + aim) / 2).abs().max() < 0.05
    spreads = [(OPPONENT @ (x[0].flatten(1) - 0.5)).std(1) for x in (tinted, other)]
    assert (spreads[0] - spreads[1]).abs().max() < 0.02
    assert (palette(tinted.view_as(picture)) - wanted)[0, :3].abs().max() < 0.01


def test_a_grey_picture_is_not_blown_up_and_takes_colours_from_lightness():
    grey, colours = torch.rand(1, 1, 32, 32).expand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    colours[:, 2] = 1 - colours[:, 0]
    matrix = colour_transfer(palette(grey), palette(colours))[:, :9].view(3, 3) + torch.eye(3)
    assert torch.linalg.matrix_norm(matrix, 2) < 4
    tinted = matrix @ grey.flatten(2)
    assert tinted.std(1).max() > 0.05


def test_a_palette_of_its_own_changes_nothing():
    own = palette(torch.rand(2, 3, 32, 32))
    assert colour_transfer(own, own).abs().max() < 1e-6


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (9, 12)])
@torch.no_grad()
def test_a_flat_picture_stays_flat_to_its_borders(generator, size):
    """No layer knows how far away a border is, so nothing is drawn along it, whatever the weights."""
    for bias in [conv.bias for conv in generator.renderer.modules() if isinstance(conv, torch.nn.Conv2d)]:
        bias.normal_(std=0.3)
    low = torch.tensor([0.2, 0.7, 0.4])[None, :, None, None].expand(1, 3, *size).contiguous()
    mods = torch.randn(1, generator.renderer.mods) * 0.3
    high = generator.renderer(low, mods)
    assert (high.amax((2, 3)) - high.amin((2, 3))).max() < 1e-5
    assert (generator.renderer(torch.rand(1, 3, 9, 12), mods).std((2, 3)) > 1e-2).all()


@torch.no_grad()
def test_layers_that_resonate_stay_bounded(generator):
    """However large a gain between two layers is: what passes the rectifiers has an end, layer by layer."""
    renderer, low = generator.renderer, torch.rand(1, 3, 12, 12)
    mods = torch.zeros(1, renderer.mods)
    largest = []
    for gain in (1e3, 1e6):
        for first in [*renderer.body[0::2], renderer.up, *renderer.fine[0::2]]:
            first.weight.mul_(gain)
        largest.append(renderer(low, mods).abs().max())
    assert largest[1] < 1.1 * largest[0]


def test_a_batch_is_painted_picture_by_picture(generator):
    """Neighbours in a batch do not leak into one another; styles belong to the last pictures."""
    low, style = torch.rand(3, 3, 12, 12), torch.rand(2, 3, 32, 32)
    strength, fidelity = torch.tensor([0.0, 1.0, 1.0]), torch.tensor([1.0, 0.5, 0.2])
    with torch.no_grad():
        together = generator(low, style, strength, fidelity)
        first = generator(low[:1], style[:0], strength[:1], fidelity[:1])
        last = generator(low[2:], style[1:], strength[2:], fidelity[2:])
    assert torch.allclose(together[:1], first, atol=1e-3)
    assert torch.allclose(together[2:], last, atol=1e-3)


def test_gradients_reach_every_parameter(generator):
    low, style = torch.rand(2, 3, 12, 12), torch.rand(1, 3, 32, 32)
    generator(low, style, torch.tensor([0.0, 0.5]), torch.tensor([1.0, 0.5])).square().mean().backward()
    silent = [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


def test_the_small_model_keeps_its_budget():
    """Renderer ≤ 0.75 M parameters and ≤ 10 GMAC for 128×128 → 512×512."""
    generator = Generator(ModelConfig())
    assert sum(p.numel() for p in generator.renderer.parameters()) <= 750_000
    macs = 0

    def count(conv, inputs, output):
        nonlocal macs
        macs += output[0].numel() * conv.weight[0].numel()

    for module in generator.renderer.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        generator.renderer(torch.rand(1, 3, 128, 128), torch.zeros(1, generator.renderer.mods))
    assert macs <= 10e9


def test_sizes_come_from_the_settings():
    assert tiny_generator().renderer.mods == 2 * (8 * 3 + 16 + 4 + 4 + 12) + 12
    assert tiny_config().model.channels == 8
