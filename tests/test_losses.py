"""Each loss against what its formula says of cases that can be worked out by hand."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import torch
from tiny_nets import tiny_config

from upbrush import losses
from upbrush.dataset import Batch
from upbrush.errors import ConfigError


def random_features(seed, batch=2):
    torch.manual_seed(seed)
    return [torch.rand(batch, c, s, s) for c, s in ((4, 16), (8, 8), (16, 4), (32, 2))]


class FakeFeatures:
    """Four layers by average pooling: as deep as VGG's, and differentiable."""

    def __call__(self, x, deepest=4):
        return [torch.nn.functional.avg_pool2d(x, 2**k) + k for k in range(deepest)]


def batch(count, repaint, strength=1.0, fidelity=0.5):
    torch.manual_seed(5)
    strengths = torch.zeros(count)
    if repaint:
        strengths[-repaint:] = strength
    fidelities = torch.ones(count)
    fidelities[1:] = fidelity
    high, style = torch.rand(count, 3, 32, 32), torch.rand(repaint, 3, 32, 32)
    return Batch(high, torch.rand(count, 3, 8, 8), style, strengths, fidelities, torch.zeros(count, 2, 3))


def test_every_loss_is_zero_for_equal_pictures():
    x, f = torch.rand(2, 3, 16, 16), random_features(0)
    assert losses.pixel_error(x, x).max() == 0
    assert losses.out_of_range(x).max() == 0
    assert losses.vgg_distance(f, f).max() < 1e-6
    assert losses.style_error(losses.moments(f), losses.moments(f)).max() == 0
    assert losses.content_error(f[3], f[3]).max() == 0


def test_pixel_error_and_range_by_hand():
    x = torch.full((1, 3, 4, 4), 0.5)
    assert losses.pixel_error(x + 0.25, x).item() == pytest.approx(0.25)
    assert losses.out_of_range(torch.full((1, 3, 4, 4), 1.5)).item() == pytest.approx(0.5)
    assert losses.out_of_range(torch.full((1, 3, 4, 4), -0.5)).item() == pytest.approx(0.5)


def test_psnr_hears_the_share_of_an_error_and_not_its_size():
    torch.manual_seed(0)
    truth, noise = torch.rand(1, 3, 16, 16), torch.randn(1, 3, 16, 16)
    lost = [losses.psnr_error(truth + size * noise, truth).item() for size in (0.02, 0.04, 0.2, 0.4)]
    assert lost[1] - lost[0] == pytest.approx(6.02, abs=0.1)  # twice the error, 6 dB
    assert lost[3] - lost[2] == pytest.approx(6.02, abs=0.01)
    mean_squared = (0.2 * noise).square().mean().item()
    assert lost[2] == pytest.approx(10 * np.log10(mean_squared), abs=0.01)
    assert losses.psnr_error(truth, truth).item() == pytest.approx(-50)


def test_texture_counts_where_it_is_not_only_how_much_of_it():
    generator = torch.Generator().manual_seed(0)
    noise = 0.2 * (torch.rand(1, 3, 64, 64, generator=generator) - 0.5)
    half = 0.5 + noise * (torch.arange(64) < 32)
    assert losses.texture_error(half, half.flip(3)).item() < 1e-5  # elsewhere, as unevenly
    assert losses.texture_error(half + 0.2, half).item() < 1e-4  # nor does lightness count
    everywhere = losses.texture_error(0.5 + noise * 0.5**0.5, half).item()  # the same energy in all
    assert everywhere > 1
    large = torch.cat([half, half.flip(3)], 3).repeat(1, 1, 2, 1)
    assert losses.texture_error(half, large).item() < 0.1  # pictures of other sizes are compared


