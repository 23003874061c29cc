"""The sums behind a report, against known answers: published examples, other libraries, people made up by a truth."""

import csv
import json
import re

import choix
import numpy as np
import pytest
from scipy import stats
from survey_people import METHODS, begin, crowd, paper_study, small_study, spammer, voter
from typer.testing import CliRunner

from upbrush import cli
from upbrush.errors import DataError
from upbrush.survey import plan, report, screening, study
from upbrush.survey import statistics as sums
from upbrush.survey.store import Answer, Store

TRUTH = np.array([0.6, 0.1, -0.7])
WORDS = study.read_words()


def wins_of(people, methods=3):
    """(people, N, N), counted anew and not by the report's own code."""
    wins = np.zeros((len(people), methods, methods))
    for row, person in enumerate(people):
        for trial, answer in zip(person.plan, person.answers, strict=True):
            if trial.kind == plan.PAIR:
                left = answer.choice == "left"
                wins[row, trial.left if left else trial.right, trial.right if left else trial.left] += 1
    return wins


def voters(count, rng, **how):
    return [voter(TRUTH, rng, **how) for _ in range(count)]


def test_strengths_are_those_of_maximum_likelihood():
    rng = np.random.default_rng(1)
    wins = rng.integers(20, 90, (4, 4)).astype(float)
    np.fill_diagonal(wins, 0)
    padded = [(i, j) for i in range(4) for j in range(4) if i != j for _ in range(int(2 * wins[i, j]) + 1)]
    expected = choix.opt_pairwise(4, padded, alpha=0)  # another way to the same maximum, of votes taken twice
    np.testing.assert_allclose(sums.strengths(wins), expected - expected.mean(), atol=1e-4)
    two = np.array([[0, 30], [10, 0]], float)
    assert np.ptp(sums.strengths(two)) == pytest.approx(np.log(30.5 / 10.5), abs=1e-6)
    assert sums.preferred(np.array([np.log(3), 0]))[0, 1] == pytest.approx(0.75)


def test_one_that_never_lost_has_a_score_and_an_honest_interval():
    groups = np.zeros((10, 2, 2))
    groups[:, 0, 1] = 5
    found = sums.scores(groups, np.random.default_rng(0), rounds=50)
    assert np.isfinite(found.values).all()
    assert np.ptp(found.values) == pytest.approx(np.log(50.5 / 0.5), abs=1e-6)
    assert (found.high - found.low > 2).all()  # although every bootstrap sample is the same
    alone = sums.scores(groups[:1], np.random.default_rng(0))
    assert (alone.high > alone.low).all()


def test_many_fits_at_once_are_those_of_choix():
    wins = np.random.default_rng(0).integers(0, 12, (40, 5, 5)).astype(float)
    wins[:, range(5), range(5)] = 0
    wins[:3, 0], wins[3:6, :, 1] = 0, 0  # never won, never lost
    np.testing.assert_allclose(sums.strengths_of_many(wins), [sums.strengths(one) for one in wins], atol=1e-5)


def covered(studies, people, rounds, taste=0.0, truth=TRUTH):
    of = paper_study(items=20, votes=20, checks=0, repeats=0, rated=0)
    hits = []
    for seed in range(studies):
        rng = np.random.default_rng([seed, people])
        wins = wins_of(crowd(of, voters(people, rng, taste=taste))[0])
        found = sums.scores(wins, rng, rounds)
        hits.append((found.low <= truth) & (truth <= found.high))
    return np.mean(hits)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    assert 0.85 <= covered(studies=16, people=12, rounds=60) <= 1


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    assert 0.92 <= covered(studies=150, people=25, rounds=150) <= 0.99
    # People of different tastes: the truth is what a draw of votes from everyone would give.
    rng = np.random.default_rng(7)
    of = paper_study(items=20, votes=20, checks=0, repeats=0, rated=0)
    truth = sums.strengths(wins_of(crowd(of, voters(3000, rng, taste=0.8))[0]).sum(0))
    assert 0.91 <= covered(studies=150, people=25, rounds=150, taste=0.8, truth=truth) <= 0.985


