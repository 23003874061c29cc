"""Fitting a style: nearer to it by mods of its own, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from measuring import write_vgg
from PIL import Image
from tiny_nets import tiny_config
from typer.testing import CliRunner

from upbrush import config, styles, train, weights
from upbrush.cli import app
from upbrush.dataset import scan
from upbrush.engine import MODEL_DIR, open_engine
from upbrush.errors import StyleError
from upbrush.fitting import fit
from upbrush.nn import features as vgg
from upbrush.nn.generator import thumbnails
from upbrush.views import thumbnail

MODEL = {"code_size": 256}  # as styles have
FIT = {
    "data": {"crop_px": 32, "restore": 0, "sharp": 0, "repaint": 2, "style_kinds": ["style"], "mix": {"face": 1.0}},
    "loss": {"content": 1.0, "style": 100.0, "blends": 0.0},
    "train": {"lr": 0.05, "steps": 12, "warmup_steps": 1},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tiny model: its folder and itself; a style, its picture, VGG19's like, contents, and VGG19's path."""
    folder = tmp_path_factory.mktemp("fit")
    rng = np.random.default_rng(0)
    for kind, tint in (("face", (0, 0, 0)), ("style", (90, 20, -60))):
        (folder / kind).mkdir()
        for number in range(3):
            pixels = np.clip(rng.integers(60, 180, (6, 5, 3)) + np.array(tint), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).resize((80, 96), Image.Resampling.BICUBIC).save(folder / kind / f"{number}.png")
    recipe = tiny_config(data={"sharp": 0, "repaint": 0}, model=MODEL, train={"steps": 1})
    model = train.run(recipe, [folder / "face"], folder / "model").parent
    generator, _, header = weights.load(model / "weights.safetensors")
    with Image.open(folder / "style" / "0.png") as image:
        picture = np.asarray(image)
    code = np.random.default_rng(1).normal(0, 0.3, 256).astype(np.float32)
    style = styles.Style("mine", code, header["identity"], artist="me")
    judge = vgg.load(write_vgg(folder / "vgg.safetensors"))
    return model, generator, style, picture, judge, scan([folder / "face"]), folder / "vgg.safetensors"


def test_a_fit_comes_nearer_and_leaves_the_code(made):
    model, generator, style, picture, judge, contents, _ = made
    told = []
    fitted = fit(style, [picture], tiny_config(**FIT), model, judge, contents, told.append)
    assert len(told) == 12
    first, last = (np.mean([terms["style"] for terms in part]) for part in (told[:3], told[-3:]))
    assert last < 0.8 * first
    assert np.array_equal(fitted.code[:256], style.code)
    assert len(fitted.code) == 256 + generator.renderer.mods
    assert (fitted.name, fitted.artist, fitted.model) == (style.name, style.artist, style.model)


def test_a_fit_is_given_by_its_recipe(made):
    model, _, style, picture, judge, contents, _ = made
    short = tiny_config(**FIT | {"train": {"lr": 0.05, "steps": 2}})
    one, again = (fit(style, [picture], short, model, judge, contents) for _ in range(2))
    assert np.array_equal(one.code, again.code)


def test_a_style_of_another_model_is_not_fitted(made):
    model, _, style, picture, judge, contents, _ = made
    with pytest.raises(StyleError, match=r"style 'mine' is of model other, the weights are "):
        fit(replace(style, model="other"), [picture], tiny_config(**FIT), model, judge, contents)


def test_a_fit_that_breaks_is_told(made):
    model, _, style, picture, judge, contents, _ = made
    broken = FIT | {"train": {"lr": 1e30, "steps": 3, "warmup_steps": 1}}
    with pytest.raises(StyleError, match="of its fit is not finite; make it without fitting"):
        fit(style, [picture], tiny_config(**broken), model, judge, contents)


def test_the_command_fits_by_the_shipped_recipe(tmp_path, made, monkeypatch):
    """For two steps, at the shipped sizes, on scikit-image's photographs."""
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    if not (MODEL_DIR / "weights.safetensors").is_file():
        pytest.skip("there is no shipped model yet")
    really_load = config.load
    few = ["train.steps=2", "data.crop_px=64"]
    monkeypatch.setattr(config, "load", lambda path, changes=(): really_load(path, [*changes, *few]))
    Image.fromarray(np.dstack([made[3], np.full(made[3].shape[:2], 200, np.uint8)])).save(tmp_path / "mine.png")  # RGBA
    out = tmp_path / "mine.style"
    words = ["style", "make", str(tmp_path / "mine.png"), "-o", str(out), "--fit", "--features", str(made[6])]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    style = styles.read(out)
    assert len(style.code) > 256
    assert np.abs(style.code[256:]).max() > 0


@torch.no_grad()
@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_torch_and_the_engine_agree_on_a_fitted_style(strength):
    if not (MODEL_DIR / "weights.safetensors").is_file():
        pytest.skip("there is no shipped model yet")
    engine = open_engine()
    generator = weights.load(MODEL_DIR / "weights.safetensors")[0]
    rng = np.random.default_rng(3)
    code = np.concatenate([styles.random(1).code, rng.normal(0, 0.1, generator.renderer.mods)]).astype(np.float32)
    low = rng.random((20, 30, 3), np.float32)
    pixels = (low * 255).astype(np.uint8)
    knobs = torch.full((1, 1), strength), torch.full((1, 1), 0.5)
    low = torch.from_numpy(pixels.transpose(2, 0, 1)[None] / 255).float()
    expected = generator.modulator(thumbnails(low), torch.from_numpy(code)[None], *knobs)[0].numpy()
    np.testing.assert_allclose(engine.modulate(thumbnail(pixels), code, strength, 0.5), expected, atol=2e-3)
