"""The ledger of jobs on the disk: what it keeps, for how long, and what harms it."""

import json
import os
import pickle
import time
from dataclasses import replace

import pytest
from filelock import FileLock

from upbrush.web import ledger as ledgers
from upbrush.web.ledger import Ledger
from upbrush.web.orders import Limits, Order
from upbrush.web.problems import Problem
from upbrush.web.runner import JsonMessages, queue


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path, replace(Limits(), keep_hours=1.0))


def kept(ledger, names=("a", "b")):
    coming = ledger.begin("me")
    for number, name in enumerate(names, 1):
        (coming / "in" / str(number)).write_bytes(name.encode())
    return ledger.commit(coming, Order(style=None, scale=2.0), list(names), packed=False, client="me")


def test_a_job_is_read_as_it_was_written(ledger):
    job = kept(ledger)
    assert ledger.job(job.id) == job
    assert list(ledger.jobs()) == [job]
    assert ledger.state(job.id).state == "waiting"
    assert ledger.picture(job, 2)[0].read_bytes() == b"b"


def test_a_painting_is_there_only_when_it_is_whole(ledger):
    job = kept(ledger)
    with ledger.open_part(job, 1) as file:
        file.write(b"half")
    assert ledger.done(job) == {}
    ledger.close_part(job, 1)
    assert ledger.done(job) == {1: 4}


def test_what_was_not_sent_whole_is_no_job(ledger):
    coming = ledger.begin("me")
    (coming / "in" / "1").write_bytes(b"x")
    assert list(ledger.jobs()) == []


def test_results_are_kept_for_their_time(ledger):
    job = kept(ledger)
    state = replace(ledger.state(job.id), state=ledgers.DONE, ended=time.time() - 3000)
    ledger.write_state(job, state)
    assert ledger.sweep() == 0
    ledger.write_state(job, replace(state, ended=time.time() - 4000))
    assert ledger.sweep() == 1
    assert list(ledger.jobs()) == []


def test_of_too_many_results_the_oldest_go(tmp_path):
    ledger = Ledger(tmp_path, replace(Limits(), kept_bytes=8))
    jobs = [kept(ledger) for _ in range(3)]
    for age, job in enumerate(jobs):
        with ledger.open_part(job, 1) as file:
            file.write(b"five5")
        ledger.close_part(job, 1)
        ledger.write_state(job, replace(ledger.state(job.id), state=ledgers.DONE, ended=time.time() - 10 * age))
    assert ledger.sweep() == 2
    assert list(ledger.jobs()) == [jobs[0]]


def test_nothing_is_written_where_there_is_no_room(tmp_path):
    ledger = Ledger(tmp_path, replace(Limits(), free_bytes=1 << 60))
    with pytest.raises(OSError, match="No space left"):
        ledger.check_room()
    Ledger(tmp_path, replace(Limits(), free_bytes=1)).check_room(1)


def test_a_job_that_is_waiting_is_never_swept(ledger, tmp_path):
    job = kept(ledger)
    old = time.time() - 90 * 24 * 3600
    for path in (tmp_path / "jobs" / job.id).rglob("*"):
        os.utime(path, (old, old))
    assert ledger.sweep() == 0
    assert list(ledger.jobs()) == [job]


@pytest.mark.parametrize("words", ["", "{", "[]", '{"state": "done"}', '{"failed": [], "tiles": {}}', "null"])
def test_one_damaged_record_harms_no_other(ledger, tmp_path, words):
    damaged, other = kept(ledger), kept(ledger)
    (tmp_path / "jobs" / damaged.id / "state.json").write_text(words)
    assert ledger.state(damaged.id).state == "failed"
    assert {job.id for job in ledger.jobs()} == {damaged.id, other.id}
    (tmp_path / "jobs" / damaged.id / "job.json").write_text(words)
    assert list(ledger.jobs()) == [other]
    with pytest.raises(Problem, match="is damaged"):
        ledger.job(damaged.id)


def test_a_lock_has_one_holder(ledger):
    job = kept(ledger)
    with ledger.lock(job), pytest.raises(TimeoutError):
        FileLock(ledger.lock(job).lock_file, timeout=0).acquire()
    with ledger.lock(job):
        pass


def test_the_queue_keeps_json_and_runs_no_pickle(tmp_path):
    huey = queue(tmp_path, None)
    asked = []
    task = huey.task(name="paint_job")(asked.append)
    task("0" * 32)
    (data,) = huey.storage.enqueued_items()
    assert json.loads(bytes(data))[6] == ["0" * 32]
    huey.execute(huey.dequeue())
    assert asked == ["0" * 32]

    class Evil:
        def __reduce__(self):
            return (asked.append, ("evil",))

    with pytest.raises(ValueError):
        JsonMessages().deserialize(pickle.dumps(Evil()))
    assert asked == ["0" * 32]
    huey.storage.close()
