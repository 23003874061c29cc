"""The sums behind a report: Bradley-Terry, agreement, mean opinion scores, and how many votes a difference needs.

Pure: arrays in, numbers out. A vote is a row (group, winner's share): everything that one person says is one group, for
people answer alike with themselves, and counting their votes as if they were independent would promise too much.
"""

from dataclasses import dataclass

import choix
import numpy as np
from scipy import stats

HALF_VOTE = 0.5
ROUNDS = 1000  # of the bootstrap
RECOVERY_ROUNDS = 200  # each of which takes longer
MOST_STEPS, CLOSE, TINY = 5000, 1e-7, 1e-8  # of a fit
LEVEL, POWER = 0.05, 0.8
MOST_VOTES = 100_000


@dataclass(frozen=True)
class Scores:
    """Bradley-Terry strengths on the natural logarithm's scale, their mean 0. errors: standard errors."""

    values: np.ndarray
    errors: np.ndarray
    low: np.ndarray
    high: np.ndarray


def strengths(wins: np.ndarray) -> np.ndarray:
    """Fit a Bradley-Terry model (Bradley & Terry, 1952) by maximum likelihood (choix, I-LSR).

    wins: (N, N), how often row was preferred to column; a tie is half a win each way. Half a vote is added each way
    to every two methods (Haldane 1956, Anscombe 1956), so that a method that never lost has a finite score too, and
    less bias besides. Returns (N,) with mean 0: method i is preferred to j with chance 1 / (1 + exp(s_j - s_i)).
    """
    fitted = choix.ilsr_pairwise_dense(wins + _half_votes(len(wins)), max_iter=10_000)
    return np.asarray(fitted - fitted.mean())


def strengths_of_many(wins: np.ndarray) -> np.ndarray:
    """The same for many tables at once, as a bootstrap has them: (B, N, N) to (B, N).

    By the MM algorithm (Hunter, Annals of Statistics 2004), which numpy does for all of them in one go: a bootstrap of
    choix's fits, one after the other, takes seconds.
    """
    padded = wins + _half_votes(wins.shape[-1])
    won, votes = padded.sum(2), padded + padded.transpose(0, 2, 1)
    weights = np.ones_like(won)
    for _ in range(MOST_STEPS):
        before = weights
        weights = won / (votes / (weights[:, :, None] + weights[:, None, :])).sum(2)
        weights /= np.exp(np.log(weights).mean(1, keepdims=True))
        if np.abs(weights / before - 1).max() < CLOSE:
            break
    return np.asarray(np.log(weights))


def _half_votes(methods: int) -> np.ndarray:
    return HALF_VOTE * (1 - np.eye(methods))


def scores(groups: np.ndarray, rng: np.random.Generator, rounds: int = ROUNDS) -> Scores:
    """Strengths with 95 % intervals for another draw of groups.

    groups: (G, N, N), the wins within each person (or each picture). The standard error is the bootstrap's over groups
    (times sqrt(G / (G - 1)), for it is too small by that), or the model's own where that is larger: where all agree a
    bootstrap sees no spread at all. The interval takes Student's t with G - 1 degrees of freedom.
    """
    count = len(groups)
    values = strengths(groups.sum(0))
    errors = _model_errors(groups.sum(0), values)
    if count > 1:
        drawn = rng.multinomial(count, np.full(count, 1 / count), rounds)
        samples = strengths_of_many(np.tensordot(drawn, groups, 1))
        errors = np.maximum(errors, np.std(samples, axis=0, ddof=1) * np.sqrt(count / (count - 1)))
    reach = errors * (stats.t.ppf(1 - LEVEL / 2, count - 1) if count > 1 else stats.norm.ppf(1 - LEVEL / 2))
    return Scores(values, errors, values - reach, values + reach)


def _model_errors(wins: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Standard errors as if every vote stood for itself, by the likelihood's curvature."""
    chance = preferred(values)
    votes = wins + wins.T + 2 * _half_votes(len(wins))
    curvature = -votes * chance * (1 - chance)
    np.fill_diagonal(curvature, 0)
    np.fill_diagonal(curvature, -curvature.sum(1))
    shift = 1 / len(wins)  # strengths are known but for a shift: it is fixed, so that there is an inverse
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(curvature + shift)) - shift))


def preferred(values: np.ndarray) -> np.ndarray:
    """The chance that row is preferred to column, by strengths: (N,) to (N, N)."""
    return np.asarray(1 / (1 + np.exp(values[None, :] - values[:, None])))


