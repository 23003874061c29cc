"""Two processes are one with the double batch: the same gradients, the same weights, the same curve."""

import io
import json
import subprocess
import sys
import tarfile
import tomllib

import numpy as np
import pytest
import torch
from measuring import write_vgg
from PIL import Image
from tiny_nets import tiny_config

from upbrush import train, weights

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
RESTORE = {"sharp": 0, "repaint": 0, "bicubic_share": 1.0}


@pytest.fixture(autouse=True)
def _one_thread():
    """As each of two processes has: sums in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(seed, side=32, mirrored=True):
    """(side, side) pixels; mirrored in itself, so that mirroring it changes nothing."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    file = io.BytesIO()
    Image.fromarray(np.maximum(pixels, pixels[:, ::-1]) if mirrored else pixels).save(file, "PNG")
    return file.getvalue()


def in_processes(count, config, data, out, *words):
    """Train as a user does; pytest itself cannot be started a second time by Fabric."""
    tables = config.model_dump(mode="json", exclude={"degradation"}, exclude_defaults=True)
    text = "".join(
        f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
        for table, fields in tables.items()
    )
    assert tomllib.loads(text) == tables
    recipe = out.with_suffix(".toml")
    recipe.write_text(text)
    command = [sys.executable, "-m", "upbrush", "train", recipe, "--data", data, "--out", out, *words]
    done = subprocess.run([*command, "--devices", str(count)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"Starting with {count} processes" in done.stderr
    return done


def state(out):
    return weights.load_state(out / "state.pt")["generator"]


def curve(out, name="pixel"):
    return np.array([json.loads(line)[name] for line in (out / "log.jsonl").read_text().splitlines()])


def apart(a, b):
    """Largest difference of two networks' numbers."""
    return max(float((a[key].float() - b[key].float()).abs().max()) for key in a)


def test_two_processes_take_the_steps_of_one_with_their_pictures_together(tmp_path):
    """To rounding. Streamed, two ranks share out the eight pictures of every pass, and the double batch has all eight.

    Each picture is one crop, alike when mirrored, and its low picture is plain bicubic: only the order differs.
    """
    shards = tmp_path / "shards"
    shards.mkdir()
    for number in range(2):
        with tarfile.open(shards / f"photo-{number}.tar", "w") as tar:
            for seed in range(4 * number, 4 * number + 4):
                info, content = tarfile.TarInfo(f"{seed}.png"), picture(seed)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    data = RESTORE | {"crop_px": 32, "zoom": 1.0}
    steps = {"steps": 12, "optimiser": "adam", "betas": [0.9, 0.99]}
    in_processes(2, tiny_config(data=data | {"restore": 4}, train=steps), shards, tmp_path / "two")
    for name, count in (("double", 8), ("single", 4)):
        train.run(tiny_config(data=data | {"restore": count}, train=steps), [shards], tmp_path / name)
    two, double, single = (state(tmp_path / name) for name in ("two", "double", "single"))
    assert apart(two, double) < 2e-5
    assert apart(single, double) > 2e-3  # what one process alone would have learnt


def test_two_processes_have_the_curve_of_the_double_batch(tmp_path):
    """Within noise: no further from it than the same run with other pictures drawn."""
    folder = tmp_path / "data" / "photo"
    folder.mkdir(parents=True)
    for seed in range(24):
        (folder / f"{seed}.png").write_bytes(picture(seed, 48, mirrored=False))

    def config(count, seed=0):
        steps = {"steps": 120, "log_every_steps": 10, "lr": 3e-3, "seed": seed}
        return tiny_config(data=RESTORE | {"restore": count}, train=steps)

    in_processes(2, config(8), folder, tmp_path / "two")
    train.run(config(16), [folder], tmp_path / "double")
    train.run(config(16, seed=1), [folder], tmp_path / "other")
    two, double, other = (curve(tmp_path / name) for name in ("two", "double", "other"))
    assert len(two) == len(double) == 12
    assert double[-3:].mean() < 0.8 * double[0]  # it learns
    noise = np.abs(double - other).mean()
    assert np.abs(two - double).mean() < 2 * noise
    assert two[-6:].mean() == pytest.approx(double[-6:].mean(), rel=0.1)


def test_a_game_in_two_processes_stops_goes_on_and_ends(tmp_path):
    """Generator and discriminator are wrapped each by itself; a run with both ends, is resumed and ends again."""
    folder = tmp_path / "data"
    for kind in ("photo", "art"):
        (folder / kind).mkdir(parents=True)
        for seed in range(4):
            (folder / kind / f"{seed}.png").write_bytes(picture(seed, 48, mirrored=False))
    game = {"weight": 0.1, "channels": [8, 8], "embedding": 8, "patch_px": 8, "patches": 2, "penalty_every": 2}
    recipe = tiny_config(game=game, train={"steps": 8})
    words = ("--features", write_vgg(tmp_path / "vgg.safetensors"))
    in_processes(2, recipe, folder, tmp_path / "run", *words, "--minutes", "0")
    stopped = weights.load_state(tmp_path / "run" / "state.pt")["step"]
    in_processes(2, recipe, folder, tmp_path / "run", *words)
    assert stopped < 8
    assert weights.load_state(tmp_path / "run" / "state.pt")["step"] == 8
    assert all(bool(torch.isfinite(value).all()) for value in state(tmp_path / "run").values())
