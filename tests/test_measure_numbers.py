"""The metrics against other people's libraries, and what must be true of each."""

import numpy as np
import pytest
import torch
from measuring import picture, write_vgg
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional import image as theirs

from upbrush import losses
from upbrush.measure import artefacts, distortion, perceptual
from upbrush.measure.catalogue import BY_KEY, METRICS, badness, features_title, shown, signed


@pytest.fixture(scope="module")
def pair():
    truth = picture(1, 200, 236)
    return truth + np.random.default_rng(0).normal(0, 9, truth.shape).round(), truth


@pytest.fixture(scope="module")
def eye(tmp_path_factory):
    return perceptual.Eye(write_vgg(tmp_path_factory.mktemp("vgg") / "vgg.safetensors"))


def planes(x):
    return torch.from_numpy(x if x.ndim == 3 else x[..., None]).permute(2, 0, 1)[None]


def test_luma_is_scikit_images(pair):
    assert np.allclose(distortion.luma(pair[1]), rgb2ycbcr(pair[1] / 255)[..., 0], atol=1e-9)


@pytest.mark.parametrize("crop", [0, 4])
def test_psnr_and_ssim_are_scikit_images(pair, crop):
    for a, b in (pair, [distortion.luma(x) for x in pair]):
        inner = [distortion.cropped(x, crop) for x in (a, b)]
        axis = 2 if a.ndim == 3 else None
        ssim = structural_similarity(
            *inner, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=axis
        )
        assert distortion.psnr(a, b, crop) == pytest.approx(peak_signal_noise_ratio(*inner, data_range=255), abs=1e-9)
        assert distortion.ssim(a, b, crop) == pytest.approx(ssim, abs=1e-9)


def test_ssim_and_ms_ssim_are_torchmetrics(pair):
    """Theirs lets windows that reach into a reflected border count; scikit-image and the papers do not, nor do we."""

    def whole_windows(a, b):
        _, every = theirs.structural_similarity_index_measure(a, b, data_range=255.0, return_full_image=True)
        return float(every[..., 5:-5, 5:-5].mean())

    a, b = (planes(distortion.luma(x)) for x in pair)
    luma = [x[0, 0].numpy() for x in (a, b)]
    assert distortion.ssim(*luma, 0) == pytest.approx(whole_windows(a, b), abs=1e-4)
    expected = 1.0
    for scale, weight in enumerate(distortion.SCALES):
        if scale == 4:
            expected *= whole_windows(a, b) ** weight
            break
        _, contrast = theirs.structural_similarity_index_measure(
            a, b, data_range=255.0, return_contrast_sensitivity=True
        )
        expected *= float(contrast) ** weight
        a, b = (torch.nn.functional.avg_pool2d(x, 2) for x in (a, b))
    assert distortion.ms_ssim(*luma, 0) == pytest.approx(expected, abs=1e-4)


def test_ms_ssim_needs_five_sizes():
    least = distortion.LEAST_MS_PX
    a = np.random.default_rng(0).uniform(0, 255, (least, least + 3))
    assert distortion.ms_ssim(a, a, 0) == pytest.approx(1)
    assert distortion.ms_ssim(a, a, 1) is None


def test_equal_pictures_are_at_the_good_end(pair, eye):
    truth = pair[1]
    features = eye.look(truth)
    assert distortion.psnr(truth, truth, 4) == pytest.approx(148.13, abs=0.01)
    assert distortion.ssim(truth, truth, 4) == pytest.approx(1)
    assert perceptual.vgg_distance(features, features) == 0
    assert perceptual.style_error(perceptual.moments(features), perceptual.moments(features)) == 0
    assert perceptual.content_error(features, features) == 0
    assert artefacts.colour_shift(truth, truth) == 0
    assert artefacts.sharpness(*[artefacts.spectrum(distortion.luma(truth))] * 2) == 0


def test_distances_do_not_mind_the_order_and_grow_with_the_error(pair, eye):
    worse, truth = pair
    better = (worse + 2 * truth) / 3
    assert distortion.psnr(worse, truth, 4) == distortion.psnr(truth, worse, 4)
    assert distortion.ssim(worse, truth, 4) == pytest.approx(distortion.ssim(truth, worse, 4))
    far, near = (perceptual.vgg_distance(eye.look(x), eye.look(truth)) for x in (worse, better))
    assert far == pytest.approx(perceptual.vgg_distance(eye.look(truth), eye.look(worse)))
    assert 0 < near < far
    assert distortion.psnr(better, truth, 4) > distortion.psnr(worse, truth, 4)


def test_the_crop_leaves_the_border_out(pair):
    truth = pair[1]
    framed = truth.copy()
    framed[:4] = framed[-4:] = framed[:, :4] = framed[:, -4:] = 0
    assert distortion.psnr(framed, truth, 4) > 140
    assert distortion.psnr(framed, truth, 3) < 40


def test_a_picture_that_agrees_with_its_low_one_beats_one_that_does_not(pair):
    truth = pair[1]
    small = Image.fromarray(truth.astype(np.uint8)).resize((59, 50), Image.Resampling.BICUBIC)
    low = np.asarray(small, np.float64)
    assert distortion.down_psnr(truth, low) > 140
    assert distortion.down_psnr(255 - truth, low) < 20


def test_grid_energy_sees_dots_and_nothing_in_pictures(pair):
    y = distortion.luma(pair[0])
    dots = y.copy()
    dots[::4, ::4] += 12
    assert artefacts.grid_energy(y) < 2 < 20 < artefacts.grid_energy(dots)
    assert artefacts.grid_energy(np.full((64, 64), 80.0)) == 1


