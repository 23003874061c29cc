"""runs/knob.py: the fidelity knob stretched, without a place of it lost or moved otherwise."""

import pytest
import torch
from tiny_nets import tiny_config

from upbrush import weights
from upbrush.nn.generator import Generator


@pytest.fixture
def before(tmp_path):
    torch.manual_seed(4)
    config = tiny_config()
    generator = Generator(config.model)
    torch.nn.init.normal_(generator.modulator.restore[-1].weight)  # as it begins, fidelity hardly tells
    weights.save(tmp_path / "before.safetensors", generator, config, {"step": "7"})
    return tmp_path / "before.safetensors"


def test_the_lowest_fidelity_becomes_zero_and_the_rest_lies_between(script, before, tmp_path):
    script("knob", before, "--lowest", 0.4, "-o", tmp_path / "after.safetensors")
    old, _, header = weights.load(before)
    new, _, told = weights.load(tmp_path / "after.safetensors")
    assert told["from"] == f"{header['identity']}, with its fidelity 0.4 as 0"
    seen, code = torch.rand(1, 6, 32, 32), torch.rand(1, old.modulator.code_size)

    def mods(generator, fidelity, strength=0.0):
        return generator.modulator(seen, code, torch.tensor([[strength]]), torch.tensor([[fidelity]]))

    for fidelity in (0.0, 0.5, 1.0):
        assert torch.allclose(mods(new, fidelity), mods(old, 0.4 + 0.6 * fidelity), atol=1e-5)
        added = [mods(generator, fidelity, 1.0) - mods(generator, fidelity) for generator in (old, new)]
        assert torch.allclose(*added, atol=1e-5), "what repainting adds stays"
    assert not torch.allclose(mods(old, 0.0), mods(old, 0.4), atol=1e-3)


def test_a_fidelity_that_is_none_is_refused(script, before, tmp_path, capsys):
    with pytest.raises(SystemExit):
        script("knob", before, "--lowest", 1, "-o", tmp_path / "after.safetensors")
    assert "--lowest 1: expected a fidelity in [0, 1)" in capsys.readouterr().err
    assert not (tmp_path / "after.safetensors").exists()
