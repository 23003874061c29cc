"""The loop: learns, resumes exactly, survives what is not a number, stops on time."""

import copy
import json
import logging
import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from measuring import write_vgg
from PIL import Image
from tiny_nets import TINY_GAME, tiny_config

from upbrush import train, weights
from upbrush.config import load
from upbrush.engine import MODEL_DIR
from upbrush.errors import ConfigError, StyleError, WeightsError
from upbrush.game import Game
from upbrush.keeping import Keeping
from upbrush.nn import features as vgg


@pytest.fixture(autouse=True)
def _one_thread():
    """Sums in one order: runs can be compared to the bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("face", "art"):
        folder = tmp_path / "data" / kind
        folder.mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((40, 48), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return [tmp_path / "data"]


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """VGG19's shapes but for its width, with random weights."""
    return write_vgg(tmp_path_factory.mktemp("vgg") / "vgg.safetensors")


RESTORE = {"data": {"sharp": 0, "repaint": 0}}
WITH_GAME = {"data": {"repaint": 2}, "game": TINY_GAME | {"patch_px": 8, "penalty_every": 2}}
BETWEEN = {**WITH_GAME, "data": {"repaint": 2, "plain_batches": 1}}


def rows(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def tensors(out):
    return weights.load(out / "weights.safetensors")[0].state_dict()


def test_a_run_leaves_what_it_promises(tmp_path, data, features):
    out = tmp_path / "run"
    path = train.run(tiny_config(), data, out, features=features)
    names = {p.name.split(".")[0] for p in out.iterdir()}
    assert names == {"config", "log", "samples", "state", "weights", "events"}
    assert [r["step"] for r in rows(out)] == [2, 4, 6]
    assert {"pixel", "perceptual", "content", "style", "range", "loss", "gradient", "lr", "wait"} <= set(rows(out)[0])
    generator, config, header = weights.load(path)
    assert config == tiny_config()
    assert (header["step"], header["data"]) == ("6", "data")
    with Image.open(out / "samples" / "0000004.png") as sheet:
        assert sheet.size == (4 * 32, 4 * 32)


def test_restoring_is_learnt(tmp_path, data):
    config = tiny_config(data=RESTORE["data"] | {"restore": 4, "bicubic_share": 1.0}, train={"steps": 80, "lr": 3e-3})
    train.run(config, data, tmp_path / "run")
    losses = [r["pixel"] for r in rows(tmp_path / "run")]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


@pytest.mark.parametrize("changes", [RESTORE, {}, WITH_GAME, BETWEEN], ids=["restore", "all", "game", "between"])
def test_stop_and_resume_equals_one_run(tmp_path, data, features, changes, monkeypatch):
    config = tiny_config(**changes)
    train.run(config, data, tmp_path / "whole", features=features)
    step = train.Trainer._train_step

    def stop_at_three(self, batch):
        if self.step == 3:
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(train.Trainer, "_train_step", stop_at_three)
        with pytest.raises(KeyboardInterrupt):
            train.run(config, data, tmp_path / "halved", features=features)
    train.run(config, data, tmp_path / "halved", features=features)
    whole, halved = tensors(tmp_path / "whole"), tensors(tmp_path / "halved")
    assert all(torch.equal(whole[key], halved[key]) for key in whole)
    assert rows(tmp_path / "whole")[-1]["pixel"] == rows(tmp_path / "halved")[-1]["pixel"]


def test_a_finished_run_trains_no_more(tmp_path, data):
    config = tiny_config(**RESTORE)
    train.run(config, data, tmp_path / "run")
    before = tensors(tmp_path / "run")
    train.run(config, data, tmp_path / "run")
    assert all(torch.equal(value, tensors(tmp_path / "run")[key]) for key, value in before.items())


def test_a_budget_of_no_minutes_stops_after_one_step(tmp_path, data):
    train.run(tiny_config(**RESTORE), data, tmp_path / "run", minutes=0)
    assert weights.load_state(tmp_path / "run" / "state.pt")["step"] == 1


def test_other_settings_do_not_resume(tmp_path, data):
    train.run(tiny_config(**RESTORE), data, tmp_path / "run", minutes=0)
    with pytest.raises(ConfigError, match="train.lr"):
        train.run(tiny_config(**RESTORE, train={"lr": 1e-4}), data, tmp_path / "run")


def test_beginning_from_weights(tmp_path, data):
    first = train.run(tiny_config(**RESTORE), data, tmp_path / "first")
    config = tiny_config(**RESTORE, train={"lr": 1e-12, "steps": 1, "warmup_steps": 0})
    second = train.run(config, data, tmp_path / "second", start=first)
    a, b = (weights.load(path)[0].state_dict() for path in (first, second))
    assert all(torch.allclose(a[key], b[key], atol=1e-6) for key in a)
    header = weights.load(second)[2]
    assert header["from"] == f"{weights.load(first)[2]['identity']} after 6 steps"
    with pytest.raises(ConfigError, match="other sizes"):
        train.run(tiny_config(**RESTORE, model={"channels": 12}), data, tmp_path / "third", start=first)


def test_an_anchor_holds_a_run_near_the_weights_it_began_from(tmp_path, data):
    first = train.run(tiny_config(**RESTORE), data, tmp_path / "first")
    began = weights.load(first)[0].state_dict()
    moved = []
    for anchor in (0.0, 50.0):
        config = tiny_config(**RESTORE, train={"lr": 3e-3, "steps": 20, "anchor": anchor})
        ended = weights.load(train.run(config, data, tmp_path / f"run{anchor:g}", start=first))[0].state_dict()
        moved.append(sum((ended[key] - began[key]).square().sum().item() for key in began) ** 0.5)
    assert 0 < moved[1] < 0.7 * moved[0]
    with pytest.raises(ConfigError, match="give --from"):
        train.run(tiny_config(**RESTORE, train={"anchor": 1.0}), data, tmp_path / "none")


@pytest.mark.parametrize(
    ("frozen", "keep", "shown"),
    [(("encoder", "renderer"), 1000.0, "repaint"), (("encoder",), 100.0, "repaint"), (("encoder",), 100.0, "sharp")],
)
def test_what_a_run_does_not_show_is_kept(tmp_path, data, features, frozen, keep, shown):
    """By the mods of other styles where the Renderer is frozen, and by pictures otherwise."""
    model = {"code_size": 256}  # as styles have
    first = train.run(tiny_config(**RESTORE, model=model), data, tmp_path / "first")
    generator = weights.load(first)[0]
    rng = np.random.default_rng(0)
    known = {"mean": rng.random(256), "directions": np.eye(256)[:4], "spread": np.ones(4), "identity": "x"}
    np.savez(first.parent / "random.npz", **known)
    moved = []
    # falling, and long enough: at a steady rate the last steps' noise is as large as what is held, on some processors
    train_for = {"lr": 3e-3, "steps": 16, "decay_share": 0.9, "frozen": frozen}
    for pull in (0.0, keep):
        changes = {"data": {"restore": 0, "sharp": 0, "repaint": 0, shown: 2}, "loss": {"style": 100.0}}
        config = tiny_config(**changes, model=model, train=train_for | {"keep": pull})
        path = train.run(config, data, tmp_path / f"run{pull:g}", features=features, start=first)
        config = tiny_config(**changes, model=model, train={"keep": 1.0, "frozen": frozen})
        held = Keeping(generator, config, first, torch.device("cpu"))
        low = torch.from_numpy(rng.random((2, 3, 16, 16))).float()
        assert held.error(generator, low, 0) == 0
        moved.append(held.error(weights.load(path)[0], low, 0).item())
    assert 0 < moved[1] < 0.3 * moved[0]
    with pytest.raises(ConfigError, match=r"train\.keep = 1 holds on to weights to start from; give --from"):
        train.run(tiny_config(**RESTORE, train={"keep": 1.0}), data, tmp_path / "none")
    (first.parent / "random.npz").unlink()
    with pytest.raises(StyleError, match=r"random\.npz: not found"):
        train.run(tiny_config(**RESTORE, model=model, train={"keep": 1.0}), data, tmp_path / "none", start=first)


def test_frozen_parts_stay_what_they_are_and_the_rest_learns(tmp_path, data, features):
    first = train.run(tiny_config(**RESTORE), data, tmp_path / "first")
    began = weights.load(first)[0].state_dict()
    frozen = ["renderer", "modulator.trunk", "modulator.restore", "modulator.repaint.4.bias"]
    changes = {"data": {"restore": 0, "sharp": 0, "repaint": 2}, "game": WITH_GAME["game"]}
    config = tiny_config(**changes, train={"frozen": frozen})
    ended = weights.load(train.run(config, data, tmp_path / "run", features=features, start=first))[0].state_dict()
    for key, value in ended.items():
        assert torch.equal(value, began[key]) == key.startswith(tuple(frozen)), key
    with pytest.raises(ConfigError, match=r"no part is called 'rendrer'; the generator has .*modulator\.restore"):
        train.run(tiny_config(**RESTORE, train={"frozen": ["rendrer"]}), data, tmp_path / "none")


def test_the_tuning_recipe_tunes_what_is_shipped(tmp_path, data, features):
    """The recipe of `upbrush train --from shipped`, for two steps at the shipped sizes."""
    shipped = MODEL_DIR / "weights.safetensors"
    if not shipped.is_file():
        pytest.skip("there is no shipped model yet")
    small = ["data.crop_px=64", "data.workers=0", "train.steps=2", "game.patch_px=16", "data.restore=1"]
    config = load(MODEL_DIR / "tune.toml", small)
    for folder in data[0].iterdir():
        for number in range(3):
            with Image.open(folder / f"{number}.png") as image:
                image.resize((80, 64)).save(folder / f"{number}.png")
    path = train.run(config, data, tmp_path / "run", features=features, start=shipped)
    assert weights.load(path)[2]["from"].startswith(weights.load(shipped)[2]["identity"])


def test_the_header_tells_no_secrets_of_where_pictures_came_from():
    told = {"data/a.tar": "a.tar", "https://x.example/b.tar?key=s3cret": "b.tar", "pipe:curl -u me:s3cret": "a pipe"}
    assert {source: train._told(source) for source in told} == told


def test_a_loss_that_is_not_a_number_is_named_and_rolled_back(tmp_path, data, monkeypatch, caplog):
    objective = train.objective
    calls = []

    def broken_once(output, *rest, **told):
        loss, terms = objective(output, *rest, **told)
        calls.append(1)
        if len(calls) == 4:
            terms["pixel"] = terms["pixel"] * float("nan")
            loss = loss * float("nan")
        return loss, terms

    monkeypatch.setattr(train, "objective", broken_once)
    with caplog.at_level(logging.WARNING):
        train.run(tiny_config(**RESTORE), data, tmp_path / "run")
    assert "step 4: pixel" in caplog.text
    assert "back to the last good state" in caplog.text
    assert all(torch.isfinite(v).all() for v in tensors(tmp_path / "run").values())
    assert weights.load_state(tmp_path / "run" / "state.pt")["step"] == 6


@pytest.mark.parametrize("culprit", ["discriminator", "game"])
def test_a_game_that_breaks_is_named_and_both_sides_go_back(tmp_path, data, features, culprit, monkeypatch, caplog):
    name = {"discriminator": "losses", "game": "generator_loss"}[culprit]
    method, calls, at_rollback = getattr(Game, name), [], []

    def broken_once(self, *args):
        calls.append(1)
        value = method(self, *args)
        if len(calls) != 4:
            return value
        return (value[0] * float("nan"), value[1]) if isinstance(value, tuple) else value * float("nan")

    def look(self, names):
        roll_back(self, names)
        at_rollback.append(copy.deepcopy(self.game.discriminator.module.state_dict()))
        at_rollback.append(self.good["game"]["discriminator"])

    roll_back = train.Trainer._roll_back
    monkeypatch.setattr(Game, name, broken_once)
    monkeypatch.setattr(train.Trainer, "_roll_back", look)
    with caplog.at_level(logging.INFO):
        train.run(tiny_config(**WITH_GAME), data, tmp_path / "run", features=features)
    assert f"step 4: {culprit}" in caplog.text
    assert f"rolled back: {culprit}" in caplog.text
    assert all(torch.equal(value, at_rollback[1][key]) for key, value in at_rollback[0].items())
    rates = [r["lr"] for r in rows(tmp_path / "run")]
    assert rates[2] == pytest.approx(train.CUT * train.learning_rate(tiny_config(**WITH_GAME), 6), rel=1e-6)


def test_a_lost_game_raises_an_alarm_once(tmp_path, data, features, monkeypatch, caplog):
    report, seen = train.Trainer._report, []

    def lost(self, means, writer):
        seen.append(means["diversity"])
        report(self, means | {"accuracy": 1.0, "diversity": 0.0}, writer)

    monkeypatch.setattr(train, "ALARM_REPORTS", 2)
    monkeypatch.setattr(train.Trainer, "_report", lost)
    with caplog.at_level(logging.WARNING):
        train.run(tiny_config(**WITH_GAME), data, tmp_path / "run", features=features)
    alarms = weights.load_state(tmp_path / "run" / "state.pt")["alarms"]
    assert [a.split(";")[0] for a in alarms] == [
        "step 4: the discriminator is always right",
        "step 4: pictures in different styles look alike",
    ]
    assert caplog.text.count("may have collapsed") == 2
    assert min(seen) > 0.05, "the palette in the code alone gives so much diversity"


def test_between_mixed_batches_only_pixels_count_and_the_game_waits(tmp_path, data, features):
    changes = {"train": {"log_every_steps": 1, "steps": 5}}
    train.run(tiny_config(**BETWEEN, **changes), data, tmp_path / "run", features=features)
    told = [set(row) for row in rows(tmp_path / "run")]
    assert ["perceptual" in row and "accuracy" in row for row in told] == [True, False] * 2 + [True]
    assert all("diversity" in row for row in told), "of the last mixed batch"
    assert ["r1" in row for row in told] == [True, False, False, False, True], "every second turn of the game"


def test_batches_of_patterns_ask_for_the_truth_alone_and_are_not_kept(tmp_path, data, features):
    model = {"code_size": 256}
    first = train.run(tiny_config(**RESTORE, model=model), data, tmp_path / "first")
    known = {"mean": np.zeros(256), "directions": np.eye(256)[:4], "spread": np.ones(4), "identity": "x"}
    np.savez(first.parent / "random.npz", **known)
    changes = {"data": BETWEEN["data"] | {"patterns_every": 3}, "game": WITH_GAME["game"]}
    short = {"log_every_steps": 1, "steps": 6, "keep": 1.0}
    config = tiny_config(**changes, model=model, train=short)
    train.run(config, data, tmp_path / "run", features=features, start=first)
    told = [set(row) for row in rows(tmp_path / "run")]
    assert ["pattern" in row for row in told] == [False, False, True] * 2
    assert [row >= {"keep", "pixel"} for row in told] == [True, True, False] * 2
    assert ["accuracy" in row for row in told] == [True, False, False, False, True, False]


def test_a_run_that_only_gives_nan_stops_and_says_so(tmp_path, data, monkeypatch):
    monkeypatch.setattr(train, "objective", lambda x, *_, **told: (x.sum() * float("nan"), {"pixel": x.sum()}))
    with pytest.raises(WeightsError, match="not finite, 6 times in a row"):
        train.run(tiny_config(**RESTORE), data, tmp_path / "run")


@pytest.mark.parametrize("once", [True, False])
def test_a_step_that_breaks_weights_is_neither_kept_nor_saved(tmp_path, data, once, monkeypatch):
    """The loss and the gradients were finite, so the next step finds out; by then it may be kept as good."""
    follow, calls = train.Trainer._update_ema, []

    def breaks(self):
        calls.append(1)
        if not once or len(calls) == 3:
            with torch.no_grad():
                self.generator.module.renderer.head.weight.fill_(math.inf)
        follow(self)

    monkeypatch.setattr(train.Trainer, "_update_ema", breaks)
    if once:
        monkeypatch.setattr(train, "SNAPSHOT_STEPS", 1)
    with nullcontext() if once else pytest.raises(WeightsError, match="6 times in a row"):
        train.run(tiny_config(**RESTORE, train={"steps": 20}), data, tmp_path / "run")
    assert all(torch.isfinite(v).all() for v in tensors(tmp_path / "run").values())


def test_a_damaged_state_is_said_in_one_line(tmp_path):
    (tmp_path / "state.pt").write_bytes(b"no zip at all")
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.load_state(tmp_path / "state.pt")


def test_the_average_starts_from_the_net_and_follows_it(tmp_path, data):
    config = tiny_config(**RESTORE, train={"steps": 1, "ema_halflife_steps": 1e-3})
    train.run(config, data, tmp_path / "run")
    state = weights.load_state(tmp_path / "run" / "state.pt")
    assert all(torch.allclose(state["ema"][k], v, atol=1e-6) for k, v in state["generator"].items())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_train_one_generator(tmp_path, data):
    """Each draws its own batch, and both end with the same weights; only the first writes."""
    import subprocess
    import sys

    recipe = tmp_path / "recipe.toml"
    tables = tiny_config(**RESTORE).model_dump(mode="json", exclude={"degradation"}, exclude_defaults=True)
    lines = [
        f"[{table}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in fields.items())
        for table, fields in tables.items()
    ]
    recipe.write_text("".join(lines))
    command = [sys.executable, "-m", "upbrush", "train", recipe, "--data", data[0], "--out", tmp_path / "run"]
    done = subprocess.run([*command, "--devices", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Starting with 2 processes" in done.stderr
    assert [r["step"] for r in rows(tmp_path / "run")] == [2, 4, 6]
    alone = tmp_path / "alone"
    train.run(tiny_config(**RESTORE), data, alone)
    first = rows(tmp_path / "run")[0]["pixel"]  # of the first process, whose pictures are the same
    assert first == pytest.approx(rows(alone)[0]["pixel"], rel=0.01)
    assert any(not torch.equal(v, tensors(alone)[k]) for k, v in tensors(tmp_path / "run").items())


def test_learning_rate_rises_stays_and_falls():
    config = tiny_config(train={"steps": 100, "warmup_steps": 10, "decay_share": 0.5, "lr": 1.0})
    rates = [train.learning_rate(config, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:50] == [1.0] * 40
    assert all(a > b for a, b in zip(rates[50:], rates[51:], strict=False))
    assert rates[-1] < 0.01


def test_features_say_what_they_are_not(tmp_path, features):
    from safetensors.torch import load_file, save_file

    seen = vgg.load(features)(torch.rand(1, 3, 32, 32), deepest=5)
    assert [x.shape[1:] for x in seen] == [(64, 32, 32), *((8, side, side) for side in (16, 8, 4, 2))]
    cut = {name: value for name, value in load_file(features).items() if int(name.split(".")[1]) < 28}
    save_file(cut, tmp_path / "cut.safetensors")
    seen = vgg.load(tmp_path / "cut.safetensors")(torch.rand(1, 3, 32, 32), deepest=5)
    assert len(seen) == 4  # a file that ends after relu4_1 serves, too
    save_file({"features.0.weight": torch.zeros(2, 3, 3, 3)}, tmp_path / "other.safetensors")
    for path, words in ((tmp_path / "other.safetensors", "not VGG19"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(WeightsError, match=words):
            vgg.load(path)


def test_features_are_those_of_the_reference(monkeypatch):
    """Against the plain sequential network, built anew from the same file."""
    import os
    from pathlib import Path

    from safetensors.torch import load_file

    source = os.environ.get("UPBRUSH_FEATURES")
    if not source or not Path(source).exists():
        pytest.skip("UPBRUSH_FEATURES names no VGG19 file")
    net, state = vgg.load(Path(source)), load_file(source)
    x = torch.rand(1, 3, 64, 64)
    y, expected = (x - net.mean) / net.std, []
    for index in range(30):
        if f"features.{index}.weight" in state:
            y = torch.relu(
                torch.nn.functional.conv2d(
                    y, state[f"features.{index}.weight"].float(), state[f"features.{index}.bias"].float(), padding=1
                )
            )
            if index in (0, 5, 10, 19, 28):
                expected.append(y)
        elif index in (4, 9, 18, 27):
            y = torch.nn.functional.max_pool2d(y, 2)
    for got, want in zip(net(x, deepest=5), expected, strict=True):
        assert torch.allclose(got, want, atol=1e-3)