def test_ghosts_are_texture_where_the_truth_is_smooth():
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, 64, 64, generator=generator) - 0.5
    right = torch.arange(64) >= 32
    rough = 0.5 + 0.4 * noise * ~right  # as hair, beside a plain ground
    assert losses.ghost_error(rough + 0.1, rough).item() < 1e-4  # a plain place may change its tone
    assert losses.ghost_error(rough + noise * ~right, rough).item() < 2e-3  # and texture grow where there is some
    assert losses.ghost_error(rough.flip(3), rough).item() > 0.01
    cracks = 0.4 * noise.flip(2) * right
    skin = 0.5 + (0.4 * ~right + 0.06 * right) * noise  # smooth, not plain
    assert losses.ghost_error(skin, skin).item() == 0  # its own texture may stay, or go
    assert losses.ghost_error(rough, skin).item() < 1e-4
    on_ground, on_skin = (losses.ghost_error(x + cracks, x).item() for x in (rough, skin))
    assert 0.4 * on_ground < on_skin < on_ground


def test_halos_are_plain_places_of_one_colour_painted_in_several():
    columns = torch.arange(64.0).expand(1, 3, 64, 64)
    outline = torch.where((columns >= 24) & (columns < 32), 0.1, 0.8)  # a dark post before a plain wall
    seam = 0.3 * torch.exp(-(((columns - 40) / 12) ** 2)) * torch.tensor([0.0, 1.0, 0.0]).view(3, 1, 1)
    assert losses.halo_error(outline + seam, outline).item() > 0.004
    assert losses.halo_error((outline + seam).mT, outline.mT).item() > 0.004
    assert losses.halo_error(1 - 0.5 * outline, outline).item() < 1e-6  # all of a wall may change its colour
    slope = 0.3 + 0.1 * columns / 64
    assert losses.halo_error(0.2 + 2.5 * (slope - 0.3), slope).item() < 1e-6  # and a shade be a stronger one
    assert losses.halo_error(slope.flip(3), slope).item() < 1e-6
    rough = 0.1 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert losses.halo_error(rough + seam, rough).item() == 0  # of what has texture the other losses tell


@pytest.mark.parametrize("frequency", [0.42, 0.16])  # replicas of the grid, and cracks of six pixels
def test_a_weave_is_detail_along_the_axes_that_nature_has_not(frequency):
    torch.manual_seed(0)
    natural = (0.5 + 0.02 * torch.randn(1, 3, 96, 96)).clamp(0, 1)
    columns = torch.arange(96.0)
    sign = torch.nn.functional.interpolate(torch.randn(1, 1, 12, 12), (96, 96), mode="bilinear")  # as replicas have it
    woven = natural + 0.06 * sign * torch.cos(2 * torch.pi * frequency * columns)
    other = (0.5 + 0.02 * torch.randn(1, 3, 96, 96)).clamp(0, 1)
    assert losses.weave_error(natural, natural) == 0
    assert losses.weave_error(woven, natural) > 1.5 * losses.weave_error(other, natural)
    assert losses.weave_error(0.9 * woven + 0.05, woven) < 0.02, "what the truth has is free"
    assert losses.weave_error(0.5 * natural + 0.25, natural) < 0.02, "how much detail there is does not count"
    assert losses.grid_deviation(woven) < 0.002, "the grid's own measure is blind to it"


def test_structure_forgives_tones_and_not_shapes():
    torch.manual_seed(0)
    x = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8), scale_factor=8, mode="bilinear")
    assert losses.structure_error(0.4 * x + 0.3, x).item() < 1e-3
    assert losses.structure_error(x + 0.1 * torch.rand(1, 3, 64, 64), x).item() < 0.05  # strokes are finer than that
    assert losses.structure_error(x.flip(3), x).item() > 0.5
    assert losses.structure_error(1 - x, x).item() > 1.9


def test_grid_deviation_sees_a_grid_and_nothing_else():
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    torch.manual_seed(0)
    noise = ramp + 0.05 * torch.randn(1, 3, 64, 64)
    dots = torch.zeros(1, 3, 64, 64)
    dots[..., ::4, ::4] = 1
    assert losses.grid_deviation(ramp).item() < 1e-4
    quiet = losses.grid_deviation(noise).item()
    assert quiet < 0.004  # .05 / √3 / √(15 · 15) by chance
    assert losses.grid_deviation(noise + 0.05 * dots).item() > 2 * quiet
    stripes = losses.grid_deviation(ramp + 0.02 * (torch.arange(64) % 2)).item()
    assert stripes == pytest.approx(0.01, rel=0.05)


