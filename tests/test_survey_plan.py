"""What each person sees, and how answers are kept: balance, order, nothing lost, nothing left behind."""

import sqlite3
import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from survey_people import begin, crowd, paper_study, voter

from upbrush.errors import DataError
from upbrush.survey import plan
from upbrush.survey.store import Answer, Full, Store

studies = st.builds(
    paper_study,
    methods=st.integers(2, 4),
    items=st.integers(3, 9),
    votes=st.integers(3, 9),
    checks=st.integers(0, 6),
    repeats=st.integers(0, 1),
    rated=st.integers(0, 3),
    seed=st.integers(0, 2**40),
)


def kinds(trials, kind):
    return [trial for trial in trials if trial.kind == kind]


@settings(max_examples=60, deadline=None)
@given(studies.filter(lambda of: of.votes <= len(of.pairs)), st.integers(1, 50))
def test_laws_of_a_plan(of, number):
    trials = begin(of, number)
    assert trials == begin(of, number)  # a function of the seed and the number
    votes, checks, repeats, rated = (kinds(trials, kind) for kind in (plan.PAIR, plan.CHECK, plan.REPEAT, plan.RATE))
    assert (len(votes), len(checks), len(repeats)) == (of.votes, len(of.checks), of.repeats)
    shown = {(one.item, *sorted((one.left, one.right))) for one in votes}
    assert len(shown) == of.votes  # none twice
    assert shown <= set(of.pairs)
    assert sorted(one.item for one in checks) == list(range(len(of.checks)))
    assert trials[0].kind != plan.CHECK
    for again in repeats:  # later, and the other way round
        first = trials.index(plan.Trial(plan.PAIR, again.item, again.right, again.left))
        assert trials.index(again) > first + 1 or len(trials) < 6
    wanted = {(item, method) for item in of.rated for method in range(len(of.methods))}
    assert {(one.item, one.left) for one in rated} == wanted
    assert len(rated) == len(wanted)
    assert trials[len(trials) - len(rated) :] == rated
    # sides: each two methods even within a person, checks too
    for pair in Counter(tuple(sorted((one.left, one.right))) for one in votes):
        lefts = [one.left == pair[0] for one in votes if {one.left, one.right} == set(pair)]
        assert abs(2 * sum(lefts) - len(lefts)) <= 1
    assert abs(2 * sum(one.left == plan.SHARP for one in checks) - len(checks)) <= 1


def test_no_motif_twice_in_a_row():
    of = paper_study(items=6, votes=18, checks=0, repeats=0)
    for number in range(1, 30):
        trials = begin(of, number)
        assert all(one.item != other.item for one, other in pairwise(kinds(trials, plan.PAIR)))
        assert all(one.item != other.item for one, other in pairwise(kinds(trials, plan.RATE)))


def test_orders_differ_between_people_and_checks_come_anywhere():
    of = paper_study()
    plans = [begin(of, number) for number in range(1, 60)]
    assert len({tuple(one) for one in plans}) == len(plans)
    places = {index for trials in plans for index, trial in enumerate(trials) if trial.kind == plan.CHECK}
    assert places >= set(range(1, of.votes + of.repeats + len(of.checks) - 1))


def test_coverage_and_sides_are_even_over_people():
    of = paper_study(methods=3, items=7, votes=8)
    rng = np.random.default_rng(0)
    _, seen = crowd(of, [voter((0, 0, 0), rng) for _ in range(60)])
    shown = np.array([seen[pair][0] for pair in of.pairs])
    lefts = np.array([seen[pair][1] for pair in of.pairs])
    assert shown.sum() == 60 * 8
    assert np.ptp(shown) <= 1
    assert np.abs(2 * lefts - shown).max() <= 4
    assert abs(2 * lefts.sum() - shown.sum()) < 30


@pytest.fixture
def of():
    return paper_study(votes=4, checks=2, repeats=1, rated=1)


@pytest.fixture
def store(tmp_path, of):
    with Store(tmp_path / "answers.sqlite", of.id, create=True) as opened:
        yield opened


def drawn(of):
    return lambda number, seen: begin(of, number, seen)


def answer_all(store, token, how_many=None):
    person = store.person(token)
    for position, trial in list(enumerate(person.plan))[:how_many]:
        store.answer(person, position, Answer("4" if trial.kind == plan.RATE else "left", 1.5, 1.0))


