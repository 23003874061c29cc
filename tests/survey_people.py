"""What tests of the survey share: a study of names, a small one with pictures, people who answer by a known truth."""

import numpy as np
from conftest import draw
from PIL import Image, ImageFilter

from upbrush.survey import making, plan, study
from upbrush.survey.store import Answer, Person

METHODS = ("sharp", "soft", "softest")


def paper_study(methods=3, items=8, votes=12, checks=6, repeats=2, rated=4, ties=False, seed=5):
    """A study of names only: all that plans and reports need."""
    files = iter(f"{number:032x}.webp" for number in range(10**6))
    shown = tuple(study.Item(f"{item:03}", 64, 48, tuple(next(files) for _ in range(methods))) for item in range(items))
    pairs = tuple(
        (item, first, second)
        for item in range(items)
        for first in range(methods)
        for second in range(first + 1, methods)
    )
    known = tuple(study.Check(index % items, index % methods, next(files)) for index in range(checks))
    names = (*METHODS, *(f"method-{number}" for number in range(3, 9)))[:methods]
    return study.Study(
        "paper", seed, names, shown, pairs, known, tuple(range(rated)), votes, repeats, ties
    )  # fmt: skip


def picture_folders(root, items=6, methods=METHODS, size=(48, 64)):
    """Folders of drawings, each method's blurrier than the one before."""
    for index, method in enumerate(methods):
        (root / method).mkdir(parents=True)
        for item in range(items):
            image = Image.fromarray(draw(*size, seed=item)).rotate(90 * (item % 4 // 2) * 2)
            noise = np.random.default_rng(item).integers(0, 120, (*size, 3))
            image = Image.fromarray((np.asarray(image) // 2 + noise).astype(np.uint8))
            image.filter(ImageFilter.GaussianBlur(0.4 * index)).save(root / method / f"{item:02}.png")
    return {method: root / method for method in methods}


def small_study(root, **changes):
    """A real study on disk: three methods, six pictures. Returns (folder, study)."""
    design = making.Design(**{"votes": 6, "ratings": 6, "checks": 3, "repeats": 1, "seed": 1} | changes)
    folder = root / "study"
    words = study.read_words()
    return folder, making.make(picture_folders(root / "methods"), folder, design, words)


def begin(of, number, seen=None):
    """One person's plan."""
    return plan.draw(of, seen or {}, np.random.default_rng([of.seed, number]))


def voter(truth, rng, *, attentive=1.0, left_bonus=0.0, taste=0.0, mood=0.0, spread=0.7, seconds=3.0):
    """A person who prefers by Bradley-Terry strengths `truth`.

    attentive: how often a check is passed. left_bonus: a liking for the left side, in strengths. taste: how far this
    person's own strengths are off everyone's. mood: added to ratings, whose own spread is `spread`.
    """
    own = np.asarray(truth) + taste * rng.standard_normal(len(truth))

    def answer(trial):
        if trial.kind == plan.RATE:
            value = 3 + own[trial.left] + mood + spread * rng.standard_normal()
            return str(int(np.clip(round(value), 1, 5)))
        if trial.kind == plan.CHECK:
            good = rng.random() < attentive
            return "left" if (trial.left == plan.SHARP) == good else "right"
        odds = own[trial.left] - own[trial.right] + left_bonus
        return "left" if rng.random() < 1 / (1 + np.exp(-odds)) else "right"

    return lambda trial: Answer(answer(trial), seconds, 1.0)


def spammer(rng):
    """One who presses anything."""

    def answer(trial):
        choices = "12345" if trial.kind == plan.RATE else ("left", "right")
        return Answer(str(rng.choice(list(choices))), 2.0, 1.0)

    return answer


def crowd(of, voters, stop_after=None):
    """People who answer a study, with coverage balanced as the store does it."""
    seen, people = {}, []
    for number, vote in enumerate(voters, 1):
        trials = tuple(begin(of, number, seen))
        answers = tuple(vote(trial) for trial in trials[:stop_after])
        for trial in trials:
            if trial.kind == plan.PAIR:
                pair = (trial.item, *sorted((trial.left, trial.right)))
                shown, lefts = seen.get(pair, (0, 0))
                seen[pair] = (shown + 1, lefts + (trial.left < trial.right))
        done = 60 if stop_after is None else None
        people.append(Person(f"{number:010x}", number, trials, answers, 0, done, 4 if done else None, None))
    return people, seen
