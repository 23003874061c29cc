"""Whose answers count, by rules that are stated in the report and were fixed before anyone answered."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from upbrush.survey.plan import CHECK, RATE, SHARP
from upbrush.survey.store import Answer, Person
from upbrush.survey.study import Study

CHECKS_A_SLIP = 6  # one wrong attention check is forgiven for so many
LEAST_SECONDS = 0.5
SIDE_CHANCE = 0.001
RULES = (
    f"Left out is who failed more than one attention check in {CHECKS_A_SLIP} (with fewer than {CHECKS_A_SLIP}, any);",
    "who stopped before half of the attention checks;",
    f"whose median time for a choice is under {LEAST_SECONDS} s, which is too short to look at two pictures;",
    f"and who took one side so often that chance would do it in fewer than 1 of {1 / SIDE_CHANCE:.0f} cases.",
)


def faults(person: Person, study: Study) -> list[str]:
    """Why a person's answers are left out; empty for one whose answers count. Without any answer, no fault."""
    answered = list(zip(person.plan, person.answers, strict=False))
    pairs = [(trial, answer) for trial, answer in answered if trial.kind != RATE]
    found = []
    checks = [(trial, answer) for trial, answer in pairs if trial.kind == CHECK]
    failed = sum(not passed(trial.left, answer) for trial, answer in checks)
    if failed > len(checks) // CHECKS_A_SLIP:
        found.append(f"failed {failed} of {len(checks)} attention checks")
    if answered and 2 * len(checks) < len(study.checks):
        found.append(f"stopped after {len(checks)} of {len(study.checks)} attention checks")
    if pairs and np.median([answer.seconds for _, answer in pairs]) < LEAST_SECONDS:
        found.append(f"chose within {np.median([answer.seconds for _, answer in pairs]):.1f} s")
    lefts = sum(answer.choice == "left" for _, answer in pairs)
    rights = sum(answer.choice == "right" for _, answer in pairs)
    if side_chance(lefts, rights) < SIDE_CHANCE:
        found.append(f"chose {'left' if lefts > rights else 'right'} in {max(lefts, rights)} of {lefts + rights}")
    return found


def passed(left: int, answer: Answer) -> bool:
    """Whether a check's sharp side was chosen. left: what stood there."""
    return answer.choice == ("left" if left == SHARP else "right")


def side_chance(lefts: int, rights: int) -> float:
    """How often one without a liking for a side would lean as far to one side, or farther."""
    return float(stats.binomtest(lefts, lefts + rights).pvalue) if lefts + rights else 1.0


def rejected(table: np.ndarray) -> np.ndarray:
    """Screen those who rate as ITU-R BT.500 does (its annex on the screening of observers, the kurtosis test).

    table: (pictures, people) of ratings, none missing. For each picture a rating counts as far off where it leaves the
    mean by 2 standard deviations, or by sqrt(20) where the ratings are not about normal (kurtosis outside 2 to 4).
    Returns (people,) bool: those far off in more than 5 % of pictures who are so on both sides about alike (by less
    than 30 %): one who is only strict or mild stays.
    """
    spread = table.std(1, ddof=1) if table.shape[1] > 1 else np.zeros(len(table))
    judged = table[spread > 0]  # where all agree nobody is off
    if not len(judged):
        return np.zeros(table.shape[1], bool)
    kurtosis = stats.kurtosis(judged, axis=1, fisher=False)
    reach = np.where((kurtosis >= 2) & (kurtosis <= 4), 2, np.sqrt(20)) * spread[spread > 0]
    off = judged - judged.mean(1, keepdims=True)
    above, below = (off >= reach[:, None]).sum(0), (off <= -reach[:, None]).sum(0)
    far = above + below
    lopsided = np.abs(above - below) / np.maximum(1, far)
    return np.asarray((far / len(table) > 0.05) & (lopsided < 0.3))


def complete(people: Sequence[Person], study: Study) -> tuple[list[Person], np.ndarray]:
    """Those who rated everything, and their ratings: (pictures, people), a method's pictures beside each other."""
    wanted = [(item, method) for method in range(len(study.methods)) for item in study.rated]
    rows, kept = [], []
    for person in people:
        pairs = zip(person.plan, person.answers, strict=False)
        given = {(trial.item, trial.left): int(answer.choice) for trial, answer in pairs if trial.kind == RATE}
        if wanted and all(place in given for place in wanted):
            kept.append(person)
            rows.append([given[place] for place in wanted])
    return kept, np.array(rows, float).reshape(len(kept), len(wanted)).T
