"""The survey over HTTP: blind, bounded, anonymous; and a server that is killed in mid-study loses nothing."""

import asyncio
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import httpx
import pytest
from survey_people import METHODS, small_study
from typer.testing import CliRunner

from upbrush import address, cli
from upbrush.errors import ConfigError
from upbrush.survey import server, study
from upbrush.survey.store import Store

LOCAL = ["localhost", "127.0.0.1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return small_study(tmp_path_factory.mktemp("served"), ties=True)


class Site:
    """A study in this process, without a network."""

    def __init__(self, made, path, **changes):
        folder, of = made
        self.store = Store(path / "answers.sqlite", of.id, create=True)
        desk = server.Desk(of, study.read_words(folder), folder, self.store, **changes)
        transport = httpx.ASGITransport(app=server.create_app(desk, LOCAL), raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://localhost", trust_env=False)
        self.loop = asyncio.Runner()

    def close(self):
        self.loop.run(self.client.aclose())
        self.loop.close()
        self.store.close()

    def ask(self, method, path, token=None, **more):
        headers = more.pop("headers", {}) | ({"authorization": f"Bearer {token}"} if token else {})
        return self.loop.run(self.client.request(method, path, headers=headers, **more))

    def begin(self, **body):
        return self.ask("POST", "/api/begin", json=body).json()

    def answer(self, token, position, choice="left", seconds=2.5, scale=1.0):
        body = {"position": position, "choice": choice, "seconds": seconds, "scale": scale}
        return self.ask("POST", "/api/answer", token, json=body)


@pytest.fixture
def site(made, tmp_path):
    opened = Site(made, tmp_path)
    yield opened
    opened.close()


def walk(site, token):
    """Answer everything; every state that was told on the way."""
    states = [site.ask("GET", "/api/state", token).json()]
    while states[-1]["phase"] in ("pair", "rate"):
        choice = "3" if states[-1]["phase"] == "rate" else "left"
        states.append(site.answer(token, states[-1]["position"], choice).json())
    return states


def test_a_person_from_the_first_page_to_the_last(site, made):
    told = site.ask("GET", "/api/study").json()
    assert (told["pairs"], told["ratings"], told["ties"]) == (10, 6, True)
    token = site.begin()["token"]
    states = walk(site, token)
    assert [one["position"] for one in states] == list(range(17))
    assert states[-1]["phase"] == "end"
    body = {"satisfaction": 4, "comment": " <b>fine</b> "}
    done = site.ask("POST", "/api/finish", token, json=body).json()
    assert done["phase"] == "done"
    [person] = site.store.people()
    assert person.id == done["number"]
    assert (person.satisfaction, person.comment) == (4, "<b>fine</b>")
    assert all(one.seconds == 2.5 for one in person.answers)
    # every picture that was shown can be had, and the next one's are told ahead
    for state, later in zip(states, states[1:], strict=False):
        shown = {later.get(place) for place in ("left", "right", "reference")} - {None}
        assert set(state["soon"]) == shown


def test_nothing_that_is_sent_tells_whose_a_picture_is(site, made):
    folder, of = made
    replies = [
        site.ask("GET", path) for path in ("/", "/survey.js", "/closer.js", "/survey.css", "/api/study", "/icon.svg")
    ]
    begun = site.ask("POST", "/api/begin", json={})
    token = begun.json()["token"]
    states = walk(site, token)
    pictures = [site.ask("GET", state["left"]) for state in states if state.get("left")]
    replies += [begun, *pictures, site.ask("GET", "/picture/none"), site.ask("GET", "/api/none")]
    for reply in replies:
        said = reply.content + repr(reply.headers.raw).encode()
        for method in METHODS:
            assert method.encode() not in said
        assert b"study.json" not in said
        assert not {"etag", "last-modified", "server", "set-cookie"} & reply.headers.keys()
    # a check and a repeat look like any other pair
    assert {frozenset(one) for one in states if one["phase"] == "pair"} == {frozenset(states[0])}
    assert {one["phase"] for one in states} == {"pair", "rate", "end"}
    text = json.dumps(states)
    assert not any(word in text for word in ("check", "repeat", "worse", "kind", "method", "item"))


def test_every_reply_is_fenced_in(site):
    for path in ("/", "/api/study", "/picture/none", "/nowhere"):
        headers = site.ask("GET", path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    assert site.ask("GET", "/api/study").headers["cache-control"] == "no-store"
    page = site.ask("GET", "/").text + site.ask("GET", "/survey.js").text + site.ask("GET", "/survey.css").text
    assert "http://" not in page
    assert "https://" not in page
    assert "style=" not in page
    assert "innerHTML" not in page


@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/picture/../study.json", "/picture/%2e%2e%2fstudy.json", "/study.json"]
)
def test_what_is_not_to_be_had(site, path):
    assert site.ask("GET", path).status_code == 404


def test_who_has_no_token_learns_and_changes_nothing(site):
    for method, path in (
        ("GET", "/api/state"),
        ("POST", "/api/answer"),
        ("POST", "/api/finish"),
        ("DELETE", "/api/me"),
    ):
        for token in (None, "x" * 32):
            body = {"position": 0, "choice": "left", "seconds": 1, "scale": 1, "satisfaction": 3}
            reply = site.ask(method, path, token, **({"json": body} if method == "POST" else {}))
            assert reply.status_code == 401
            assert "error" in reply.json()
    assert site.store.people() == []


@pytest.mark.parametrize(
    "body",
    [
        {"position": 1}, {"position": -1}, {"position": "x"}, {"choice": "up"}, {"choice": "3"}, {"choice": "left" * 9},
        {"seconds": -1}, {"seconds": 1e9}, {"scale": "big"}, {"choice": None},
    ],
)  # fmt: skip
def test_answers_that_are_none(site, body):
    token = site.begin()["token"]
    reply = site.ask(
        "POST", "/api/answer", token, json={"position": 0, "choice": "left", "seconds": 1, "scale": 1} | body
    )
    assert reply.status_code in (400, 422)
    assert list(reply.json()) == ["error"]
    assert site.store.person(token).answers == ()


def test_no_numbers_that_are_none(site):
    token = site.begin()["token"]
    for word in ("NaN", "Infinity"):
        content = f'{{"position": 0, "choice": "left", "seconds": {word}, "scale": 1}}'
        reply = site.ask("POST", "/api/answer", token, content=content, headers={"content-type": "application/json"})
        assert reply.status_code == 422


def test_a_tie_only_where_it_is_asked_for(tmp_path):
    strict = Site(small_study(tmp_path / "a", ties=False), tmp_path)
    assert strict.answer(strict.begin()["token"], 0, "tie").status_code == 400
    strict.close()


def test_bodies_are_bounded(site):
    token = site.begin()["token"]
    large = b"x" * (server.MOST_BODY_BYTES + 1)

    async def pieces():
        for _ in range(server.MOST_BODY_BYTES // 1000 + 1):
            yield b"x" * 1000

    for content in (large, pieces()):
        reply = site.ask("POST", "/api/answer", token, content=content, headers={"content-type": "application/json"})
        assert reply.status_code == 413
        assert reply.headers["content-security-policy"]
    walk(site, token)
    long = {"satisfaction": 3, "comment": "x" * 2001}
    assert site.ask("POST", "/api/finish", token, json=long).status_code == 422


def test_another_site_cannot_use_a_name_of_its_own(site):
    assert site.ask("GET", "/api/study", headers={"host": "evil.example"}).status_code == 400


def test_a_page_of_another_site_cannot_answer(site):
    for origin, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        reply = site.ask("POST", "/api/begin", json={}, headers={"sec-fetch-site": origin})
        assert reply.status_code == status
    assert len(site.store.people()) == 2
    assert site.ask("GET", "/", headers={"sec-fetch-site": "cross-site"}).status_code == 200  # a link to it is fine


def test_only_who_was_invited(made, tmp_path):
    closed = Site(made, tmp_path, invitation="open-sesame")
    for wrong in ({}, {"invitation": "öpen"}, {"invitation": "open-sesam"}):
        reply = closed.ask("POST", "/api/begin", json=wrong)
        assert reply.status_code == 403
        assert "invited" in reply.json()["error"]
    assert closed.begin(invitation="open-sesame")["phase"] == "pair"
    assert len(closed.store.people()) == 1
    closed.close()


def test_enough_people_are_enough(made, tmp_path):
    small = Site(made, tmp_path, most_people=1)
    assert small.begin()["token"]
    assert small.ask("POST", "/api/begin", json={}).status_code == 403
    small.close()


def test_who_wants_to_be_forgotten_is(site):
    token = site.begin()["token"]
    walk(site, token)
    assert site.ask("DELETE", "/api/me", token).json() == {"deleted": True}
    assert site.store.people() == []
    assert site.ask("GET", "/api/state", token).status_code == 401


def test_a_full_disk_is_told_and_not_swallowed(site, monkeypatch):
    token = site.begin()["token"]

    def full(*given):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(site.store, "answer", full)
    reply = site.answer(token, 0)
    assert reply.status_code == 503  # the page tries again
    monkeypatch.undo()
    assert site.answer(token, 0).status_code == 200


def test_nothing_about_a_person_is_kept_but_what_they_answer(site):
    token = site.ask(
        "POST", "/api/begin", json={}, headers={"user-agent": "Telltale/1", "x-forwarded-for": "9.9.9.9"}
    ).json()["token"]
    walk(site, token)
    path = site.store._path
    content = b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))
    for word in (b"Telltale", b"9.9.9.9", token.encode()):
        assert word not in content


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "add --token WORD to let in only those with the link, or --public"),
        (["--host", "::", "--token", "short"], "can be guessed"),
        (["--host", "nowhere.invalid", "--public"], "is no address of this machine"),
        (["--port", "99999"], "65535"),
    ],
)
def test_serve_refuses_in_one_line(made, words, said):
    done = CliRunner().invoke(cli.app, ["survey", "serve", str(made[0]), *words])
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_told():
    with address.listen("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match="cannot be used"):
        address.listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("example.org", False)],
)
def test_what_only_this_machine_reaches(host, local):
    assert address.is_loopback(host) == local