def test_a_report_recovers_the_truth():
    of = paper_study(items=10, votes=15)
    rng = np.random.default_rng(3)
    people, _ = crowd(of, voters(40, rng))
    found = report.summed_up(of, WORDS, people)
    assert found["votes"] == 600
    assert [one["name"] for one in found["methods"]] == list(METHODS)
    for one, truth in zip(found["methods"], TRUTH, strict=True):
        assert one["low"] <= truth <= one["high"]
        assert one["high"] - one["low"] < 0.6
    np.testing.assert_allclose(found["wins"], wins_of(people).sum(0))
    for one in found["matchups"]:
        first, second = METHODS.index(one["first"]), METHODS.index(one["second"])
        true_share = 1 / (1 + np.exp(TRUTH[second] - TRUTH[first]))
        assert one["low"] - 0.02 <= true_share <= one["high"] + 0.02
        assert one["chance_of_model"] == pytest.approx(true_share, abs=0.08)
    assert found["matchups"][1]["p_holm"] < 0.001
    assert found["people"] == {"opened": 40, "answered": 40, "finished": 40, "used": 40, "left_out": []}
    assert found["warnings"] == []
    ratings = found["ratings"]
    assert 35 <= ratings["people"] <= 40  # of few pictures BT.500 rejects some who did nothing wrong
    for one, truth in zip(ratings["methods"], 3 + TRUTH, strict=True):
        for found_one in (one, one["recovered"]):
            assert found_one["low"] - 0.1 <= truth <= found_one["high"] + 0.1  # ratings are whole numbers
    assert report.summed_up(of, WORDS, people) == found  # the same answers, the same report


def test_spammers_are_left_out_and_the_attentive_stay():
    of = paper_study(votes=20, items=10)
    rng = np.random.default_rng(4)
    honest, careless = voters(40, rng, attentive=0.99), [spammer(rng) for _ in range(40)]
    people, _ = crowd(of, honest + careless)
    out = [bool(screening.faults(person, of)) for person in people]
    assert sum(out[:40]) <= 2
    assert sum(out[40:]) >= 34  # a guesser passes five of six checks in 7 of 64 cases
    with_them = report.summed_up(of, WORDS, people)
    without = report.summed_up(of, WORDS, people[:40])
    for one, other in zip(with_them["methods"], without["methods"], strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=0.12)
    assert {one["id"] for one in with_them["people"]["left_out"]} == {
        p.id for p, bad in zip(people, out, strict=True) if bad
    }
    assert any("left out" in line for line in with_them["warnings"])


def test_each_rule_leaves_out_whom_it_names():
    of = paper_study(votes=20, items=10, checks=6)
    rng = np.random.default_rng(5)

    def faults(vote, stop_after=None):
        [person] = crowd(of, [vote], stop_after)[0]
        return " ".join(screening.faults(person, of))

    good = voter(TRUTH, rng)
    assert faults(good) == ""
    assert faults(good, 0) == ""
    assert "failed 6 of 6" in faults(voter(TRUTH, rng, attentive=0))
    assert "within 0.3 s" in faults(voter(TRUTH, rng, seconds=0.3))
    assert "chose left in" in faults(lambda trial: Answer("left", 3, 1) if trial.right is not None else good(trial))
    assert "stopped after 0 of 6" in faults(good, 1)
    assert faults(good, 20) == ""  # four checks were passed, and its votes count


def test_one_wrong_check_in_six_is_forgiven():
    of = paper_study(votes=12, checks=6)
    trials = tuple(begin(of, 1))
    good = voter(TRUTH, np.random.default_rng(0))
    places = [index for index, trial in enumerate(trials) if trial.kind == plan.CHECK]
    for wrong, left_out in ((1, False), (2, True)):
        answers = [good(trial) for trial in trials]
        for index in places[:wrong]:
            answers[index] = Answer("left" if trials[index].left == plan.WORSE else "right", 2, 1)
        person = crowd(of, [good])[0][0]
        person = type(person)(person.id, 1, trials, tuple(answers), 0, 60)
        assert bool(screening.faults(person, of)) == left_out


def test_a_liking_for_one_side_is_told_and_makes_no_winner():
    of = paper_study(items=10, votes=15)
    rng = np.random.default_rng(6)
    people, _ = crowd(of, [voter((0, 0, 0), rng, left_bonus=0.7) for _ in range(40)])
    found = report.summed_up(of, WORDS, people)
    assert found["sides"]["left"] > 0.58
    assert found["sides"]["p"] < 0.001
    assert any("lean to one side" in line for line in found["warnings"])
    for one in found["methods"]:
        assert one["low"] <= 0 <= one["high"]
    assert found["repeats"]["same"] < 0.62  # seen the other way round they choose the other
    fair, _ = crowd(of, [voter((0, 0, 0), rng) for _ in range(40)])
    assert report.summed_up(of, WORDS, fair)["sides"]["p"] > 0.01