@dataclass(frozen=True)
class Share:
    """How often one of two methods was preferred. share: ties count half. design_effect: see `share`."""

    votes: int
    share: float
    low: float
    high: float
    p: float
    design_effect: float


def share(groups: np.ndarray, votes: np.ndarray, rng: np.random.Generator) -> Share:
    """The share of votes for the first of two methods, with a 95 % interval and a p-value against one half.

    groups: (G,) wins of the first within each person, ties half; votes: (G,) of votes. The interval is Wilson's (1927)
    for as many votes as these are worth: votes / design effect, which is the variance between people over that of
    independent votes (Kish 1965), at least 1. The p-value is of a sign-flip test over people, who are what was drawn.
    """
    total = float(votes.sum())
    value = float(groups.sum() / total)
    count, effect = int((votes > 0).sum()), 1.0
    if count > 1 and 0 < value < 1:
        between = ((groups - value * votes) ** 2).sum() * count / (count - 1)
        effect = max(1.0, float(between / (total * value * (1 - value))))
    low, high = wilson(value, total / effect, count - 1)
    net = (groups - votes / 2)[votes > 0]
    test = stats.permutation_test((net,), np.sum, permutation_type="samples", n_resamples=9999, rng=rng)
    return Share(int(total), value, low, high, float(test.pvalue), effect)


def wilson(value: float, votes: float, freedom: int = 0) -> tuple[float, float]:
    """Wilson's 95 % interval for a share of so many votes, which need not be whole.

    freedom: where the spread itself was estimated, from how many groups less one; 0 where it was not.
    """
    z = stats.t.ppf(1 - LEVEL / 2, freedom) if freedom else stats.norm.ppf(1 - LEVEL / 2)
    centre = (value + z**2 / (2 * votes)) / (1 + z**2 / votes)
    reach = z / (1 + z**2 / votes) * np.sqrt(value * (1 - value) / votes + z**2 / (4 * votes**2))
    return max(0.0, float(centre - reach)), min(1.0, float(centre + reach))


def votes_needed(value: float, design_effect: float = 1.0) -> int | None:
    """How many votes show a true share of `value` to differ from one half: two-sided 5 %, in 4 of 5 studies.

    By the exact sign test, times the design effect. None where more than 100 000 would be needed.
    """
    value = max(value, 1 - value)
    if value <= 0.5:
        return None
    z = stats.norm.ppf(1 - LEVEL / 2) * 0.5 + stats.norm.ppf(POWER) * np.sqrt(value * (1 - value))
    about = (z / (value - 0.5)) ** 2
    if about * design_effect > MOST_VOTES:
        return None
    # Exact power rises and falls a little with each vote: the first number from which it stays above.
    numbers = np.arange(max(1, int(about / 2)), int(about * 1.5) + 60)
    short = np.flatnonzero(_power(numbers, value) < POWER)
    first = numbers[0] if not len(short) else numbers[short[-1]] + 1
    return int(np.ceil(first * design_effect))


def seen_by(votes: float, design_effect: float = 1.0) -> float | None:
    """The smallest share above one half that so many votes show in 4 of 5 studies; None where they show none."""
    grid = np.linspace(0.501, 0.999, 499)
    enough = grid[_power(np.full(len(grid), int(votes / design_effect)), grid) >= POWER]
    return float(enough[0]) if len(enough) else None


def _power(numbers: np.ndarray, value: float | np.ndarray) -> np.ndarray:
    """How often the exact two-sided sign test of so many votes sees a true share."""
    least = stats.binom.isf(LEVEL / 2, numbers, 0.5) + 1  # so many wins, or as few, are significant
    return np.asarray(stats.binom.sf(least - 1, numbers, value) + stats.binom.cdf(numbers - least, numbers, value))


def alpha(table: np.ndarray, interval: bool = False) -> float | None:
    """Krippendorff's alpha: 1 is full agreement, 0 what chance gives, below 0 is worse than chance.

    table: (units, people), NaN where a person did not judge a unit; units judged once do not count. interval: whether
    distances between values count (ratings), or only equal and unequal (votes). Krippendorff, "Computing
    Krippendorff's alpha-reliability", 2011. None where nothing was judged twice, or all values are the same.
    """
    return _alpha_of(_coincidences(table).sum(0), np.unique(table[~np.isnan(table)]), interval)


