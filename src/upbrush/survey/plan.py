"""What one person sees: which pairs, on which side, in which order. Pure: the same counts and generator, the same plan.

Pairs get even coverage over people, each pair is shown as often one way round as the other, and within one person each
method is as often on the left as on the right; so a liking for one side cancels, and can be measured.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from upbrush.survey.study import Study

PAIR, REPEAT, CHECK, RATE = "pair", "repeat", "check", "rate"
SHARP, WORSE = 1, 0  # what stands for the sides of a check
Seen = Mapping[
    tuple[int, int, int], tuple[int, int]
]  # of a pair: how often shown, how often with its first method left


@dataclass(frozen=True)
class Trial:
    """One question. item: of a check the check's number. left, right: methods; right is None where one is rated."""

    kind: str
    item: int
    left: int
    right: int | None = None


def draw(study: Study, seen: Seen, rng: np.random.Generator) -> list[Trial]:
    """Draw one person's plan: choices first, then ratings. seen: how often the pairs were shown to others."""
    chosen = _chosen(study, seen, rng)
    trials = _apart(_sided(chosen, seen, rng), rng)
    trials = _with_repeats(trials, study.repeats, rng)
    trials = _with_checks(trials, len(study.checks), rng)
    rated = [Trial(RATE, item, method) for item in study.rated for method in range(len(study.methods))]
    return trials + _apart(rated, rng)


def _chosen(study: Study, seen: Seen, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """The pairs least shown so far; among those, each item and each two methods as evenly as can be."""
    left = [study.pairs[index] for index in rng.permutation(len(study.pairs))]
    items: Counter[int] = Counter()
    matchups: Counter[tuple[int, int]] = Counter()
    chosen = []
    for _ in range(study.votes):
        pair = min(left, key=lambda pair: (seen.get(pair, (0, 0))[0], matchups[pair[1:]], items[pair[0]]))
        left.remove(pair)
        items[pair[0]] += 1
        matchups[pair[1:]] += 1
        chosen.append(pair)
    return chosen


def _sided(chosen: Sequence[tuple[int, int, int]], seen: Seen, rng: np.random.Generator) -> list[Trial]:
    """Half of each two methods' pairs with the first one left: those in which it was so least."""

    def excess(pair: tuple[int, int, int]) -> float:
        shown, lefts = seen.get(pair, (0, 0))
        return lefts - shown / 2

    trials = []
    shuffled = [chosen[index] for index in rng.permutation(len(chosen))]
    for (first, second), group in groupby(sorted(shuffled, key=lambda pair: pair[1:]), key=lambda pair: pair[1:]):
        pairs = sorted(group, key=excess)
        half = (len(pairs) + int(rng.integers(2))) // 2  # of an odd number the one in the middle falls either way
        for index, (item, _, _) in enumerate(pairs):
            sides = (first, second) if index < half else (second, first)
            trials.append(Trial(PAIR, item, *sides))
    return trials


def _apart(trials: list[Trial], rng: np.random.Generator) -> list[Trial]:
    """At random, but no motif twice in a row where that can be helped."""
    left = [trials[index] for index in rng.permutation(len(trials))]
    ordered: list[Trial] = []
    while left:
        remaining = Counter(trial.item for trial in left)
        most = max(remaining.values())
        last = ordered[-1].item if ordered else None
        # A motif that fills half of what remains must come now, or it would stand beside itself at the end.
        urgent = [trial for trial in left if remaining[trial.item] == most and 2 * most > len(left)]
        fitting = [trial for trial in (urgent or left) if trial.item != last]
        trial = (fitting or [trial for trial in left if trial.item != last] or left)[0]
        left.remove(trial)
        ordered.append(trial)
    return ordered


def _with_repeats(trials: list[Trial], repeats: int, rng: np.random.Generator) -> list[Trial]:
    """Some of the first third again in the last third, with the sides swapped."""
    third = len(trials) // 3
    again = [trials[index] for index in rng.permutation(third)[:repeats]]
    mixed = list(trials)
    for trial in again:
        place = int(rng.integers(len(mixed) - third, len(mixed))) + 1
        assert trial.right is not None
        mixed.insert(place, Trial(REPEAT, trial.item, trial.right, trial.left))
    return mixed


def _with_checks(trials: list[Trial], checks: int, rng: np.random.Generator) -> list[Trial]:
    """One check somewhere in each of equal parts, never the very first; half of them with the sharp one left."""
    if not checks:
        return trials
    numbers = rng.permutation(checks)
    sharp_left = rng.permutation(np.arange(checks) < (checks + int(rng.integers(2))) // 2)
    edges = np.linspace(1, len(trials), checks + 1)
    mixed = list(trials)
    for index in reversed(range(checks)):  # from behind, so that places in front stay where they are
        place = int(rng.integers(int(edges[index]), max(int(edges[index]) + 1, int(edges[index + 1]) + 1)))
        sides = (SHARP, WORSE) if sharp_left[index] else (WORSE, SHARP)
        mixed.insert(place, Trial(CHECK, int(numbers[index]), *sides))
    return mixed