def test_ties_count_half_each_way():
    of = paper_study(methods=2, items=8, votes=8, ties=True, checks=0, repeats=2, rated=0)
    people, _ = crowd(of, [lambda trial: Answer("tie", 3, 1)] * 5)
    found = report.summed_up(of, WORDS, people)
    assert found["ties"] == found["votes"] == 40
    assert [one["score"] for one in found["methods"]] == pytest.approx([0, 0])
    [one] = found["matchups"]
    assert (one["share"], one["p"], one["votes_needed"]) == (0.5, 1, None)
    assert found["repeats"]["same"] == 1
    assert found["sides"]["left"] is None
    assert found["agreement"]["alpha"] is None


def test_people_who_differ_widen_the_interval():
    rng = np.random.default_rng(8)
    votes = np.full(30, 20.0)
    alike = sums.share(rng.binomial(20, 0.6, 30).astype(float), votes, rng)
    apart = sums.share(rng.permutation(np.repeat([20.0, 4.0], 15)), votes, rng)
    assert alike.design_effect < 2
    assert apart.design_effect > 5
    assert apart.high - apart.low > 2 * (alike.high - alike.low)
    assert apart.p > 0.05 > alike.p
    groups = np.zeros((30, 2, 2))
    groups[:15, 0, 1] = groups[15:, 1, 0] = 20  # half like the one always, half the other
    found = sums.scores(groups, rng)
    # The share's error is 0.5 / sqrt(29), the logit's 4 times that, and each score has half of it.
    np.testing.assert_allclose(found.errors, 0.5 / np.sqrt(29) * 4 / 2, rtol=0.12)
    np.testing.assert_allclose(found.high - found.values, stats.t.ppf(0.975, 29) * found.errors)


def test_wilson_as_published():
    # Newcombe, Statistics in Medicine 1998, table I, method 3
    assert sums.wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert sums.wilson(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)


@pytest.mark.parametrize("value", [0.55, 0.6, 0.75, 0.9])
def test_votes_needed_are_needed_and_enough(value):
    needed = sums.votes_needed(value)
    rng = np.random.default_rng(0)

    def seen(votes):
        wins = rng.binomial(votes, value, 20_000)
        return np.mean(2 * stats.binom.sf(np.maximum(wins, votes - wins) - 1, votes, 0.5) < 0.05)

    assert 0.79 <= seen(needed) <= (0.83 if value < 0.7 else 0.9)  # few votes make large steps
    assert seen(int(needed * 0.8)) < 0.79
    assert sums.votes_needed(1 - value) == needed
    assert sums.votes_needed(value, 2) == pytest.approx(2 * needed, abs=1)
    assert value - (0.005 if value < 0.7 else 0.04) <= sums.seen_by(needed) <= value


def test_what_no_number_of_votes_shows():
    assert sums.votes_needed(0.5) is None
    assert sums.votes_needed(0.501) is None
    assert sums.seen_by(3) is None


def test_alpha_as_krippendorff_published_it():
    # "Computing Krippendorff's Alpha-Reliability", 2011, example C: four observers, twelve units
    nan = np.nan
    observers = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
            [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
        ]
    )
    assert sums.alpha(observers.T) == pytest.approx(0.743, abs=5e-4)
    assert sums.alpha(observers.T, interval=True) == pytest.approx(0.849, abs=5e-4)
    low, high = sums.alpha_interval(observers.T, np.random.default_rng(0))
    assert low < 0.743 < high
    assert sums.alpha(np.array([[1.0, 1], [0, 0]])) == 1
    assert sums.alpha(np.array([[1.0, nan], [nan, 0]])) is None
    rng = np.random.default_rng(0)
    assert abs(sums.alpha(rng.integers(0, 2, (300, 6)).astype(float))) < 0.04


def ratings_table(rng, people=24, pictures=20):
    quality = rng.uniform(1.5, 4.5, (pictures, 1))
    return np.clip(np.round(quality + 0.6 * rng.standard_normal((pictures, people))), 1, 5)


def rating_table_with_a_guesser(rng):
    """Person 3 rates at random, person 5 is only milder than the others."""
    table = ratings_table(rng, people=30, pictures=40)
    table[:, 3] = rng.choice([1, 5], 40)
    table[:, 5] = np.clip(table[:, 5] + 1, 1, 5)
    return table


