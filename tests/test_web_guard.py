"""Who may ask, and what a browser may do with the answer."""

import asyncio
import http.client
import json
import socket

import httpx
import pytest
import web_service
from typer.testing import CliRunner
from web_service import png

from upbrush import cli
from upbrush.web import command
from upbrush.web.app import create_app
from upbrush.web.guard import COOKIE, Guard
from upbrush.web.metrics import Metrics

TOKEN = "a-long-enough-word"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    settings = web_service.settings(folder, workers=1, token=TOKEN, hosts=("127.0.0.1", "localhost"))
    with web_service.running(settings) as client:
        yield client


BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize("path", ["/healthz", "/v1", "/v1/nothing", "/nothing", "/openapi.json", "/metrics"])
@pytest.mark.parametrize("headers", [{}, BEARER], ids=["nobody", "bearer"])
def test_every_answer_keeps_the_browser_in_bounds(client, path, headers):
    found = client.get(path, headers=headers).headers
    policy = found["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert not [word for word in policy.split() if "://" in word or word == "*"]
    assert found["cross-origin-opener-policy"] == "same-origin"
    assert found["cross-origin-embedder-policy"] == "require-corp"
    assert found["cross-origin-resource-policy"] == "same-origin"
    assert found["x-content-type-options"] == "nosniff"
    assert found["referrer-policy"] == "no-referrer"
    assert "server" not in found


@pytest.mark.parametrize("path", ["/v1", "/v1/styles", "/v1/styles/monet/preview", "/v1/jobs/" + "0" * 32, "/metrics"])
def test_without_the_token_nothing_is_told(client, path):
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"cookie": f"{COOKIE}=x"},
    ):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["type"] == "TokenError"
    assert client.get(path, headers=BEARER).status_code in (200, 404)


def test_painting_wants_the_token_before_it_reads_anything(client, draw):
    files = {"picture": png(draw(9, 9))}
    assert client.post("/v1/paint", files=files).status_code == 401
    assert client.post("/v1/paint", files=files, headers=BEARER).status_code == 200


def test_a_browser_keeps_a_cookie_instead(client):
    answer = client.post("/v1/session", headers=BEARER)
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    client.cookies.clear()
    value = cookie.split(";")[0]
    assert client.get("/v1/styles/monet/preview", headers={"cookie": value}).status_code == 200
    assert client.get("/v1", headers={"cookie": f"a=b; {value}"}).status_code == 200
    assert client.post("/v1/session").status_code == 401


@pytest.mark.parametrize(("behind", "secure"), [("paint.example.org", True), (None, False)], ids=str)
def test_cookies_are_for_tls_only_behind_a_proxy_that_speaks_it(tmp_path, behind, secure):
    app = create_app(web_service.settings(tmp_path, token=TOKEN, tls=behind))

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.post("/v1/session", headers=BEARER)

    answer = asyncio.run(ask())
    assert answer.status_code == 204
    assert ("secure" in answer.headers["set-cookie"].lower().split("; ")) == secure


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
    ids=str,
)
def test_pages_of_other_sites_change_nothing(client, headers, draw):
    for method, path in (("POST", "/v1/paint"), ("POST", "/v1/jobs"), ("DELETE", "/v1/styles/monet")):
        answer = client.request(method, path, headers=BEARER | headers)
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "RequestError")


def test_no_other_site_is_let_in(client):
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = client.options("/v1/paint", headers=asked)
    assert answer.status_code in (403, 405)
    answers = [answer, client.get("/healthz", headers={"origin": "https://evil.example"})]
    assert not [name for one in answers for name in one.headers if name.startswith("access-control")]


def test_another_name_for_this_machine_is_refused(client):
    """A page whose name was made to point here (DNS rebinding) reads nothing."""
    for name in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
        answer = client.get("/healthz", headers={"host": name})
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "RequestError")
    for name in ("localhost", "localhost:1234", "127.0.0.1:8766"):
        assert client.get("/healthz", headers={"host": name}).status_code == 200


def test_a_fault_of_ours_is_told_without_its_details(caplog):
    async def broken(scope, receive, send):
        raise ZeroDivisionError("secret")

    guard = Guard(broken, limits=web_service.SMALL, metrics=Metrics(), room=lambda: 10**9)

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://x") as client:
            return await client.get("/v1")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "InternalError")
    assert "secret" not in answer.text
    assert "secret" in caplog.text
    assert "content-security-policy" in answer.headers


def test_a_full_disk_is_told_before_anything_is_sent():
    async def never(scope, receive, send):
        raise AssertionError

    guard = Guard(never, limits=web_service.SMALL, metrics=Metrics(), room=lambda: 10)

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://x") as client:
            return await client.post("/v1/jobs", content=b"x" * 11)

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["error"]["type"]) == (507, "LimitError")