def test_vgg_distance_is_that_of_unit_vectors():
    a, b = random_features(1), random_features(2)
    expected = []
    for x, y in zip(a, b, strict=True):
        u, v = (t / t.norm(dim=1, keepdim=True) for t in (x, y))
        expected.append((u - v).square().sum(1).mean((1, 2)))
    assert torch.allclose(losses.vgg_distance(a, b), torch.stack(expected).mean(0), atol=1e-5)


def test_style_error_does_not_see_where_things_are():
    """Shuffled positions have the same style, and another content."""
    a = random_features(3)
    order = torch.randperm(4)
    b = [x.clone() for x in a]
    b[3] = b[3].flatten(2)[..., order].view_as(b[3])
    assert losses.style_error(losses.moments(a), losses.moments(b)).max() < 1e-6
    assert losses.content_error(b[3], a[3]).min() > 0.01


def test_moments_are_those_of_numpy():
    x = torch.rand(2, 5, 7, 7)
    mean, deviation = losses.moments([x])[0]
    assert np.allclose(mean, x.numpy().mean((2, 3)), atol=1e-6)
    assert np.allclose(deviation, x.numpy().std((2, 3)), atol=1e-4)


def test_content_error_is_relative():
    x = random_features(4)[3]
    assert torch.allclose(losses.content_error(1.5 * x, x), torch.tensor([0.25, 0.25]), atol=1e-5)


def test_objective_names_its_terms_and_weighs_them():
    config = tiny_config().loss
    output = torch.rand(4, 3, 32, 32).requires_grad_()
    loss, terms = losses.objective(output, batch(4, 1), FakeFeatures(), config)
    both = {"pixel", "psnr", "range", "grid", "weave"}
    assert set(terms) == both | {"perceptual", "content", "structure", "texture", "ghost", "halo", "style"}
    assert loss.item() == pytest.approx(sum(getattr(config, k) * v.item() for k, v in terms.items()), rel=1e-5)
    loss.backward()
    assert (output.grad.flatten(1).abs().sum(1) > 0).all()  # each picture is judged by something


def test_a_ghost_is_heard_below_fidelity_1_and_in_repaints():
    pictures, ghosts = batch(3, 1, fidelity=0.5), []
    pictures.high[:] = 0.5
    for place in range(3):  # one picture at fidelity 1, one below, one repaint
        output = pictures.high.clone()
        output[place] += 0.2 * (torch.rand(3, 32, 32) - 0.5)
        ghosts.append(losses.objective(output, pictures, FakeFeatures(), tiny_config().loss)[1]["ghost"].item())
    assert ghosts[0] == 0
    assert min(ghosts[1:]) > 0.01


def test_compiled_terms_are_what_they_were(monkeypatch):
    # traced as for the compiler, whose twenty seconds of code are torch's to test
    monkeypatch.setattr(losses, "_compiled", cache(partial(torch.compile, backend="eager", dynamic=False)))
    pictures, output = batch(3, 1), torch.rand(3, 3, 32, 32)
    plain, compiled = (
        losses.objective(output, pictures, FakeFeatures(), tiny_config().loss, compiled=told)[1]
        for told in (False, True)
    )
    assert losses._compiled.cache_info().currsize == 7  # of the terms, those that are much memory and little arithmetic
    assert {name: value.item() for name, value in compiled.items()} == pytest.approx(
        {name: value.item() for name, value in plain.items()}, rel=1e-4, abs=1e-6
    )


def test_a_repaint_at_full_strength_is_not_held_to_the_truth():
    output = torch.rand(2, 3, 32, 32)
    other = output.clone()
    other[1] = torch.rand(3, 32, 32)
    pictures = batch(2, 1, fidelity=1.0)
    first, second = (losses.objective(o, pictures, FakeFeatures(), tiny_config().loss)[1] for o in (output, other))
    assert first["pixel"] == second["pixel"]
    assert first["style"] != second["style"]