class Serving:
    """`upbrush survey serve` in a process of its own."""

    def __init__(self, folder, *words):
        port = [] if "--port" in words else ["--port", "0"]
        command = [sys.executable, "-m", "upbrush", "survey", "serve", str(folder), *port, *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def ask(self, method, path, token="", body=None):
        line = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
            line.request(method, path, json.dumps(body) if body is not None else None, headers)
            reply = line.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            line.close()

    def end(self, number):
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)[1]


@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9 there")
def test_a_server_that_is_killed_loses_no_confirmed_answer(tmp_path):
    folder, _ = small_study(tmp_path, votes=18, checks=6, repeats=6)
    first = Serving(folder)
    tokens = [first.ask("POST", "/api/begin", body={})[1]["token"] for _ in range(4)]
    confirmed = dict.fromkeys(tokens, 0)
    some = threading.Semaphore(0)

    def answer(token):
        try:
            while True:
                choice = "3" if confirmed[token] >= 30 else "left"
                body = {"position": confirmed[token], "choice": choice, "seconds": 1, "scale": 1}
                status, state = first.ask("POST", "/api/answer", token, body)
                assert status == 200
                confirmed[token] = state["position"]
                some.release()
        except (OSError, http.client.HTTPException, ValueError, AssertionError):
            return  # killed

    threads = [threading.Thread(target=answer, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for _ in range(20):  # answers of four people, in the middle of being written
        assert some.acquire(timeout=30)
    first.end(signal.SIGKILL)
    for thread in threads:
        thread.join(30)
    assert sum(confirmed.values()) >= 20

    again = Serving(folder)
    for token in tokens:
        status, state = again.ask("GET", "/api/state", token)
        assert status == 200
        assert confirmed[token] <= state["position"] <= confirmed[token] + 1  # one may be written and not confirmed
    told = again.end(signal.SIGINT)
    assert again.process.returncode == 0
    assert told == f"upbrush: stopped; 0 people have finished, all answers are in {folder / 'answers.sqlite'}\n"
    with sqlite3.connect(folder / "answers.sqlite") as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute("SELECT count(*) FROM answers").fetchone()[0] >= sum(confirmed.values())
    file.close()
