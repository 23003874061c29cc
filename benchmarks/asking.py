"""How often the intervals of `upbrush survey report` hold the truth: made-up people of known strengths, many studies.

    python benchmarks/asking.py [--studies 500]

Prints docs/survey.md's table. A study is 20 pictures of three methods with 20 votes a person; with tastes that differ a
person's own strengths are off everyone's by a normal deviate. Studies draw their people from 5000, and the truth is
what all of those say.
"""

import argparse

import numpy as np

from upbrush.survey import plan, statistics
from upbrush.survey.study import Item, Study

STRENGTHS = np.array([0.6, 0.1, -0.7])
METHODS, PICTURES, VOTES, CROWD = 3, 20, 20, 5000
CASES = ((6, 0.0), (12, 0.0), (12, 0.8), (25, 0.8))


def made_up_study() -> Study:
    """A study of names only."""
    items = tuple(
        Item(str(item), 1, 1, tuple(f"{item}-{method}" for method in range(METHODS))) for item in range(PICTURES)
    )
    pairs = tuple((item, *pair) for item in range(PICTURES) for pair in ((0, 1), (0, 2), (1, 2)))
    return Study("made-up", 5, ("a", "b", "c"), items, pairs, (), (), VOTES, 0, False)


def votes_of(people: int, tastes: float, strengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What made-up people say: (people, METHODS, METHODS), how often each preferred row to column."""
    study = made_up_study()
    wins = np.zeros((people, METHODS, METHODS))
    for person in range(people):
        own = strengths + tastes * rng.standard_normal(METHODS)
        for trial in plan.draw(study, {}, rng):
            assert trial.right is not None
            likes_left = rng.random() < 1 / (1 + np.exp(own[trial.right] - own[trial.left]))
            pair = (trial.left, trial.right) if likes_left else (trial.right, trial.left)
            wins[(person, *pair)] += 1
    return wins


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=500)
    studies = parser.parse_args().studies
    print("| people | tastes | 95 % intervals of scores hold the truth | of shares |\n|---|---|---|---|")
    crowds = {tastes: votes_of(CROWD, tastes, STRENGTHS, np.random.default_rng(7)) for tastes in (0.0, 0.8)}
    for people, tastes in CASES:
        everyone = crowds[tastes].sum(0)
        truth, true_share = statistics.strengths(everyone), everyone[0, 1] / (everyone[0, 1] + everyone[1, 0])
        scores, shares = [], []
        for number in range(studies):
            rng = np.random.default_rng([number, people])
            wins = crowds[tastes][rng.choice(CROWD, people, replace=False)]
            found = statistics.scores(wins, rng, 200)
            scores.append((found.low <= truth) & (truth <= found.high))
            one = statistics.share(wins[:, 0, 1], wins[:, 0, 1] + wins[:, 1, 0], rng)
            shares.append(one.low <= true_share <= one.high)
        told = f"differ (σ = {tastes})" if tastes else "alike"
        print(f"| {people} | {told} | {np.mean(scores):.1%} | {np.mean(shares):.1%} |", flush=True)
    alarms = 0
    for number in range(studies):
        rng = np.random.default_rng([number, 99])
        wins = votes_of(12, 0.8, np.zeros(METHODS), rng)
        alarms += statistics.share(wins[:, 0, 1], wins[:, 0, 1] + wins[:, 1, 0], rng).p < 0.05
    print(f"\nno difference at all, 12 people: p < 0.05 in {alarms / studies:.1%} of {studies} studies")


if __name__ == "__main__":
    main()
