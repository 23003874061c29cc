"""Connections have bounds before there is a request: how long, how much, how many."""

import contextlib
import http.client
import json
import socket
import threading
import time

import pytest
import uvicorn
from web_service import wait_for

from upbrush import address
from upbrush.web.guard import MOST_HEAD_BYTES, Guard
from upbrush.web.metrics import Metrics
from upbrush.web.orders import Limits
from upbrush.web.server import options

LIMITS = Limits(
    head_seconds=0.3, connections=6, connections_a_client=2, stall_seconds=0.4, upload_rate=1000, free_bytes=1000
)
LARGE = 20_000_000
HELLO = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
room = [10**9]


async def application(scope, receive, send):
    """Reads what is sent, tells how much it was."""
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode() if scope["path"] == "/" else bytes(LARGE)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def told(scope, receive, send):
    """As FastAPI does: what is raised while a form is read becomes an answer."""
    from fastapi import HTTPException

    try:
        await application(scope, receive, send)
    except HTTPException as error:
        body = json.dumps({"error": error.detail}).encode()
        await send({"type": "http.response.start", "status": error.status_code, "headers": []})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def place():
    config = options(Guard(told, limits=LIMITS, metrics=Metrics(), room=lambda: room[0]), LIMITS)
    server = uvicorn.Server(config)
    with address.listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        wait_for(lambda: server.started)
        yield listening.getsockname()
        server.should_exit = True
        thread.join()


@pytest.fixture
def lines(place):
    """What opens connections, all closed in the end."""
    with contextlib.ExitStack() as stack:
        yield lambda source="127.0.0.1": stack.enter_context(
            socket.create_connection(place, timeout=10, source_address=(source, 0))
        )


def answer(line):
    found = http.client.HTTPResponse(line)
    found.begin()
    content = found.read()
    return found, json.loads(content)["error"]["type"] if found.status != 200 else content


def check_typed(line, status, kind):
    found, told = answer(line)
    assert (found.status, told) == (status, kind)
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert found.headers["x-content-type-options"] == "nosniff"
    return found


@pytest.mark.parametrize("one", [b"a: " + b"x" * 1000 + b"\r\n", b"x" * 1000], ids=["many", "one long"])
def test_a_head_without_end_is_cut_off(lines, one):
    line, sent = lines(), 0
    line.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n")
    with contextlib.suppress(ConnectionError):
        while sent < 20 * MOST_HEAD_BYTES:
            sent += line.send(one)
            time.sleep(0.0005)
    assert sent < 20 * MOST_HEAD_BYTES


def test_a_head_that_is_too_large_is_told(lines):
    line = lines()
    line.sendall(b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"x" * (MOST_HEAD_BYTES + 1000))
    check_typed(line, 431, "LimitError")
    whole = lines()
    whole.sendall(b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"x" * (MOST_HEAD_BYTES + 10) + b"\r\n\r\n")
    check_typed(whole, 431, "LimitError")


def test_what_is_no_http_is_told(lines):
    line = lines()
    line.sendall(b"\x16\x03\x01 hello\r\n\r\n")
    check_typed(line, 400, "RequestError")


def test_who_sends_nothing_is_let_go(lines):
    line, start = lines(), time.monotonic()
    assert line.recv(10) == b""
    assert 0.2 < time.monotonic() - start < 5


@pytest.mark.parametrize("before", [b"", HELLO], ids=["first", "later"])
def test_half_a_request_is_let_go_however_slowly_it_comes(lines, before):
    line, start = lines(), time.monotonic()
    if before:
        line.sendall(before)
        assert answer(line)[1] == b"0"
    line.settimeout(0.1)
    for letter in b"GET / HTTP/1.1\r\nhost: " + b"x" * 100:
        line.sendall(bytes([letter]))
        with contextlib.suppress(TimeoutError):
            if line.recv(1, socket.MSG_PEEK):
                break
    line.settimeout(10)
    check_typed(line, 408, "RequestError")
    assert 0.2 < time.monotonic() - start < 5


def test_who_is_answered_may_ask_again(lines):
    line = lines()
    for pause in (0.4, 0.0):
        line.sendall(HELLO)
        assert answer(line)[1] == b"0"
        time.sleep(pause)


def test_a_body_that_trickles_is_let_go(lines):
    """Never silent for long, and yet too slow."""
    line, start = lines(), time.monotonic()
    line.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
    line.settimeout(0.1)
    while time.monotonic() - start < 8:
        line.sendall(b"x")
        with contextlib.suppress(TimeoutError):
            if line.recv(1, socket.MSG_PEEK):
                break
    line.settimeout(10)
    check_typed(line, 408, "RequestError")


def test_a_slow_body_that_keeps_its_rate_comes_through(lines):
    line = lines()
    line.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4000\r\n\r\n")
    for _ in range(10):  # longer in all than it may be silent
        line.sendall(b"x" * 400)
        time.sleep(0.06)
    assert answer(line)[1] == b"4000"


def test_a_full_disk_is_noticed_while_a_body_of_unknown_length_comes(lines):
    line = lines()
    room[0] = 0
    try:
        line.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        check_typed(line, 507, "LimitError")
    finally:
        room[0] = 10**9


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system cannot tell")
def test_who_takes_nothing_of_its_answer_is_let_go(place):
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(place)
        line.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(1.5)
        line.settimeout(10)
        size = 0
        with contextlib.suppress(ConnectionError):
            while data := line.recv(1 << 20):
                size += len(data)
    assert size < LARGE


def test_one_address_does_not_take_all_connections(lines):
    """And where too many ask at once, that is told in the usual form, too."""
    slow = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n"

    def ask(source, words):
        line = lines(source)
        line.sendall(words)
        return line

    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        busy = [ask(source, slow) for _ in range(2)]
        time.sleep(0.02)
        if source == "127.0.0.1":
            refused = ask(source, HELLO)
            found = check_typed(refused, 429, "BusyError")
            assert int(found.headers["retry-after"]) > 0
            assert refused.recv(10) == b""
    found = check_typed(ask("127.0.0.4", HELLO), 503, "BusyError")
    assert int(found.headers["retry-after"]) > 0
    assert len(busy) == 2


@pytest.mark.parametrize("source", ["127.0.0.5", "127.0.0.6"], ids=["of their address", "of another"])
def test_silent_connections_keep_nobody_out(lines, source):
    held = [lines("127.0.0.5") for _ in range(40)]
    line = lines(source)
    line.sendall(HELLO)
    assert answer(line)[1] == b"0"
    assert len(held) == 40
