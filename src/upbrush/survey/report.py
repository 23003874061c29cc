"""The answers of a study summed up: one Report of plain numbers, as JSON, as a table and as a page."""

import csv
import io
import json
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from upbrush import __version__
from upbrush.errors import DataError
from upbrush.measure.intervals import holm
from upbrush.survey import page, screening
from upbrush.survey import statistics as sums
from upbrush.survey.plan import CHECK, PAIR, RATE, REPEAT, Trial
from upbrush.survey.store import Answer, Person
from upbrush.survey.study import Study

VERSION = 1
SEED = 20  # of bootstrap and permutations: the same answers, the same report
FEW_PEOPLE = 8
LEAST_REPEATS = 20  # before they tell anything
Report = dict[str, Any]


def summed_up(study: Study, words: dict[str, str], people: Sequence[Person]) -> Report:
    """Sum the answers up.

    people: everyone who began. Raises DataError where nobody answered, or nobody's answers count.
    """
    began = [person for person in people if person.answers]
    if not began:
        raise DataError("nobody has answered yet; let people answer by `upbrush survey serve`")
    faults = {person.id: screening.faults(person, study) for person in began}
    used = [person for person in began if not faults[person.id]]
    if not used:
        raise DataError(
            f"all {len(began)} people fail the rules that say whose answers count; see `upbrush survey export`"
        )
    rng = np.random.default_rng(SEED)
    report: Report = {
        "format": "upbrush-survey-report",
        "version": VERSION,
        "upbrush": __version__,
        "study": {
            "id": study.id, "question": words["question"], "rating_question": words["rating_question"],
            "methods": list(study.methods), "pictures": len(study.items), "pairs": len(study.pairs),
            "votes_each": study.votes, "checks_each": len(study.checks), "repeats_each": study.repeats,
            "ratings_each": len(study.rated) * len(study.methods), "ties": study.ties, "seed": study.seed,
        },
        "settings": {
            "level": sums.LEVEL, "power": sums.POWER, "bootstrap_rounds": sums.ROUNDS, "bootstrap_seed": SEED,
            "half_vote": sums.HALF_VOTE, "rules": " ".join(screening.RULES),
        },
        "people": {
            "opened": len(people), "answered": len(began), "finished": sum(bool(one.finished) for one in began),
            "used": len(used), "left_out": [{"id": id, "why": why} for id, why in faults.items() if why],
        },
    }  # fmt: skip
    report |= _votes(study, used, rng) if study.votes else {}
    report |= _ratings(study, used, rng) if study.rated else {}
    report["satisfaction"] = _satisfaction(used)
    report["warnings"] = _warnings(report)
    return report


def _votes(study: Study, used: Sequence[Person], rng: np.random.Generator) -> Report:
    """Everything about the pairs."""
    votes = [
        (row, trial, answer)
        for row, person in enumerate(used)
        for trial, answer in zip(person.plan, person.answers, strict=False)
        if trial.kind == PAIR
    ]
    if not votes:
        return {}
    of_people = np.zeros((len(used), len(study.methods), len(study.methods)))
    of_items = np.zeros((len(study.items), *of_people.shape[1:]))
    for row, trial, answer in votes:
        for side, weight in _weights(trial, answer):
            of_people[row][side] += weight
            of_items[trial.item][side] += weight
    of_people, of_items = (groups[groups.any((1, 2))] for groups in (of_people, of_items))
    over_people, over_items = sums.scores(of_people, rng), sums.scores(of_items, rng)
    chances = sums.preferred(over_people.values)
    wins = of_people.sum(0)
    methods = [
        {
            "name": name,
            "score": over_people.values[index], "low": over_people.low[index], "high": over_people.high[index],
            "low_over_pictures": over_items.low[index], "high_over_pictures": over_items.high[index],
            "wins": wins[index].sum(), "votes": wins[index].sum() + wins[:, index].sum(),
        }
        for index, name in enumerate(study.methods)
    ]  # fmt: skip
    return {
        "votes": len(votes),
        "ties": sum(answer.choice == "tie" for _, _, answer in votes),
        "methods": sorted(methods, key=lambda method: -method["score"]),
        "wins": wins.tolist(),
        "matchups": _matchups(study, of_people, chances, rng),
        "agreement": _agreement(study, used, rng),
        "sides": _sides(used),
        "repeats": _repeats(used),
        "looking": _looking(used),
        "pictures": _pictures(study, votes),
    }