def raw(client, request):
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as line:
        line.sendall(request)
        answer = http.client.HTTPResponse(line)
        answer.begin()
        return answer.status, answer.read()


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/model/..%2f..%2fx.onnx", "//etc/passwd"]
)
def test_paths_lead_nowhere_else(client, path):
    status, body = raw(client, f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    assert status == 404
    assert b"root:" not in body


def test_a_broken_form_is_the_clients_fault(client):
    headers = BEARER | {"content-type": "multipart/form-data; boundary=x"}
    for content in (
        b"",
        b"--x\r\n\r\n",
        b'--x\r\ncontent-disposition: form-data; name="picture"\r\n\r\n',
        b"\xff" * 50,
    ):
        answer = client.post("/v1/paint", content=content, headers=headers)
        assert answer.status_code in (400, 422)
        assert answer.json()["error"]["type"] == "RequestError"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "0.0.0.0"], "lets other machines in"),
        (["--host", "::"], "lets other machines in"),
        (["--behind-tls", "paint.example.org"], "--behind-tls paint.example.org lets other machines in"),
        (["--behind-tls", "https://x", "--public"], "expected a name and nothing else"),
        (["--token", "short"], "can be guessed"),
        (["--token", "with a space in it ☃"], "not be sent"),
        (["--limit", "pixels=many"], "is no number"),
        (["--host", "no.such.host.example", "--public"], "is no address of this machine"),
        (["--engine", "abacus"], "engine 'abacus' is unknown"),
        (["--model", "nowhere"], "not found"),
        (["--redis", "redis://127.0.0.1:1/0"], "no Redis answers there"),
        (["--data", "/proc/nowhere"], "cannot be written to"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_serving_by_mistake_is_refused_in_one_line(words, told, tmp_path):
    given = ["serve", *([] if "--data" in words else ["--data", str(tmp_path)]), *words]
    done = CliRunner().invoke(cli.app, given)
    assert done.exit_code == 2, done.output
    assert told in done.output
    assert len(done.output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "hosts"),
    [
        ([], ["127.0.0.1", "[::1]", "localhost"]),
        (["--ray"], ["127.0.0.1", "[::1]", "localhost"]),
        (["--behind-tls", "a.example", "--token", TOKEN], ["127.0.0.1", "[::1]", "a.example", "localhost"]),
        (["--public"], None),
    ],
    ids=str,
)
def test_names_that_the_service_may_be_called_by(client, monkeypatch, tmp_path, words, hosts):
    model = client.app.state.desk.settings.bench.model_dir
    found = []
    monkeypatch.setattr(command, "_serve_here", lambda settings, *_: found.append(settings.hosts))
    monkeypatch.setattr(command, "_serve_on_ray", lambda settings, *_: found.append(settings.hosts))
    done = CliRunner().invoke(cli.app, ["serve", "--data", str(tmp_path), "--model", str(model), *words])
    assert done.exit_code == 0, done.output
    assert (found[0] and sorted(set(found[0]))) == hosts


def test_openapi_has_examples_and_typed_errors(client):
    document = client.get("/openapi.json").json()
    paint = document["paths"]["/v1/paint"]["post"]
    assert {"200", "401", "413", "415", "422", "429"} <= set(paint["responses"])
    assert set(paint["responses"]["200"]["content"]) >= {"image/png", "image/jpeg", "image/webp"}
    told = paint["responses"]["429"]["content"]["application/json"]
    assert told["example"]["error"]["type"] == "BusyError"
    assert told["schema"] == {"$ref": "#/components/schemas/Faulty"}
    assert "HTTPValidationError" not in json.dumps(document)
    form = document["components"]["schemas"]["Body_paint_v1_paint_post"]["properties"]
    assert form["style"]["examples"] == ["monet"]


def test_openapi_shows_each_success(client):
    """An example of what comes back, or which media types do; of what is guarded, what opens it."""
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    bare = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert ("security" in operation) == (path.startswith("/v1") or path == "/metrics"), path
            for status in {"200", "201", "202"} & set(operation["responses"]):
                for kind, told in operation["responses"][status].get("content", {"nothing": {}}).items():
                    binary = told.get("schema", {}).get("format") == "binary"
                    if not (binary or told.get("example") or told.get("examples")):
                        bare.append(f"{method} {path} {status} {kind}")
    assert set(bare) <= {
        "get /healthz 200 application/json",
        "get /readyz 200 application/json",
        "get /v1/styles/{name} 200 application/json",
        "delete /v1/jobs/{id} 200 application/json",
    }
    jobs = document["paths"]["/v1/jobs"]["post"]
    assert jobs["requestBody"]["content"]["multipart/form-data"]["examples"]["clips"]["value"]["kind"] == "video"
    painting = document["paths"]["/v1/jobs/{id}/results/{number}"]["get"]["responses"]["200"]["content"]
    assert {"image/png", "video/mp4"} <= set(painting)


def test_examples_of_the_document_are_true(client):
    """Each has exactly the fields of its schema."""
    document = client.get("/openapi.json").json()
    for path, method, status in (
        ("/v1", "get", "200"), ("/v1/styles", "get", "200"), ("/v1/styles", "post", "201"), ("/v1/jobs", "post", "202"),
        ("/v1/jobs/{id}", "get", "200"),
    ):  # fmt: skip
        told = document["paths"][path][method]["responses"][status]["content"]["application/json"]
        schema = document["components"]["schemas"][told["schema"]["$ref"].rpartition("/")[2]]
        assert told["examples"]
        for example in told["examples"].values():
            assert set(example["value"]) == set(schema["properties"]), (path, method)