def test_sharpness_has_a_sign(pair):
    truth = distortion.luma(pair[0])
    blurred, noisy = gaussian_filter(truth, 1.2), truth + np.random.default_rng(1).normal(0, 20, truth.shape)
    of_truth = artefacts.spectrum(truth)
    assert artefacts.sharpness(artefacts.spectrum(blurred), of_truth) < -5
    assert artefacts.sharpness(artefacts.spectrum(noisy), of_truth) > 3
    assert np.isfinite(artefacts.sharpness(artefacts.spectrum(np.full((64, 64), 9.0)), of_truth))


def test_grain_is_texture_where_the_truth_is_smooth():
    generator = np.random.default_rng(0)
    noise, left = generator.normal(0, 1, (64, 72)), np.arange(72) < 40
    truth = 120 + 20 * noise * left  # hair, beside a wall
    assert grain(truth, truth) == 0
    assert grain(gaussian_filter(truth, 1), truth) < 0.005, "blur is no grain"
    amid, on_wall = (grain(truth + 5 * noise[::-1] * where, truth) for where in (left, ~left))
    assert amid < 0.02 * on_wall, "amid texture nobody sees it"
    assert on_wall == pytest.approx(5 * np.sqrt(24 / 25) * 32 / 72, rel=0.1)
    assert grain(np.zeros((4, 4)), np.zeros((4, 4))) == 0
    pictures = [torch.from_numpy(y / 255).float().expand(1, 3, -1, -1) for y in (truth + 3 * noise[::-1], truth)]
    loss = losses.ghost_error(*pictures).item()  # what training hears, from a quarter of a grey level on
    assert grain(truth + 3 * noise[::-1], truth) == pytest.approx(255 * loss, rel=0.15)


def grain(output, truth):
    return artefacts.grain(*map(artefacts.texture, (output, truth)))


def test_a_spectrum_says_where_a_wave_is():
    wave = 100 * np.sin(2 * np.pi * 0.3 * np.arange(120))[None] * np.ones((90, 1))
    assert np.argmax(artefacts.spectrum(wave)) == int(0.3 * 2 * artefacts.BANDS)


def test_colour_shift_is_of_the_mean_colour_alone(pair):
    truth = pair[1].clip(20, 200)
    rolled, grey = np.roll(truth, 31, 0), np.full((40, 40, 3), 119.0)
    assert artefacts.colour_shift(rolled, truth) == pytest.approx(0, abs=1e-9)
    assert artefacts.colour_shift(grey + [12, 0, 0], grey) > 3


def test_large_pictures_in_tiles_equal_the_whole(eye, monkeypatch):
    monkeypatch.setattr(perceptual, "TILE_PX", 272)
    a, b = picture(2, 413, 337), picture(3, 413, 337)
    assert len(perceptual.aligned_tiles(413, 337)) > 4
    distance, texture, *both = eye.compare(a, b)
    whole = [eye.look(x) for x in (a, b)]
    assert distance == pytest.approx(perceptual.vgg_distance(*whole), rel=1e-5)
    assert texture == pytest.approx(perceptual.style_error(*map(perceptual.moments, whole)), rel=1e-4)
    for tiled, features in zip(both, whole, strict=True):
        assert torch.allclose(tiled, perceptual.pooled(features), rtol=1e-4)


def test_style_knows_no_places_and_content_does(eye):
    a = picture(4, 256, 256)
    moved = np.roll(a, 128, 1)
    seen, other = eye.look(a), eye.look(moved)
    style = perceptual.style_error(perceptual.moments(other), perceptual.moments(seen))
    assert style < 0.05 * perceptual.content_error(other, seen)


def test_texture_minds_what_is_missing_and_what_is_too_much_and_no_places(eye):
    truth = picture(4, 256, 256)
    seen = [eye.look(x) for x in (truth, np.roll(truth, 8, 1), gaussian_filter(truth, (2, 2, 0)), _noisier(truth))]
    moved, blurred, noisy = (
        perceptual.style_error(perceptual.moments(x), perceptual.moments(seen[0])) for x in seen[1:]
    )
    assert 0 < 10 * moved < min(blurred, noisy)
    assert perceptual.vgg_distance(seen[1], seen[0]) > perceptual.vgg_distance(seen[2], seen[0])


def _noisier(x):
    return (x + np.random.default_rng(7).normal(0, 20, x.shape)).clip(0, 255)


def test_style_is_measured_at_256_whatever_the_size():
    assert perceptual.small(picture(5, 300, 200)).shape == (256, 256, 3)
    exact = picture(5, 256, 256)
    assert perceptual.small(exact) is exact


def test_each_metric_is_told_once_and_fully():
    assert len(BY_KEY) == len(METRICS) == len({metric.title for metric in METRICS})
    assert all(len(metric.meaning) > 20 for metric in METRICS)


def test_only_inceptions_distance_is_called_fid():
    assert features_title("frechet", "Inception") == "FID"
    assert "FID" not in features_title("frechet", "VGG19 relu5_1")
    assert features_title("kid", "VGG19 relu5_1") == "KID (VGG19 relu5_1)"


@pytest.mark.parametrize(("key", "good", "bad"), [("psnr_y", 30, 20), ("vgg", 0.1, 0.2), ("sharpness", -1, 3)])
def test_badness_is_smaller_for_the_better(key, good, bad):
    assert badness(BY_KEY[key], good) < badness(BY_KEY[key], bad)


def test_values_are_shown_as_people_read_them():
    assert shown(BY_KEY["lost"], 0.125) == "12.5"
    assert shown(BY_KEY["psnr_y"], None) == "–"
    assert signed(BY_KEY["psnr_y"], 0.3) == "+0.30"
    assert signed(BY_KEY["psnr_y"], -0.3) == "-0.30"
    assert signed(BY_KEY["psnr_y"], -0.001) == "0.00"