def _weights(trial: Trial, answer: Answer) -> list[tuple[tuple[int, int], float]]:
    """What a vote adds to the wins of row over column."""
    assert trial.right is not None
    left, right = (trial.left, trial.right), (trial.right, trial.left)
    return {"left": [(left, 1.0)], "right": [(right, 1.0)], "tie": [(left, 0.5), (right, 0.5)]}[answer.choice]


def _matchups(study: Study, of_people: np.ndarray, chances: np.ndarray, rng: np.random.Generator) -> list[Report]:
    """Each two methods against each other, the preferred one first."""
    found = []
    for pair in combinations(range(len(study.methods)), 2):
        votes = of_people[:, pair[0], pair[1]] + of_people[:, pair[1], pair[0]]
        if not votes.any():
            continue
        won = of_people[:, pair[0], pair[1]]
        first, second = pair if 2 * won.sum() >= votes.sum() else pair[::-1]
        share = sums.share(of_people[:, first, second], votes, rng)
        needed = sums.votes_needed(share.share, share.design_effect)
        each = votes.sum() / np.count_nonzero(votes)
        found.append(
            {
                "first": study.methods[first], "second": study.methods[second], **asdict(share),
                "chance_of_model": chances[first, second], "votes_needed": needed,
                "people_needed": None if needed is None else int(np.ceil(needed / each)),
                "smallest_seen": sums.seen_by(share.votes, share.design_effect),
            }
        )  # fmt: skip
    for one, adjusted in zip(found, holm([one["p"] for one in found]), strict=True):
        one["p_holm"] = adjusted
    return found


def _agreement(study: Study, used: Sequence[Person], rng: np.random.Generator) -> Report:
    """Whether people choose the same of the same pair."""
    rows = {pair: index for index, pair in enumerate(study.pairs)}
    table = np.full((len(rows), len(used)), np.nan)
    for column, person in enumerate(used):
        for trial, answer in zip(person.plan, person.answers, strict=False):
            if trial.kind == PAIR and trial.right is not None:
                first, second = sorted((trial.left, trial.right))
                chosen = {"left": trial.left, "right": trial.right, "tie": -1}[answer.choice]
                table[rows[trial.item, first, second], column] = 0.5 if chosen < 0 else float(chosen == first)
    return {
        "alpha": sums.alpha(table),
        "interval": sums.alpha_interval(table, rng),
        "pairs_judged_twice": int(((~np.isnan(table)).sum(1) > 1).sum()),
    }


def _sides(used: Sequence[Person]) -> Report:
    """Whether people as a whole lean to one side."""
    choices = [answer.choice for person in used for _, answer in _answered(person, PAIR, REPEAT, CHECK)]
    lefts, rights = choices.count("left"), choices.count("right")
    if not lefts + rights:
        return {"left": None, "low": None, "high": None, "p": 1.0}
    low, high = sums.wilson(lefts / (lefts + rights), lefts + rights)
    return {"left": lefts / (lefts + rights), "low": low, "high": high, "p": screening.side_chance(lefts, rights)}


def _repeats(used: Sequence[Person]) -> Report:
    """Whether people answer a pair as before when it comes again with its sides swapped."""
    same = shown = 0
    for person in used:
        # By the sides swapped: what is left in the repeat was right before.
        before: dict[tuple[int, int | None, int | None], str] = {
            (trial.item, trial.right, trial.left): one.choice for trial, one in _answered(person, PAIR)
        }
        for trial, answer in _answered(person, REPEAT):
            first = before[trial.item, trial.left, trial.right]
            same += answer.choice == {"left": "right", "right": "left", "tie": "tie"}[first]
            shown += 1
    return {"shown": shown, "same": same / shown if shown else None}


