"""Recipes: keys are checked, changes go on top, mistakes are named."""

from pathlib import Path

import pytest

from upbrush import config
from upbrush.errors import ConfigError
from upbrush.nn.generator import Generator

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.toml"))


def recipe(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def test_no_recipe_gives_the_defaults():
    assert config.load() == config.Config()


def test_changes_go_on_top(tmp_path):
    path = recipe(tmp_path, "[train]\nsteps = 5\nlr = 0.5\n")
    loaded = config.load(path, ["train.steps=7", "data.mix={face = 1.0}", "train.precision=float32"])
    assert (loaded.train.steps, loaded.train.lr, loaded.data.mix) == (7, 0.5, {"face": 1.0})
    assert loaded.train.precision == "float32"


def test_what_is_loaded_can_be_written_and_read_again():
    loaded = config.load(None, ["model.channels=12", "model.encoder_channels=[4, 8]"])
    assert config.Config.model_validate_json(loaded.model_dump_json()) == loaded


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        ("[train]\nstepps = 5\n", [], "no setting is called train.stepps; did you mean train.steps"),
        ("[train]\nsteps = 0\n", [], "train.steps = 0"),
        ("[train\n", [], "is not TOML"),
        ("", ["train.steps"], "expected key=value"),
        ("", ["train.steps.more=1"], "train.steps"),
        ("[data]\ncrop_px = 33\n", [], "data.crop_px = 33"),
        ("[train]\nprecision = 'half'\n", [], "train.precision = 'half'"),
        ("[data]\nrestore = 0\nsharp = 0\nrepaint = 0\n", [], "are all 0; a batch wants a picture"),
        ("[data]\ncrop_px = 96\n[game]\nweight = 1.0\n", [], "data.crop_px is 96; a game with these patches takes 128"),
        ("[train]\noptimiser = 'adam'\nweight_decay = 0.1\n", [], "train.weight_decay = 0.1"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path, text, changes, words):
    with pytest.raises(ConfigError) as error:
        config.load(recipe(tmp_path, text), changes)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_recipe_is_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path / "none.toml")


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        config.Config().train.steps = 3


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_loads_and_says_what_it_is(path):
    loaded = config.load(path)
    assert loaded.data.restore + loaded.data.sharp + loaded.data.repaint > 0
    assert path.read_text().startswith("# ")
    assert Generator(loaded.model).renderer.mods > 0


def test_there_are_recipes():
    assert {"small", "small-pixels"} <= {p.stem for p in RECIPES}
