"""How sure a mean is, and a difference of two: bootstrap intervals and a paired permutation test; seeded, pure.

Pictures that share a truth or a style are not independent. The bootstrap draws truths and styles anew, each on its own
(the pigeonhole bootstrap, Owen 2007); for sets without repeats that is the ordinary bootstrap over pictures.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 2000
FLIPS = 9999
LEVEL = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean over pictures. low, high: its interval, None for a single picture. n: pictures that it is over."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Difference:
    """Two methods on the same pictures.

    value: mean of first minus second. better: the same as badness, below 0 where the first is better. p: of the paired
    test on it, two-sided. wins, losses, ties: in how many pictures the first is better, worse, equal.
    """

    value: float
    better: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    wins: int
    losses: int
    ties: int


class Resampler:
    """The same draws for every metric and method of one set of pictures.

    factors: for each thing that pictures may share, its label for every picture.
    """

    def __init__(self, factors: Sequence[Sequence[Hashable]], seed: int = 0, resamples: int = RESAMPLES):
        codes = [_coded(labels) for labels in factors]
        self.units = codes[0]  # of the paired test: the truths
        kept = [one for one in codes if len(np.unique(one)) > 1]
        # A factor that tells no more pictures apart than another is that other one again.
        unique = [one for i, one in enumerate(kept) if not any(_refines(kept[j], one) for j in range(i))]
        rng = np.random.default_rng(seed)
        weights = np.ones((resamples, len(codes[0])), np.float32)
        for one in unique:
            count = int(one.max()) + 1
            drawn = rng.multinomial(count, np.full(count, 1 / count), resamples).astype(np.float32)
            weights *= drawn[:, one]
        self.weights = weights if unique else None
        self._seed = seed

    def mean(self, values: Sequence[float | None], share: bool = False) -> Mean | None:
        """The mean over pictures that have a value, with its interval. None where none has.

        share: values are 0 and 1; where all are equal the bootstrap knows no doubt, and Wilson's interval is taken.
        """
        there, x = _split(values)
        n = int(there.sum())
        if not n:
            return None
        mean = float(x[there].mean())
        if share and mean in (0.0, 1.0):
            from scipy.stats import binomtest

            units = len(np.unique(self.units[there]))
            interval = binomtest(round(mean * units), units).proportion_ci(LEVEL, "wilson")
            return Mean(mean, float(interval.low), float(interval.high), n)
        low, high = self._interval(there, x)
        return Mean(mean, low, high, n)

    def difference(
        self, first: Sequence[float | None], second: Sequence[float | None], bad_first: Array, bad_second: Array
    ) -> Difference | None:
        """Compare two methods over the pictures that have both values; None where there are none.

        bad_first, bad_second: how bad each picture is, smaller is better; NaN where there is no value.
        """
        there_a, a = _split(first)
        there_b, b = _split(second)
        there = there_a & there_b
        n = int(there.sum())
        if not n:
            return None
        gap = np.where(there, a - b, 0.0)
        low, high = self._interval(there, gap)
        worse = np.where(there, bad_first - bad_second, 0.0)
        return Difference(
            float(gap[there].mean()), float(worse[there].mean()), low, high, self._p(worse, there), n,
            int((worse < 0).sum()), int((worse > 0).sum()), int((worse[there] == 0).sum()),
        )  # fmt: skip

    def _interval(self, there: NDArray[np.bool_], x: Array) -> tuple[float | None, float | None]:
        if self.weights is None or there.sum() < 2:
            return None, None
        weight = self.weights @ there.astype(np.float32)
        means = (self.weights.astype(np.float64) @ x)[weight > 0] / weight[weight > 0]
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)

    def _p(self, worse: Array, there: NDArray[np.bool_]) -> float | None:
        """By flipping the signs of whole truths: were the methods alike, either might have made either picture."""
        from scipy.stats import permutation_test

        sums = np.bincount(self.units[there], worse[there])
        sums = sums[np.bincount(self.units[there]) > 0]
        if len(sums) < 2 or not sums.any():
            return 1.0 if len(sums) > 1 else None
        found = permutation_test(
            (sums,), lambda x, axis: x.sum(axis), permutation_type="samples", vectorized=True, n_resamples=FLIPS,
            rng=np.random.default_rng(self._seed), batch=1000,
        )  # fmt: skip
        return float(found.pvalue)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values for their number (Holm, 1979); None stays None."""
    order = sorted((value, index) for index, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    most = 0.0
    for rank, (value, index) in enumerate(order):
        most = max(most, min(1.0, value * (len(order) - rank)))
        adjusted[index] = most
    return adjusted


def _split(values: Sequence[float | None]) -> tuple[NDArray[np.bool_], Array]:
    """Which have a value, and the values with 0 elsewhere."""
    there = np.array([value is not None for value in values])
    return there, np.array([0.0 if value is None else value for value in values])


def _coded(labels: Sequence[Hashable]) -> NDArray[np.intp]:
    """Labels as 0, 1, 2 … in order of appearance."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(label, len(known)) for label in labels], np.intp)


def _refines(fine: NDArray[np.intp], coarse: NDArray[np.intp]) -> bool:
    """Does each label of `fine` go with one label of `coarse`?"""
    return len({*zip(fine.tolist(), coarse.tolist(), strict=True)}) == len(np.unique(fine))
