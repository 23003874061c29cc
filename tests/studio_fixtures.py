"""What tests of the studio in a browser share: one server for all of them, and a page that nothing may go wrong on."""

import os
import subprocess
import sys

import pytest
from browsing import DESK, chromium, visiting
from studio_site import hosted

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="session")
def studio_model(tmp_path_factory):
    """A folder with the tiny model and three styles."""
    from tiny_model import write_library

    return write_library(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def addresses(tmp_path_factory, studio_model):
    """Where the studio is: served by `upbrush serve`, and as a folder by a host that knows nothing of it."""
    from upbrush.web import static

    folder = tmp_path_factory.mktemp("sites") / "out"
    static.write(folder, studio_model)
    command = [sys.executable, "-m", "upbrush", "serve", "--port", "0", "--workers", "1", "--threads", "1"]
    command += ["--data", str(folder.parent / "data"), "--model", str(studio_model)]
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    with hosted(folder) as address:
        assert serving.stdout is not None
        yield {"server": serving.stdout.readline().strip(), "browser": address}
    serving.terminate()
    serving.communicate(timeout=30)


@pytest.fixture(scope="module")
def browser():
    """Of a module, not of the session: while one is open no other test can run an event loop."""
    with chromium(*CAMERA) as opened:
        yield opened


@pytest.fixture
def visit(browser, addresses):
    """A function that opens the studio as a new person would; nothing may go wrong on the page, or leave it.

    expected: words of faults that the test itself makes.
    """
    allowed = ["422"]  # a picture that is none
    with visiting(browser) as (opened, faults):

        def visit(place, expected=(), **how):
            url = addresses[place]
            allowed.extend(expected)
            page = opened((url, "blob:", "data:"), 30, **{**DESK, "accept_downloads": True, "locale": "en-GB", **how})
            page.goto(url)
            page.wait_for_selector("html[data-ready]")
            return page

        yield visit
    assert [fault for fault in faults if not any(word in fault for word in allowed)] == []