def alpha_interval(table: np.ndarray, rng: np.random.Generator, interval: bool = False) -> tuple[float, float] | None:
    """A 95 % interval of alpha, by the bootstrap over units (as in Zapf et al., BMC Med Res Methodol 2016)."""
    units, values = _coincidences(table), np.unique(table[~np.isnan(table)])
    if not len(units):
        return None
    drawn = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), ROUNDS)
    found = [_alpha_of(once, values, interval) for once in np.tensordot(drawn, units, 1)]
    kept = [one for one in found if one is not None]
    if len(kept) < ROUNDS / 2:
        return None
    low, high = np.quantile(kept, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def _coincidences(table: np.ndarray) -> np.ndarray:
    """How often values stand beside each other in each unit that was judged twice or more: (units, V, V)."""
    values = np.unique(table[~np.isnan(table)])
    counts = (table[:, :, None] == values).sum(1).astype(float)  # (units, V)
    counts = counts[counts.sum(1) > 1]
    pairs = counts[:, :, None] * counts[:, None, :] - np.einsum("uv,vw->uvw", counts, np.eye(len(values)))
    return np.asarray(pairs / (counts.sum(1) - 1)[:, None, None])


def _alpha_of(found: np.ndarray, values: np.ndarray, interval: bool) -> float | None:
    each = found.sum(1)
    total = each.sum()
    if total < 2:
        return None
    difference = (values[:, None] - values) ** 2 if interval else 1 - np.eye(len(values))
    expected = (np.outer(each, each) * difference).sum() / (total - 1)
    return None if expected <= 0 else float(1 - (found * difference).sum() / expected)


@dataclass(frozen=True)
class Opinion:
    """A mean opinion score with its 95 % interval, which needs two people."""

    mean: float
    low: float | None
    high: float | None
    people: int


def opinion(ratings: np.ndarray) -> Opinion:
    """Mean over people of each one's mean, by Student's t: (people, pictures) of 1 to 5."""
    each = ratings.mean(1)
    mean, count = float(each.mean()), len(each)
    if count < 2:
        return Opinion(mean, None, None, count)
    reach = float(stats.t.ppf(1 - LEVEL / 2, count - 1) * each.std(ddof=1) / np.sqrt(count))
    return Opinion(mean, mean - reach, mean + reach, count)


def recovered(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Qualities behind ratings, by the model of ITU-T P.910 (annex E): rating = quality + bias + inconsistency x noise.

    table: (pictures, people) of ratings, none missing. Solved by alternating projection (Li et al., 2020): who is
    strict or mild is shifted back, who rates at random counts little, nobody is left out. Returns qualities
    (pictures,), biases (people,) with mean 0, and inconsistencies (people,) in steps of the scale.
    """
    quality = table.mean(1)
    bias = (table - quality[:, None]).mean(0)
    for _ in range(MOST_STEPS):
        before = quality
        noise = (table - quality[:, None] - bias).std(0)
        weight = 1 / (noise**2 + TINY)
        quality = ((table - bias) * weight).sum(1) / weight.sum()
        bias = (table - quality[:, None]).mean(0)
        if np.linalg.norm(quality - before) < CLOSE:
            break
    noise = (table - quality[:, None] - bias).std(0)
    return quality + bias.mean(), bias - bias.mean(), noise


def recovered_opinions(each: np.ndarray, rng: np.random.Generator) -> list[Opinion]:
    """Mean recovered quality of every method, with 95 % intervals by a bootstrap over people and Student's t.

    each: (methods, people, pictures) of ratings.
    """
    methods, people, pictures = each.shape
    table = each.transpose(0, 2, 1).reshape(-1, people)

    def means(columns: np.ndarray) -> np.ndarray:
        return np.asarray(recovered(table[:, columns])[0].reshape(methods, pictures).mean(1))

    values = means(np.arange(people))
    if people < 2:
        return [Opinion(float(value), None, None, people) for value in values]
    samples = [means(drawn) for drawn in rng.integers(people, size=(RECOVERY_ROUNDS, people))]
    errors = np.std(samples, axis=0, ddof=1) * np.sqrt(people / (people - 1))
    reach = stats.t.ppf(1 - LEVEL / 2, people - 1) * errors
    return [Opinion(float(v), float(v - r), float(v + r), people) for v, r in zip(values, reach, strict=True)]


def opinion_difference(first: np.ndarray, second: np.ndarray) -> tuple[Opinion, float]:
    """How much better the first method is rated by the same people, and the paired t-test's p-value.

    first, second: (people, pictures) of the same people and pictures.
    """
    difference = first.mean(1) - second.mean(1)
    if len(difference) < 2 or np.ptp(difference) == 0:
        return opinion(first - second), 1.0 if not difference.any() else float("nan")
    return opinion(first - second), float(stats.ttest_1samp(difference, 0).pvalue)