def _looking(used: Sequence[Person]) -> Report:
    """How long and how large people looked."""
    answers = [answer for person in used for _, answer in _answered(person, PAIR, REPEAT)]
    return {
        "median_seconds": float(np.median([answer.seconds for answer in answers])),
        "median_scale": float(np.median([answer.scale for answer in answers])),
        "share_below_full_size": float(np.mean([answer.scale < 1 for answer in answers])),
    }


def _answered(person: Person, *kinds: str) -> list[tuple[Trial, Answer]]:
    return [pair for pair in zip(person.plan, person.answers, strict=False) if pair[0].kind in kinds]


def _pictures(study: Study, votes: Sequence[tuple[int, Trial, Answer]]) -> list[Report]:
    """Of every picture the share of its votes that went to each method."""
    wins = np.zeros((len(study.items), len(study.methods)))
    shown = np.zeros_like(wins)
    for _, trial, answer in votes:
        assert trial.right is not None
        shown[trial.item, [trial.left, trial.right]] += 1
        for (winner, _), weight in _weights(trial, answer):
            wins[trial.item, winner] += weight
    return [
        {
            "name": item.name,
            "votes": int(shown[index].sum() / 2),
            "share": {
                name: wins[index, method] / shown[index, method] if shown[index, method] else None
                for method, name in enumerate(study.methods)
            },
        }
        for index, item in enumerate(study.items)
    ]


def _ratings(study: Study, used: Sequence[Person], rng: np.random.Generator) -> Report:
    """Mean opinion scores of those who rated everything and pass the screening of BT.500."""
    kept, table = screening.complete(used, study)
    if not kept:
        return {}
    rejected = screening.rejected(table)
    by_method = table.reshape(len(study.methods), len(study.rated), len(kept))
    everyone = by_method.transpose(0, 2, 1)  # method, person, picture
    each, table, people = everyone[:, ~rejected], table[:, ~rejected], int((~rejected).sum())
    recovered = sums.recovered_opinions(everyone, rng)
    methods = []
    for index, name in enumerate(study.methods):
        counts = [int((each[index] == value).sum()) for value in (1, 2, 3, 4, 5)]
        told = asdict(sums.opinion(each[index]))
        methods.append({"name": name, **told, "counts": counts, "recovered": asdict(recovered[index])})
    differences = []
    for first, second in combinations(range(len(study.methods)), 2):
        if each[first].mean() < each[second].mean():
            first, second = second, first
        opinion, p = sums.opinion_difference(each[first], each[second])
        names = {"first": study.methods[first], "second": study.methods[second]}
        differences.append(names | asdict(opinion) | {"p": None if np.isnan(p) else p})
    for one, adjusted in zip(differences, holm([one["p"] for one in differences]), strict=True):
        one["p_holm"] = adjusted
    return {
        "ratings": {
            "people": people,
            "incomplete": len(used) - len(kept),
            "rejected": [person.id for person, out in zip(kept, rejected, strict=True) if out],
            "rule": "ITU-R BT.500, screening of observers by kurtosis",
            "methods": sorted(methods, key=lambda method: -method["mean"]),
            "differences": differences,
            "alpha": sums.alpha(table, interval=True),
            "interval": sums.alpha_interval(table, rng, interval=True),
        }
    }


def _satisfaction(used: Sequence[Person]) -> Report:
    """The question at the end."""
    given = [person.satisfaction for person in used if person.satisfaction is not None]
    opinion = asdict(sums.opinion(np.array(given, float)[:, None])) if given else {}
    comments = sum(bool(person.comment) for person in used)
    return opinion | {"counts": [given.count(value) for value in (1, 2, 3, 4, 5)], "comments": comments}


