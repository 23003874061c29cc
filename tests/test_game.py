"""The game: what is dealt, what the losses say, and that the discriminator can learn to tell."""

import math
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from tiny_nets import TINY_GAME, tiny_config

from upbrush.dataset import Batch
from upbrush.game import Game, deal, gradient_penalty, hinge, relativistic
from upbrush.nn.discriminator import Discriminator, Hand

GAME = tiny_config(data={"crop_px": 64}, game=TINY_GAME).game


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def numbered(side, offset=0.0):
    """A picture whose every pixel has a value of its own."""
    return (torch.arange(side * side, dtype=torch.float32).view(1, side, side) / side**2 / 2 + offset).expand(3, -1, -1)


@pytest.fixture
def batch():
    """One picture restored at fidelity 1, one at .25, one repainted at strength .5."""
    high = torch.stack([numbered(64), numbered(64), numbered(64)])
    strength, fidelity = torch.tensor([0, 0, 0.5]), torch.tensor([1, 0.25, 1])
    return Batch(high, high[..., ::4, ::4], numbered(96, 0.5)[None], strength, fidelity, torch.zeros(3, 2, 3))


def test_only_sharp_pictures_and_repaints_are_dealt_by_their_weight(batch):
    dealt = deal(batch.high, batch, GAME, seeded())
    assert dealt.weight.tolist() == [0.75, 0.5]
    for pile in dealt[:3]:
        assert [x.shape for x in pile] == [(2, 4, 3, 16, 16), (2, 2, 3, 16, 16)]


@pytest.mark.parametrize(("until", "weight"), [(0.5, 0.5), (0.25, 0.0), (0.2, 0.0)])
def test_the_game_may_end_below_fidelity_1(batch, until, weight):
    dealt = deal(batch.high, batch, GAME.model_copy(update={"until": until}), seeded())
    assert dealt.weight.tolist() == [weight, 0.5]


def test_no_reference_patch_shows_what_is_judged(batch):
    for seed in range(20):
        dealt = deal(batch.high, batch, GAME, seeded(seed))
        for real, reference in zip(dealt.real, dealt.reference, strict=True):
            for picture in range(2):
                judged, others = set(real[picture].flatten().tolist()), set(reference[picture].flatten().tolist())
                assert not judged & others


def test_restored_pictures_are_judged_where_the_true_one_is(batch):
    dealt = deal(batch.high + 0.001, batch, GAME, seeded())
    for real, fake in zip(dealt.real, dealt.fake, strict=True):
        assert torch.allclose(real[0] + 0.001, fake[0])


def test_repaints_are_compared_with_their_style(batch):
    dealt = deal(batch.high, batch, GAME, seeded())
    for real, fake, reference in zip(*dealt[:3], strict=True):
        assert real[1].min() >= 0.5
        assert reference[1].min() >= 0.5
        assert fake[1].max() <= 0.5


def test_a_deal_is_a_pure_function_of_its_generator(batch):
    for config in (GAME, GAME.model_copy(update={"augment": True})):
        one, same, other = (deal(batch.high, batch, config, seeded(seed)) for seed in (1, 1, 2))
        assert all(torch.equal(a, b) for a, b in zip(one.real, same.real, strict=True))
        assert not torch.equal(one.real[0], other.real[0])


def test_augmenting_treats_all_patches_of_a_restored_picture_alike_and_keeps_a_styles_colours(batch):
    batch = replace(batch, high=torch.full((3, 3, 64, 64), 0.5), style=torch.full((1, 3, 96, 96), 0.5))
    dealt = deal(batch.high, batch, GAME.model_copy(update={"augment": True}), seeded(3))
    tops = [[pile[0][picture].max() for pile in dealt[:3]] for picture in range(2)]
    assert tops[0][0] == tops[0][1] == tops[0][2]
    assert tops[0][0] != 0.5
    assert tops[1] == [0.5] * 3
    assert all((x == 0).any() for pile in dealt[:3] for x in pile), "cutout leaves a hole"


def test_losses_are_what_the_papers_say():
    even, weight = [torch.zeros(2, 3)], torch.tensor([1.0, 0.0])
    assert relativistic(even, even, weight).item() == pytest.approx(math.log(2))
    assert hinge(even, even, weight).item() == pytest.approx(2)
    real, fake = [torch.tensor([[2.0], [9.0]])], [torch.tensor([[-1.0], [9.0]])]  # the second picture weighs nothing
    assert relativistic(real, fake, weight).item() == pytest.approx(math.log1p(math.exp(-3)))
    assert relativistic(fake, real, weight).item() == pytest.approx(math.log1p(math.exp(3)))
    assert hinge(real, fake, weight).item() == 0