def test_absolute_error_falls_with_fidelity_to_the_share_that_is_left():
    tasks, wrong = batch(2, 0, fidelity=0.0), torch.rand(2, 3, 32, 32)
    found = {}
    for share in (1.0, 0.25):
        weights = tiny_config().loss.model_copy(update={"pixel_share": share})
        found[share] = losses.objective(wrong, tasks, FakeFeatures(), weights)[1]["pixel"]
    first, second = losses.pixel_error(wrong, tasks.high)
    assert torch.allclose(found[1.0], (first + second) / 2)
    assert torch.allclose(found[0.25], (first + 0.25 * second) / 2)  # the first is at fidelity 1, the second at 0


def test_the_perceptual_loss_looks_at_all_five_layers():
    class Deepest(FakeFeatures):
        """Alike in all layers but the fifth."""

        def __call__(self, x, deepest=4):
            flat = [torch.ones(len(x), 1, 4, 4)] * 4
            return [*flat, x.mean((2, 3), keepdim=True)][:deepest]

    tasks = batch(2, 0)
    assert losses.objective(torch.rand(2, 3, 32, 32), tasks, Deepest(), tiny_config().loss)[1]["perceptual"] > 0


def test_a_blend_counts_for_both_in_proportion():
    pictures = batch(2, 1, strength=0.25, fidelity=1.0)
    output = pictures.high.clone()
    output[1] += 0.1
    terms = losses.objective(output, pictures, FakeFeatures(), tiny_config().loss)[1]
    assert terms["pixel"].item() == pytest.approx(0.1 * 0.75 / 1.75, rel=1e-4)


def test_fidelity_one_asks_for_no_features():
    pictures = batch(3, 0, fidelity=1.0)
    _, terms = losses.objective(torch.rand(3, 3, 32, 32), pictures, None, tiny_config().loss)
    assert set(terms) == {"pixel", "psnr", "range", "grid"}


def test_patterns_are_held_to_the_truth_at_every_fidelity():
    pictures = replace(batch(3, 0, fidelity=0.2), drawn=True)
    output = pictures.high + torch.tensor([0.2, 0.1, 0.3]).view(3, 1, 1, 1)
    loss, terms = losses.objective(output, pictures, None, tiny_config(loss={"pattern": 5.0, "range": 0.0}).loss)
    assert set(terms) == {"pattern", "range"}
    assert loss.item() == pytest.approx(5 * 0.2, rel=1e-4)


def test_features_missing_where_needed_is_said():
    with pytest.raises(ConfigError, match="--features"):
        losses.objective(torch.rand(4, 3, 32, 32), batch(4, 1), None, tiny_config().loss)


class Colours:
    """A face is its mean colour."""

    def __call__(self, pictures, faces):
        return torch.nn.functional.normalize(pictures.mean((2, 3)), dim=1)


def test_identity_is_asked_of_every_face_by_how_far_it_is_not_asked_for_its_psnr():
    pictures, config = batch(4, 1, strength=0.5, fidelity=0.1), tiny_config().loss
    output = pictures.high.clone()
    output[:, 0] = 0

    def identity(pictures, output):
        return float(losses.objective(output, pictures, FakeFeatures(), config, Colours())[1]["identity"])

    assert identity(pictures, output) == 0  # no face was found
    at = torch.eye(2, 3).expand(4, 2, 3)
    found = replace(pictures, faces=at)
    assert identity(found, output) > 0.1
    assert identity(found, pictures.high) == pytest.approx(0, abs=1e-6)
    known, lost = (torch.nn.functional.normalize(x.mean((2, 3)), dim=1) for x in (pictures.high, output))
    expected = losses.identity_error(lost, known)
    share = 1 - (1 - pictures.strength) * pictures.fidelity
    assert share[0] == 0 < share[1] < share[3]
    for only in range(4):  # at fidelity 1, twice below it, and a repaint
        another = pictures.high.clone()
        another[only] = output[only]
        assert identity(found, another) == pytest.approx(float(share[only] * expected[only]) / 4, rel=1e-4, abs=1e-6)
    one = replace(found, faces=torch.where(torch.arange(4)[:, None, None] == 2, at, 0))
    assert identity(one, output) == pytest.approx(float(share[2] * expected[2]) / 4, rel=1e-4)