def _warnings(report: Report) -> list[str]:
    """What a reader should know before believing the numbers."""
    found, people = [], report["people"]
    if people["used"] < FEW_PEOPLE:
        found.append(f"Only {people['used']} people count; intervals of so few are rough. Ask {FEW_PEOPLE} at least.")
    if people["used"] < people["answered"] * 2 / 3:
        found.append(
            f"{people['answered'] - people['used']} of {people['answered']} people were left out by the rules."
        )
    if "sides" in report and report["sides"]["p"] < sums.LEVEL:
        left = report["sides"]["left"]
        found.append(
            f"People lean to one side ({left:.0%} left); sides are balanced, so this adds noise and no winner."
        )
    if report.get("looking", {}).get("share_below_full_size", 0) > 0.25:
        share = report["looking"]["share_below_full_size"]
        found.append(
            f"{share:.0%} of pairs were shown with fewer screen pixels than they have: fine detail was not seen."
        )
    repeats = report.get("repeats", {})
    shown = repeats.get("shown", 0)
    undecided = all(one["p_holm"] >= sums.LEVEL for one in report.get("matchups", []))
    if undecided and shown >= LEAST_REPEATS and sums.wilson(repeats["same"], shown)[0] < 0.5:
        found.append("People answer a repeated pair no more alike than by chance: the methods look the same to them.")
    return found


def write(report: Report, out: Path, thumbnails: dict[str, bytes], *, overwrite: bool) -> list[Path]:
    """Write report.json, report.csv and report.html into the folder `out`, together or not at all.

    thumbnails: small WebP pictures by method and item, "method/item". Raises DataError where it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: is a file; choose a folder")
    taken = [name for name in ("report.json", "report.csv", "report.html") if (out / name).exists()]
    if taken and not overwrite:
        raise DataError(f"{out / taken[0]}: is there already; choose another folder, or give --overwrite")
    contents = {
        "report.json": json.dumps(report, indent=1, ensure_ascii=False, default=float, allow_nan=False) + "\n",
        "report.csv": _table(report),
        "report.html": page.html(json.loads(json.dumps(report, default=float)), thumbnails),
    }
    part = out / f".{secrets.token_hex(6)}.part"
    try:
        part.mkdir(parents=True)
        for name, content in contents.items():
            (part / name).write_text(content, encoding="utf-8")
        for name in contents:
            os.replace(part / name, out / name)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror}); choose another folder") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [out / name for name in contents]


def _table(report: Report) -> str:
    """Every number that has an interval, one to a line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["measure", "method", "against", "picture", "value", "low", "high", "p_holm", "count"])
    for one in report.get("methods", []):
        writer.writerow(["bradley_terry", one["name"], "", "", one["score"], one["low"], one["high"], "", one["votes"]])
    for one in report.get("matchups", []):
        row = [one[key] for key in ("share", "low", "high", "p_holm", "votes")]
        writer.writerow(["preferred", one["first"], one["second"], "", *row])
    ratings = report.get("ratings", {})
    for one in ratings.get("methods", []):
        row = [one[key] for key in ("mean", "low", "high")]
        writer.writerow(["mos", one["name"], "", "", *row, "", one["people"]])
    for one in ratings.get("differences", []):
        row = [one[key] for key in ("mean", "low", "high", "p_holm", "people")]
        writer.writerow(["mos_difference", one["first"], one["second"], "", *row])
    for one in report.get("pictures", []):
        for name, share in one["share"].items():
            writer.writerow(["preferred_of_picture", name, "", one["name"], share, "", "", "", one["votes"]])
    return text.getvalue()


def export(study: Study, people: Sequence[Person]) -> list[Report]:
    """Everything that is kept of people, with the methods' names: no token, no order of coming."""

    def told(trial: Trial, answer: Answer) -> Report:
        sides: Report
        if trial.kind == CHECK:
            check = study.checks[trial.item]
            item = check.item
            sides = {"left": "sharp" if trial.left else "spoilt", "right": "sharp" if trial.right else "spoilt"}
        else:
            item = trial.item
            sides = {"left" if trial.kind != RATE else "method": study.methods[trial.left]}
            sides |= {"right": study.methods[trial.right]} if trial.right is not None else {}
        return {"kind": trial.kind, "picture": study.items[item].name} | sides | asdict(answer)

    return [
        {
            "id": person.id,
            "begun": person.begun,
            "finished": person.finished,
            "satisfaction": person.satisfaction,
            "comment": person.comment,
            "answers": [told(*pair) for pair in zip(person.plan, person.answers, strict=False)],
        }
        for person in sorted(people, key=lambda person: person.id)
    ]