def test_the_penalty_of_a_linear_judge_is_its_squared_length():
    weights = torch.rand(3, 4, 4)
    patches = torch.rand(2, 5, 3, 4, 4, requires_grad=True)
    penalty = gradient_penalty([(patches * weights).sum((2, 3, 4))], [patches], torch.ones(2))
    assert penalty.item() == pytest.approx(weights.square().sum().item(), rel=1e-5)


def test_the_order_of_reference_patches_does_not_matter():
    torch.manual_seed(0)
    judge, judged, reference = Discriminator(GAME), torch.rand(2, 3, 3, 16, 16), torch.rand(2, 4, 3, 16, 16)
    one = judge([Hand(judged, reference)])[0]
    assert torch.allclose(one, judge([Hand(judged, reference.flip(1))])[0], atol=1e-6)
    assert not torch.allclose(one, judge([Hand(judged, reference.flip(0))])[0], atol=1e-6)


@pytest.mark.parametrize(
    "changes", [{}, {"loss": "hinge"}, {"spectral": True, "penalty": 0.0}, {"augment": True}], ids=str
)
def test_the_discriminator_learns_the_question(changes):
    """Stripes of one direction in the reference: patches with stripes of the other are found out."""
    config = GAME.model_copy(update={"lr": 3e-3, **changes})
    torch.manual_seed(0)
    game = Game(config, Fabric(accelerator="cpu", devices=1), seed=0)
    across = torch.zeros(3, 64, 64)
    across[:, ::4] = 1
    fidelity, strength = torch.zeros(4), torch.zeros(4)
    high = torch.stack([across, across.mT, across, across.mT])
    output = high.mT.contiguous()  # each the other way around: only the reference tells which is right
    batch = Batch(high, high[..., ::4, ::4], torch.zeros(0, 3, 64, 64), strength, fidelity, torch.zeros(4, 2, 3))
    autocast = torch.autocast("cpu", enabled=False)
    accuracy = []
    for step in range(60):
        game.optimiser.zero_grad()
        loss, terms = game.losses(game.deal(output, batch, step), step, autocast)
        loss.backward()
        game.optimiser.step()
        accuracy.append(terms["accuracy"])
    assert sum(accuracy[-10:]) / 10 > 0.8


def test_the_generator_is_told_and_the_discriminator_learns_nothing_from_it(batch):
    torch.manual_seed(0)
    for config in (GAME, GAME.model_copy(update={"loss": "hinge"})):
        game = Game(config, Fabric(accelerator="cpu", devices=1), seed=0)
        output = batch.high.clone().requires_grad_()
        game.generator_loss(game.deal(output, batch, 0)).backward()
        assert output.grad[1:].abs().sum() > 0
        assert output.grad[0].abs().sum() == 0, "at fidelity 1 there is no game"
        assert all(p.grad is None and p.requires_grad for p in game.discriminator.parameters())


def test_accuracy_is_of_what_is_in_the_game(batch):
    """The restored picture's patches are told at once, the repaint's never; out of the game it does not count."""
    torch.manual_seed(0)
    autocast = torch.autocast("cpu", enabled=False)
    told = []
    for until in (1.0, 0.25):
        game = Game(GAME.model_copy(update={"until": until}), Fabric(accelerator="cpu", devices=1), seed=0)
        hand = torch.tensor([[1.0] * 4 + [0.0] * 4, [0.0] * 4 + [1.0] * 4])
        game.discriminator.forward = lambda hands, hand=hand: [hand for _ in hands]
        told.append(game.losses(game.deal(batch.high, batch, 0), 1, autocast)[1]["accuracy"])
    assert told == [pytest.approx(0.75 / 1.25), 0.0]
    out = replace(batch, strength=torch.zeros(3))
    assert "accuracy" not in game.losses(game.deal(out.high, out, 0), 1, autocast)[1]


def test_a_style_with_fewer_places_than_the_picture_deals_fewer(batch):
    small = replace(batch, style=batch.style[..., :64, :32])
    for size, (real, fake, reference) in enumerate(zip(*deal(small.high, small, GAME, seeded())[:3], strict=True)):
        assert real.shape[1] == fake.shape[1] == reference.shape[1] == (4, 1)[size]


def test_penalties_come_every_so_often(batch):
    game = Game(GAME.model_copy(update={"penalty_every": 3}), Fabric(accelerator="cpu", devices=1), seed=0)
    autocast = torch.autocast("cpu", torch.bfloat16)
    seen = [set(game.losses(game.deal(batch.high, batch, step), step, autocast)[1]) for step in range(4)]
    assert [("r1" in terms, "r2" in terms) for terms in seen] == [
        (True, True),
        (False, False),
        (False, False),
        (True, True),
    ]