def test_the_screening_of_bt500_is_careful_and_p910_counts_a_guesser_little():
    out, noises = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        table = rating_table_with_a_guesser(rng)
        out.append(screening.rejected(table))
        qualities, biases, noise = sums.recovered(table)
        noises.append(noise)
        assert biases[5] == max(biases)
        assert np.abs(qualities - np.delete(table, 3, 1).mean(1)).max() < 0.2
    shares = np.mean(out, 0)
    assert shares[3] >= 0.3
    assert np.delete(shares, 3).max() <= 0.1
    assert np.mean(noises, 0)[3] > 3 * np.delete(np.mean(noises, 0), 3).max()


@pytest.fixture
def sureal(monkeypatch):
    """Netflix's library for the same Recommendations, to compare with."""
    module = pytest.importorskip("sureal.subjective_model", reason="sureal, to compare with, is not installed")
    deviation = np.std
    # It divides by N where BT.500 divides by N - 1.
    monkeypatch.setattr(np, "std", lambda values, **how: deviation(values, **{"ddof": 1} | how))
    return module


def test_screening_and_recovery_are_those_of_sureal(sureal):
    rng = np.random.default_rng(3)
    rejected = 0
    for _ in range(8):
        table = rating_table_with_a_guesser(rng)

        class Reader:
            opinion_score_3darray = table[:, :, None]

        with np.errstate(invalid="ignore"):  # it divides by the number of ratings that are far off
            theirs = sureal.SubjectiveModel._get_opinion_score_3darray_with_preprocessing(
                Reader(), subject_rejection=True
            )
        np.testing.assert_array_equal(screening.rejected(table), theirs["observer_rejected"])
        rejected += screening.rejected(table).sum()
        solved = sureal.SubjectMLEModelProjectionSolver._run_modeling(Reader())
        qualities, biases, noises = sums.recovered(table)
        np.testing.assert_allclose(qualities, solved["quality_scores"], atol=1e-5)
        np.testing.assert_allclose(biases, solved["observer_bias"], atol=1e-5)
        np.testing.assert_allclose(noises, solved["observer_inconsistency"], atol=1e-5)
    assert rejected


def test_where_all_agree_nobody_is_rejected():
    assert not screening.rejected(np.full((6, 5), 4.0)).any()
    assert not screening.rejected(np.array([[4.0], [5.0]])).any()


def test_opinions_are_of_people():
    each = np.array([[4.0, 5], [3, 4], [4, 4]])
    found = sums.opinion(each)
    low, high = stats.t.interval(0.95, 2, 4, stats.sem(each.mean(1)))
    assert (found.mean, found.people) == (4, 3)
    assert (found.low, found.high) == pytest.approx((low, high))
    # Who rates everything one higher is noise for a mean, and none for a difference.
    rng = np.random.default_rng(0)
    mood = rng.integers(-1, 2, (12, 1)).astype(float)
    first, second = 3.5 + mood + 0.1 * rng.standard_normal((2, 12, 4)) + [[[0.3]], [[0]]]
    difference, p = sums.opinion_difference(first, second)
    assert difference.low > 0
    assert p < 0.001
    assert sums.opinion(first).low < sums.opinion(second).high


def test_who_rated_at_random_is_named_in_the_report():
    of = paper_study(items=20, votes=4, rated=16, checks=6)
    rng = np.random.default_rng(10)
    random_rater = voter(TRUTH, rng, spread=9)
    people, _ = crowd(of, [*voters(24, rng), random_rater])
    found = report.summed_up(of, WORDS, people)["ratings"]
    assert found["rejected"] == [people[-1].id]
    assert {one["people"] for one in found["methods"]} == {24}
    assert {one["recovered"]["people"] for one in found["methods"]} == {25}


def test_nobody_is_an_error_of_one_line():
    of = paper_study()
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="nobody has answered"):
        report.summed_up(of, WORDS, [])
    nobody, _ = crowd(of, [voter(TRUTH, rng, attentive=0)] * 3)
    with pytest.raises(DataError, match="all 3 people fail"):
        report.summed_up(of, WORDS, nobody)


