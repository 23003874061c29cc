"""The pool that runs/by_clock.py draws batches from: the recipe's, with low pictures that are of their high ones."""

import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_nets import tiny_config

from upbrush.dataset import scan
from upbrush.degrade import bicubic
from upbrush.errors import ConfigError, DataError

CPU = torch.device("cpu")


@pytest.fixture
def pool(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "runs")
    import pool

    yield pool
    sys.modules.pop("pool", None)


@pytest.fixture
def folder(tmp_path, draw):
    for kind in ("face", "art"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for seed in range(3):
            Image.fromarray(draw(80, 90, seed=seed)).save(tmp_path / "data" / kind / f"{seed}.png")
    return tmp_path / "data"


def test_batches_are_the_recipes(pool, folder, monkeypatch):
    monkeypatch.setattr(pool, "LOADED", 8)
    shares = {"restore": 6, "sharp": 4, "repaint": 2, "patterns_every": 3, "bicubic_share": 1.0}
    config = tiny_config(data=shares, train={"steps": 6})
    drawn = list(pool.batches(scan([folder]), config, room=64, device=CPU))
    assert [batch.drawn for batch in drawn] == [False, False, True] * 2
    for batch in drawn:
        count, side = len(batch.high), batch.high.shape[-1]
        if batch.drawn:
            assert 16 <= side <= 64
            assert count == 12 * 32**2 // side**2
        else:
            assert (count, side) == (12, 32)
        assert batch.low.shape == (count, 3, side // 4, side // 4)
        off = (bicubic(batch.high).clamp(0, 1) - batch.low).abs()
        assert (off[:, :, 2:-2, 2:-2] < 0.02).all()  # the pool's pictures go on behind the borders
    other = drawn[0]
    assert other.style.shape == (2, 3, 256, 256)
    assert (other.fidelity[:6] == 1).all()
    assert (other.fidelity[6:] < 1).all()
    assert (other.strength[:10] == 0).all()
    assert (other.strength[10:] > 0).all()


def test_patterns_alone_wait_for_nothing_else(pool, folder, monkeypatch):
    monkeypatch.setattr(pool, "LOADED", 8)
    config = tiny_config(data={"restore": 4, "patterns_every": 1}, train={"steps": 2})
    assert [batch.drawn for batch in pool.batches(scan([folder]), config, room=64, device=CPU)] == [True, True]


def test_loading_that_fails_ends_the_run(pool, tmp_path):
    (tmp_path / "face").mkdir()
    (tmp_path / "face" / "no.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="could not be read"):
        list(pool.batches(scan([tmp_path]), tiny_config(), room=64, device=CPU))


def test_a_pool_has_no_low_pictures_of_one_fidelity(pool, folder):
    config = tiny_config(data={"sharp_bicubic_share": 0.1})
    with pytest.raises(ConfigError, match="sharp_bicubic_share"):
        next(pool.batches(scan([folder]), config, room=64, device=CPU))


def test_faces_are_told_at_every_fidelity(pool):
    config = tiny_config(data={"crop_px": 128, "restore": 2, "sharp": 2, "repaint": 2})
    drawn, side = pool.Pool(config, 8, CPU), config.data.crop_px + pool.MARGIN_PX
    pictures = [torch.zeros(8, wide, wide, 3, dtype=torch.uint8) for wide in (side, side // 4, pool.STYLE_PX)]
    drawn.add((*pictures, torch.tensor([[0.1, 0, 0], [0, 0.1, 0]]).expand(8, 2, 3)))  # small, in the middle
    batch = drawn.draw(0)
    assert batch.fidelity[:2].tolist() == [1, 1]
    assert batch.faces.flatten(1).any(1).all()


def test_fidelities_of_a_pool_may_be_drawn_low(pool):
    """The same draws, squared; fidelity 1 stays."""

    def drawn(power: float) -> torch.Tensor:
        data = {"crop_px": 32, "restore": 1, "sharp": 3, "repaint": 0, "fidelity_power": power}
        pictures, side = pool.Pool(tiny_config(data=data), 8, CPU), 32 + pool.MARGIN_PX
        held = [torch.zeros(8, wide, wide, 3, dtype=torch.uint8) for wide in (side, side // 4, pool.STYLE_PX)]
        pictures.add((*held, torch.zeros(8, 2, 3)))
        torch.manual_seed(0)
        return pictures.draw(0).fidelity

    even, low = drawn(1), drawn(2)
    assert torch.allclose(low, even**2)
    assert low[0] == 1
    assert (low[1:] < even[1:]).all()
