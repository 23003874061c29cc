"""runs/larger.py: wider layers that paint the same pictures, and can learn by what is new."""

import pytest
import torch
from tiny_nets import tiny_config

from upbrush import weights
from upbrush.nn.generator import Generator


@pytest.fixture
def small(tmp_path):
    torch.manual_seed(5)
    config = tiny_config()
    generator = Generator(config.model)
    for parameter in generator.parameters():  # as it begins, much is zero, and would be found anywhere
        torch.nn.init.normal_(parameter, std=0.05)
    weights.save(tmp_path / "small.safetensors", generator, config, {"step": "7"})
    return tmp_path / "small.safetensors"


def painted(generator):
    torch.manual_seed(6)
    low, style = torch.rand(2, 3, 12, 14), torch.rand(1, 3, 256, 256)
    return generator(low, style, torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.3]))


def test_a_wider_generator_paints_the_same_pictures(script, small, tmp_path):
    channels = tiny_config().model.channels + 5
    script("larger", small, "--channels", channels, "-o", tmp_path / "large.safetensors")
    old, _, header = weights.load(small)
    new, config, told = weights.load(tmp_path / "large.safetensors")
    assert config.model.channels == channels
    assert header["identity"] in told["from"]
    with torch.no_grad():
        assert torch.allclose(painted(old), painted(new), atol=1e-5)


def test_what_is_new_learns(script, small, tmp_path):
    channels = tiny_config().model.channels + 5
    script("larger", small, "--channels", channels, "-o", tmp_path / "large.safetensors")
    new, config, _ = weights.load(tmp_path / "large.safetensors")
    painted(new).square().mean().backward()
    first = new.renderer.body[0].weight.grad
    assert first[: config.model.channels - 5, -5:].abs().max() > 0


def test_fewer_channels_are_refused(script, small, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        script("larger", small, "--channels", 1, "-o", tmp_path / "large.safetensors")
    assert "expected more than" in capsys.readouterr().err
    assert not (tmp_path / "large.safetensors").exists()