@pytest.mark.parametrize(("votes", "ratings"), [(6, 0), (0, 6)])
def test_a_study_of_votes_or_of_ratings_alone(votes, ratings, tmp_path):
    of = paper_study(votes=votes, rated=ratings // 3, checks=3 if votes else 0, repeats=0)
    people, _ = crowd(of, voters(10, np.random.default_rng(0)))
    found = report.summed_up(of, WORDS, people)
    assert ("methods" in found, "ratings" in found) == (bool(votes), bool(ratings))
    assert len(report.write(found, tmp_path / "report", {}, overwrite=False)) == 3


def upbrush_says(*words):
    return CliRunner().invoke(cli.app, ["survey", *map(str, words)])


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A study on disk that people have answered; two of them wrote something."""
    folder, of = small_study(tmp_path_factory.mktemp("answered"))
    rng = np.random.default_rng(2)
    with Store(folder / "answers.sqlite", of.id, create=True) as store:
        for number in range(9):
            vote = voter(TRUTH, rng)
            token = store.begin(lambda number, seen: plan.draw(of, seen, np.random.default_rng(number)))
            person = store.person(token)
            for position, trial in enumerate(person.plan):
                store.answer(person, position, vote(trial))
            store.finish(person, 4, "<script>alert('x')</script>" if number < 2 else "")
        store.begin(lambda number, seen: plan.draw(of, seen, np.random.default_rng(number)))
    return folder, of


def test_report_writes_three_files_that_say_the_same(answered, tmp_path):
    folder, of = answered
    words = ["report", folder, "-o", tmp_path / "report"]
    done = upbrush_says(*words)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"look at {tmp_path / 'report' / 'report.html'}"
    told = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert told["people"]["opened"] == 10
    assert told["people"]["used"] == 9
    with open(tmp_path / "report" / "report.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    scores = {row["method"]: float(row["value"]) for row in rows if row["measure"] == "bradley_terry"}
    assert scores == pytest.approx({one["name"]: one["score"] for one in told["methods"]})
    assert {row["measure"] for row in rows} == {
        *("bradley_terry", "preferred", "mos", "mos_difference", "preferred_of_picture")
    }  # fmt: skip
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp") == 18
    assert not re.search(r"https?://|<script|@import|url\(", page)
    for one in told["methods"]:
        assert one["name"] in page
    again = upbrush_says(*words)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "there already" in again.stderr
    assert upbrush_says(*words, "--overwrite").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["report.csv", "report.html", "report.json"]


def test_names_cannot_write_into_the_page(answered, tmp_path):
    of = paper_study(methods=2, items=3, votes=3, checks=0, repeats=0, rated=1)
    evil = "<img src=x onerror=alert(1)>"
    of = type(of)(**{**vars(of), "methods": (evil, "b")})
    people, _ = crowd(of, [voter((0.5, -0.5), np.random.default_rng(0))] * 3)
    found = report.summed_up(of, WORDS | {"question": evil}, people)
    report.write(found, tmp_path / "report", {}, overwrite=False)
    assert "<img src=x" not in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_export_tells_everything_of_one_and_delete_forgets_it(answered, tmp_path):
    folder, of = answered
    everyone = json.loads(upbrush_says("export", folder).stdout)
    assert len(everyone) == 10
    assert [one["id"] for one in everyone] == sorted(one["id"] for one in everyone)
    one = next(person for person in everyone if person["comment"])
    assert len(one["answers"]) == 16
    assert {answer["kind"] for answer in one["answers"]} == {"pair", "repeat", "check", "rate"}
    shown = [answer for answer in one["answers"] if answer["kind"] == "pair"]
    assert all(answer["left"] in METHODS and answer["right"] in METHODS for answer in shown)
    assert "token" not in json.dumps(everyone)
    done = upbrush_says("export", folder, "--participant", one["id"], "-o", tmp_path / "one.json")
    assert (done.exit_code, done.stdout) == (0, "")
    assert json.loads((tmp_path / "one.json").read_text(encoding="utf-8")) == [one]
    gone = upbrush_says("delete", folder, "--participant", one["id"])
    assert gone.exit_code == 0
    assert len(json.loads(upbrush_says("export", folder).stdout)) == 9
    for word in ("export", "delete"):
        missing = upbrush_says(word, folder, "--participant", one["id"])
        assert missing.exit_code == 2
        assert "nobody has the number" in missing.stderr


def test_missing_packages_are_named(answered, monkeypatch):
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "choix" else find_spec(name))
    done = upbrush_says("report", answered[0])
    assert done.exit_code == 2
    assert done.stderr == 'upbrush: choix: not installed; this needs pip install "upbrush[survey]"\n'