def test_a_person_goes_on_where_they_were(store, of, tmp_path):
    token = store.begin(drawn(of))
    answer_all(store, token, 3)
    with Store(tmp_path / "answers.sqlite", of.id, create=False) as other:  # as another process would
        found = other.person(token)
        assert len(found.answers) == 3
        assert list(found.plan) == begin(of, 1)
    assert store.person("another") is None
    assert token.encode() not in (tmp_path / "answers.sqlite").read_bytes()  # a hash only


def test_an_answer_stands_and_comes_in_turn(store, of):
    token = store.begin(drawn(of))
    person = store.person(token)
    store.answer(person, 0, Answer("left", 1, 1))
    store.answer(person, 0, Answer("right", 1, 1))  # sent again as its reply was lost
    assert [one.choice for one in store.person(token).answers] == ["left"]
    for position, choice in ((2, "left"), (99, "left"), (-1, "left"), (1, "5"), (1, "up")):
        with pytest.raises(ValueError, match="question|answer"):
            store.answer(person, position, Answer(choice, 1, 1))
    with pytest.raises(ValueError, match="still open"):
        store.finish(person, 4, "")
    answer_all(store, token)
    store.finish(person, 4, "fine")
    store.finish(person, 1, "again")
    found = store.person(token)
    assert (found.satisfaction, found.comment) == (4, "fine")
    assert found.finished % 60 == found.begun % 60 == 0  # the minute, no finer


def test_pairs_before_those_who_gave_up_count_as_unseen(store, of, monkeypatch):
    first = store.begin(drawn(of))
    answer_all(store, first, 1)
    pending = {}
    store.begin(lambda number, seen: pending.update(seen) or begin(of, number, seen))
    assert sum(shown for shown, _ in pending.values()) == of.votes
    later = {}
    clock = time.time
    monkeypatch.setattr("upbrush.survey.store.time.time", lambda: clock() + 3 * 3600)
    store.begin(lambda number, seen: later.update(seen) or begin(of, number, seen))
    assert sum(shown for shown, _ in later.values()) == sum(
        one.kind == plan.PAIR for one in store.person(first).plan[:1]
    )


def test_no_more_people_than_wanted(store, of):
    store.begin(drawn(of), 1)
    with pytest.raises(Full):
        store.begin(drawn(of), 1)
    assert len(store.people()) == 1


def test_deleting_leaves_no_byte(store, of, tmp_path):
    secret = "a comment with a name in it"
    tokens = [store.begin(drawn(of)) for _ in range(3)]
    for token in tokens:
        answer_all(store, token)
    store.finish(store.person(tokens[1]), 2, secret)
    gone = store.person(tokens[1])
    assert store.delete(gone.id)
    assert not store.delete(gone.id)
    assert store.person(tokens[1]) is None
    assert len(store.people()) == 2
    assert all(len(one.answers) == len(one.plan) for one in store.people())
    content = b"".join(path.read_bytes() for path in tmp_path.glob("answers.sqlite*"))
    assert secret.encode() not in content
    assert gone.id.encode() not in content
    with sqlite3.connect(tmp_path / "answers.sqlite") as file:
        left = file.execute("SELECT (SELECT count(*) FROM plan), (SELECT count(*) FROM answers)").fetchone()
    file.close()
    assert left == (2 * len(gone.plan), 2 * len(gone.plan))


def test_answers_wait_for_the_disk(store):
    assert store._file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._file.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_other_databases_are_one_line(tmp_path, of):
    path = tmp_path / "answers.sqlite"
    with pytest.raises(DataError, match="no answers yet"):
        Store(path, of.id, create=False)
    assert not path.exists()
    Store(path, of.id, create=True).close()
    with pytest.raises(DataError, match="another study"):
        Store(path, "other", create=True)
    file = sqlite3.connect(path)
    file.execute("PRAGMA user_version = 2")
    file.close()
    with pytest.raises(DataError, match="is of version 2, this upbrush knows 1; use a newer upbrush"):
        Store(path, of.id, create=True)
    path.write_bytes(b"no database at all, but long enough to be looked at" * 20)
    with pytest.raises(DataError, match="cannot be used as a database"):
        Store(path, of.id, create=True)
    foreign = sqlite3.connect(tmp_path / "foreign.sqlite")
    foreign.execute("CREATE TABLE mine (x)")
    foreign.close()
    with pytest.raises(DataError, match="another program"):
        Store(tmp_path / "foreign.sqlite", of.id, create=True)
