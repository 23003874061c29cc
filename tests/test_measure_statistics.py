"""Intervals that hold what they promise, tests that cry wolf as often as they say, distances between sets."""

import numpy as np
import pytest
import torch
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from upbrush.measure import distributions
from upbrush.measure.faces import verification
from upbrush.measure.intervals import Resampler, holm


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        found = Resampler([range(30)], seed, resamples=400).mean(list(rng.normal(5, 2, 30)))
        held += found.low <= 5 <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_pictures_that_share_a_truth_count_for_less():
    rng = np.random.default_rng(1)
    truths = np.repeat(np.arange(10), 10)
    values = list(rng.normal(0, 1, 10)[truths] + rng.normal(0, 0.1, 100))
    alone = Resampler([range(100)]).mean(values)
    shared = Resampler([truths, np.tile(np.arange(10), 10)]).mean(values)
    assert shared.high - shared.low > 2 * (alone.high - alone.low)
    assert shared.value == alone.value


def test_a_factor_that_tells_the_same_again_changes_nothing():
    values = list(np.random.default_rng(2).normal(0, 1, 20))
    alone = Resampler([range(20), [None] * 20], 5).mean(values)
    assert Resampler([range(20), [f"style {i}" for i in range(20)]], 5).mean(values) == alone


def test_missing_values_do_not_count():
    found = Resampler([range(6)]).mean([1.0, None, 2.0, None, 3.0, 4.0])
    assert (found.value, found.n) == (2.5, 4)
    assert Resampler([range(2)]).mean([None, None]) is None


def test_one_picture_has_no_interval():
    found = Resampler([["a"]]).mean([3.0])
    assert (found.value, found.low, found.high) == (3.0, None, None)


def test_a_share_of_nothing_is_not_certain():
    none = Resampler([range(24)]).mean([0.0] * 24, share=True)
    assert none.low == pytest.approx(0)
    assert 0.1 < none.high < 0.16  # Wilson: 13.8 %
    assert Resampler([np.repeat(range(4), 6)]).mean([0.0] * 24, share=True).high > none.high


def difference(a, b, labels=None):
    resampler = Resampler([range(len(a)) if labels is None else labels])
    return resampler.difference(list(a), list(b), np.array(a), np.array(b))


def test_the_paired_test_is_wrong_as_often_as_it_says():
    rng = np.random.default_rng(3)
    p = [difference(*rng.normal(0, 1, (2, 8))).p for _ in range(150)]
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.10


def test_the_paired_test_finds_a_small_steady_difference():
    rng = np.random.default_rng(4)
    hard = rng.normal(30, 5, 40)
    found = difference(hard, hard + rng.normal(0.2, 0.1, 40))
    assert found.p < 0.001
    assert found.low < -0.2 < found.high < 0
    assert found.wins + found.losses == 40
    assert found.wins > 35


def test_repeats_of_one_truth_are_no_evidence():
    gap = np.repeat([1.0, 1.1], 20)
    assert difference(gap, np.zeros(40), np.repeat([0, 1], 20)).p == 0.5
    assert difference(gap, np.zeros(40)).p < 0.001


def test_equal_methods_have_no_difference():
    found = difference([1.0, 2.0], [1.0, 2.0])
    assert (found.value, found.p, found.ties) == (0, 1, 2)
    assert difference([1.0], [2.0]).p is None


def test_holm_by_hand():
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1, 1]


def test_kid_is_torchmetrics():
    rng = np.random.default_rng(5)
    x, y = rng.normal(0, 1, (30, 16)), rng.normal(0.3, 1, (30, 16))
    theirs = float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y)))
    assert distributions.kid(x, y).value == pytest.approx(theirs, abs=1e-9)


def test_kid_of_pairs_is_not_pulled_below_zero():
    rng = np.random.default_rng(6)
    y = rng.normal(0, 1, (40, 8))
    x = y + rng.normal(0, 0.01, y.shape)
    plain, paired = distributions.kid(x, y), distributions.kid(x, y, np.eye(40, dtype=bool))
    assert plain.value < plain.high < 0  # surely below 0: each output is next to its own truth
    assert paired.low < 0 < paired.high


def test_kids_interval_is_the_jackknife_by_groups():
    rng = np.random.default_rng(7)
    x, y = rng.normal(0, 1, (12, 4)), rng.normal(0.5, 1, (4, 4))
    of_x, of_y = np.repeat(np.arange(4), 3), np.arange(4)
    related, within = np.equal.outer(of_x, of_y), np.equal.outer(of_x, of_x)
    found = distributions.kid(x, y, related, within, [(of_x, of_y)])
    left = []
    for group in range(4):
        i, j = of_x != group, of_y != group
        left.append(distributions.kid(x[i], y[j], related[np.ix_(i, j)], within[np.ix_(i, i)], []).value)
    error = np.sqrt(3 / 4 * np.sum((np.array(left) - np.mean(left)) ** 2))
    assert found.high - found.value == pytest.approx(1.96 * error)


def test_kids_interval_shrinks_with_more_pictures():
    rng = np.random.default_rng(8)
    wide, narrow = (distributions.kid(rng.normal(0, 1, (n, 4)), rng.normal(0.4, 1, (n, 4))) for n in (20, 320))
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2
    assert narrow.low > 0


def test_frechet_is_torchmetrics_and_zero_for_equal_sets():
    rng = np.random.default_rng(9)
    x, y = rng.normal(0, 1, (500, 6)), rng.normal(0, 1, (500, 6)) @ rng.normal(0, 1, (6, 6)) + 1
    parts = [torch.from_numpy(part) for z in (x, y) for part in (z.mean(0), np.cov(z, rowvar=False))]
    assert distributions.frechet(x, y) == pytest.approx(float(_compute_fid(*parts)), rel=1e-6)
    assert distributions.frechet(x, x) == pytest.approx(0, abs=1e-6)
    assert distributions.frechet(x, x + 2) == pytest.approx(6 * 4)


def test_a_verifier_lets_in_no_more_strangers_than_it_says():
    rng = np.random.default_rng(10)
    faces = rng.normal(0, 1, (60, 128)).astype(np.float32)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    found = verification(faces, 0.01)
    cosines = (faces @ faces.T)[np.triu_indices(60, 1)]
    assert found.impostors == 60 * 59 // 2
    assert np.mean(cosines > found.threshold) == found.false_accepts == pytest.approx(0.01, abs=0.001)
    assert verification(faces[:5], 0.01).false_accepts == 0
    assert verification(faces[:1], 0.01) is None
