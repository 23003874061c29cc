"""Painting on a Ray cluster: what travels, what an actor does, and, slow, two real nodes of which one is killed."""

import socket
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from multiprocessing import Pipe

import pytest
from conftest import draw
from PIL import Image
from tiny_model import write_library

from upbrush.errors import ConfigError, WeightsError
from upbrush.folders import cluster, planning
from upbrush.folders.cluster import Pool
from upbrush.folders.easel import Materials
from upbrush.folders.ledger import NAME, Ledger
from upbrush.folders.run import Wanted, planned
from upbrush.folders.task import Asked, Done, Task

ray = pytest.importorskip("ray")
pyarrow = pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("model"))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        Image.fromarray(draw(8, 9, seed=number)).save(folder / f"{number:02d}.png")
    (folder / "bad.jpg").write_bytes(b"\xff\xd8 not much of a picture")
    return folder


def files(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def test_nobody_waits_at_a_door_that_is_shut():
    with closing(socket.socket()) as shut:
        shut.bind(("127.0.0.1", 0))
        port = shut.getsockname()[1]
    begun = time.monotonic()
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(ConfigError, match="cannot be reached.*give host:port of its head"):
            cluster.check_reachable(address)
    assert time.monotonic() - begun < 5
    with pytest.raises(ConfigError, match="is no address"):
        cluster.check_reachable("somewhere")


@pytest.mark.parametrize("answer", [b"HTTP/1.0 400 Bad request\r\n", b""])
def test_who_is_not_ray_is_told_at_once(answer):
    with closing(socket.create_server(("127.0.0.1", 0))) as other:

        def answer_once():
            door, _ = other.accept()
            with door:
                door.sendall(answer)
                door.recv(999)

        threading.Thread(target=answer_once, daemon=True).start()
        with pytest.raises(ConfigError, match="what answers there is not Ray"):
            cluster.check_reachable(f"127.0.0.1:{other.getsockname()[1]}")
    cluster.check_reachable("auto")  # is found by Ray


def test_a_lost_head_is_one_line_and_loses_nothing(photos, model, tmp_path, monkeypatch):
    @contextmanager
    def dies(*_):
        ours, theirs = Pipe()
        theirs.send("some word")
        theirs.send(4)  # pictures a table
        theirs.send(Done("00.png"))
        theirs.close()
        with closing(ours):
            yield ours

    monkeypatch.setattr(cluster, "_driver", dies)
    asked_for = Wanted([str(photos)], str(tmp_path / "out"), Asked(), Materials("", model=str(model)), ray="there:1")
    with planned(asked_for) as run, pytest.raises(ConfigError, match="there:1: the head of the cluster was lost"):
        list(run.paint())
    with planned(asked_for) as run:
        assert run.counts.waiting == 41


def test_tables_hold_all_tasks_in_their_order(tmp_path):
    tasks = [Task(f"{number}.png", f"in/{number}", Asked(), "s", "m" * (number % 2), number, 2) for number in range(10)]
    tables = cluster._tables(iter(tasks), 4)
    assert [len(table) for table in tables] == [4, 4, 2]
    rows = [row for table in tables for row in table.to_pylist()]
    assert [row["name"] for row in rows] == [task.name for task in tasks]
    assert all(row["source"].startswith("/") for row in rows)  # an actor's folder is another
    assert Asked.of(rows[0]["settings"]) == Asked()


def test_an_actor_paints_what_a_single_machine_paints(photos, model, tmp_path):
    ledger = Ledger(tmp_path / NAME)
    out = str(tmp_path / "out")
    planning.plan([str(photos)], out, Asked(), ledger, False, print)
    [table] = cluster._tables(ledger.waiting(), 99)
    ledger.close()
    actor = cluster.Painters(Materials(out, model=str(model), threads=1))
    with actor._crew:
        done = {row["name"]: row for row in actor(table).to_pylist()}
    assert len(done) == 41
    assert [name for name, row in done.items() if row["error"]] == ["bad.jpg"]
    for name, data in files(tmp_path / "out").items():
        assert len(data) == done[name]["bytes"]
        with Image.open(tmp_path / "out" / name) as image:
            assert image.size == (36, 32)


def test_errors_of_ours_come_back_as_ours():
    told = "many lines\n  of Ray's\nupbrush.errors.WeightsError: x.onnx: is damaged; get it anew\n\nand more"
    ours = cluster._ours(RuntimeError(told))
    assert (type(ours), str(ours)) == (WeightsError, "x.onnx: is damaged; get it anew")
    assert cluster._ours(RuntimeError("nothing of ours")) is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_node_that_is_killed_loses_nothing(photos, model, tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "120")  # of a busy machine
    wanted = Wanted([str(photos)], str(tmp_path / "here"), Asked("monet"), Materials("", model=str(model)))
    with planned(wanted) as run:
        assert sum(done.error is None for done in run.paint()) == 40
    room = {"num_cpus": 1, "object_store_memory": 100_000_000}
    two = Cluster(initialize_head=True, head_node_args={**room, "num_gpus": 1})  # Ray only counts it, nobody uses it
    try:
        doomed = two.add_node(**room)
        two.wait_for_nodes()
        far = Wanted([str(photos)], str(tmp_path / "far"), wanted.asked, wanted.materials, ray=two.address)

        def kill():
            while not files(tmp_path / "far"):
                time.sleep(0.05)
            two.remove_node(doomed, allow_graceful=False)

        killer = threading.Thread(target=kill)
        killer.start()
        with planned(far) as run:
            outcomes = {done.name: done.error for done in run.paint()}
        killer.join()
        with planned(far) as run:
            assert (run.counts.waiting, run.counts.done) == (1, 40)  # the bad one is tried again
        with planned(far) as run:
            other = replace(run.wanted.materials, identity="other")
            with pytest.raises(WeightsError, match="the run is of other"):
                list(cluster.paint(run.ledger, other, two.address, Pool()))
        gpus = Pool(gpus=0.5)
        with planned(replace(far, out=str(tmp_path / "gpu"), pool=gpus)) as run:
            assert sum(done.error is None for done in run.paint()) == 40
        with cluster.connected(two.address):
            assert cluster._room(gpus) == 1  # the one core of the head; half of its GPU would be left
            assert cluster._room(Pool(gpus=2)) == 1  # none has room: it waits for the cluster to grow
    finally:
        two.shutdown()
    assert sorted(name for name, error in outcomes.items() if error) == ["bad.jpg"]
    assert files(tmp_path / "far") == files(tmp_path / "gpu") == files(tmp_path / "here")
    assert len(outcomes) == 41
