"""The optimiser: orthogonal steps for wide layers, Adam's for the rest."""

import copy

import pytest
import torch
from torch import nn

from upbrush.muon import LIKE_ADAM, Muon, orthogonalised


@pytest.mark.parametrize("shape", [(3, 32, 288), (2, 128, 40), (1, 64, 64)])
def test_singular_values_become_about_one(shape):
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    spread = torch.logspace(0, -2, min(shape[1:]))  # a hundredfold between the first and the last
    values = torch.linalg.svdvals(orthogonalised(u @ torch.diag_embed(spread.expand(shape[0], -1)) @ v))
    assert values.max() < 1.3
    assert values[..., : min(shape[1:]) // 2].min() > 0.6
    assert values.min() > 0.05 > 10 * spread.min() * 0.1, "the least direction is lifted, too"


def test_narrow_parameters_take_the_steps_of_adam():
    torch.manual_seed(0)
    ours, theirs = (nn.Sequential(nn.Conv2d(3, 40, 3), nn.Flatten(), nn.Linear(40 * 36, 2)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    one, other = Muon(ours.parameters(), 1e-2), torch.optim.Adam(theirs.parameters(), 1e-2, (0.9, 0.99))
    for _ in range(5):
        x = torch.randn(4, 3, 8, 8)
        for net, optimiser in ((ours, one), (theirs, other)):
            optimiser.zero_grad()
            net(x).square().mean().backward()
            optimiser.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("linear", [False, True], ids=["convolution", "linear"])
def test_a_wide_layer_moves_as_far_as_adam_would_in_all_directions_alike(linear):
    torch.manual_seed(0)
    layer = nn.Linear(64, 96, bias=False) if linear else nn.Conv2d(64, 64, 3, bias=False)
    before = layer.weight.detach().clone()
    layer(torch.randn(200, 64) if linear else torch.randn(2, 64, 8, 8)).square().mean().backward()
    Muon(layer.parameters(), 1e-2).step()
    step = (layer.weight.detach() - before).flatten(1)
    assert step.square().mean().sqrt().item() == pytest.approx(1e-2 * LIKE_ADAM, rel=0.3)
    values = torch.linalg.svdvals(step)
    assert values[32] > 0.5 * values[0]


def test_layers_of_one_shape_move_as_if_alone():
    torch.manual_seed(0)
    pair = nn.Sequential(nn.Conv2d(32, 32, 3), nn.Conv2d(32, 32, 3))
    pair(torch.randn(1, 32, 9, 9)).square().mean().backward()
    alone = nn.Conv2d(32, 32, 3)
    alone.load_state_dict(pair[1].state_dict())
    alone.weight.grad, alone.bias.grad = pair[1].weight.grad.clone(), pair[1].bias.grad.clone()
    Muon(pair.parameters(), 1e-2).step()
    Muon(alone.parameters(), 1e-2).step()
    assert torch.allclose(pair[1].weight, alone.weight, atol=1e-6)


def test_state_survives_saving():
    torch.manual_seed(0)
    nets = [nn.Conv2d(32, 32, 3) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    optimisers = [Muon(net.parameters(), 1e-2) for net in nets]
    x = torch.randn(1, 32, 6, 6)
    for step in range(4):
        if step == 2:
            nets[1].load_state_dict(nets[0].state_dict())
            optimisers[1].load_state_dict(copy.deepcopy(optimisers[0].state_dict()))  # it keeps what it is given
        for net, optimiser in list(zip(nets, optimisers, strict=True))[: 1 + (step >= 2)]:
            optimiser.zero_grad()
            net(x).square().mean().backward()
            optimiser.step()
    assert torch.equal(nets[0].weight, nets[1].weight)


def test_decay_takes_its_share_of_wide_convolutions_alone():
    torch.manual_seed(0)
    ours, theirs = (nn.Sequential(nn.Conv2d(32, 40, 3), nn.Flatten(), nn.Linear(40 * 36, 40)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    one, other = Muon(ours.parameters(), 1e-2, weight_decay=0.5), Muon(theirs.parameters(), 1e-2)
    before = ours[0].weight.detach().clone()
    for net, optimiser in ((ours, one), (theirs, other)):
        net(torch.ones(2, 32, 8, 8)).square().mean().backward()
        optimiser.step()
    assert torch.allclose(ours[0].weight, theirs[0].weight - 1e-2 * 0.5 * before, atol=1e-7)
    for name in ("0.bias", "2.weight", "2.bias"):
        assert torch.equal(ours.get_parameter(name), theirs.get_parameter(name))


def test_a_state_from_before_weights_decayed_is_taken():
    layer = nn.Conv2d(32, 32, 3)
    optimiser = Muon(layer.parameters(), 1e-2)
    state = optimiser.state_dict()
    del state["param_groups"][0]["weight_decay"]
    optimiser.load_state_dict(state)
    layer(torch.ones(1, 32, 5, 5)).sum().backward()
    optimiser.step()
