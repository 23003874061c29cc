"""Long work in the studio: jobs that survive a reload and a bad line, clips, stopping, and what a tab keeps."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browsing import CHROMIUM
from studio_site import PLACES, downloaded, drawn, drop, previewed, slide

from upbrush import picture
from upbrush.engine import open_engine
from upbrush.painter import Painter

pytest.importorskip("playwright", reason="playwright is not installed")
pytest.importorskip("fastapi", reason="the serve extra is not installed")
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"there is no browser at {CHROMIUM}")

LARGE = (420, 360)  # more than one tile, so that the server paints it as a job


@pytest.fixture
def told(visit):
    """A page with a large picture, and what it asks about jobs: the method, and what follows /v1/jobs.

    What was answered is there, too, with the status beside the method: a request may be told of twice.
    """
    page = visit("server", expected=("502", "ERR_FAILED"))
    asked = []

    def note(request, status=""):
        if "/v1/jobs" in request.url:
            asked.append((f"{request.method}{status}", request.url.split("/v1/jobs")[1]))

    page.on("request", note)
    page.on("response", lambda answer: note(answer.request, f" {answer.status}"))
    drop(page, drawn(*LARGE))
    previewed(page)
    return page, asked


def whole(file, studio_model):
    """Is it the painting of the large picture?"""
    expected = Painter(open_engine(model_dir=studio_model)).paint(picture.read(drawn(*LARGE)))
    return np.abs(picture.read(file).pixels.astype(int) - expected.pixels).max() <= 1


def counted(asked, method, ending=""):
    return sum(how == method and place.endswith(ending) for how, place in asked)


def test_no_preview_is_a_job(told):
    """Not even the finest: one that is given up at the click would be stopped beside the painting's own."""
    page, asked = told
    asked.clear()
    page.evaluate("() => { let now = 0; performance.now = () => ++now; }")  # a machine that paints in no time
    slide(page, "#fidelity", 60)
    previewed(page)
    page.wait_for_selector("#view[data-preview=fine]:not(.fading)")
    assert asked == []


def test_a_word_of_a_proxy_in_mid_job_loses_nothing(told, studio_model):
    """The stream breaks off with a 502, and so does the question after it; the job goes on."""
    page, asked = told
    left = {"events": 2, "job": 1}

    def broken(route):
        kind = "events" if route.request.url.endswith("/events") else "job"
        if route.request.method != "GET" or not left[kind]:
            return route.continue_()
        left[kind] -= 1
        return route.fulfill(status=502, body="<h1>Bad gateway</h1>", content_type="text/html")

    page.route(re.compile(r"/v1/jobs/\w+(/events)?$"), broken)
    file, _ = downloaded(page)
    assert left == {"events": 0, "job": 0}
    assert whole(file, studio_model)
    assert page.is_hidden("#alert")  # it was told that nobody answers, until somebody did
    assert counted(asked, "POST 202") == 1, asked
    assert asked[-1][0] == "DELETE 204"  # when the painting was here, and not before
    assert counted(asked, "DELETE 204") == 1


def test_a_download_that_fails_leaves_the_painting_where_it_is(told, studio_model):
    page, asked = told
    page.route("**/results/1", lambda route: route.abort())
    page.click("#paint")
    page.wait_for_function("() => document.querySelector('#alert-words').textContent.includes('asks it again')")
    assert counted(asked, "GET", "/results/1") >= 4  # tried again and again
    assert counted(asked, "DELETE") == 0
    page.unroute("**/results/1")
    file, _ = downloaded(page)
    assert whole(file, studio_model)
    assert (counted(asked, "POST 202"), counted(asked, "DELETE 204")) == (1, 1), asked  # it was not painted twice
    assert page.is_hidden("#alert")


def test_a_reload_loses_nothing(visit):
    page = visit("server")
    drop(page, drawn())
    page.click("[data-name=klimt]")
    page.check("#several")
    page.click("[data-name=monet]")
    slide(page, "#strength", 35)
    page.select_option("#format", "webp")
    previewed(page)
    asked = page.text_content("#command")
    assert "--strength 0.35" in asked
    page.reload()
    page.wait_for_selector("html[data-ready]")
    previewed(page)
    assert page.text_content("#command") == asked
    assert page.locator(".part").count() == 2
    other = page.context.new_page()  # another tab begins anew, and takes nothing from this one
    other.goto(page.url)
    other.wait_for_selector("html[data-ready]")
    assert other.is_visible("#empty")
    page.close()
    # A browser lets go of a closed page's lock when it comes to it, and a tab is known to be closed by that.
    other.wait_for_function("async () => (await navigator.locks.query()).held.length === 1")
    other.reload()
    other.wait_for_selector("html[data-ready]")
    assert (
        other.evaluate(
            """() => new Promise((resolve) => {
          const opening = indexedDB.open("upbrush-tabs");
          opening.onsuccess = () => {
            const pictures = opening.result.transaction("pictures").objectStore("pictures").getAllKeys();
            pictures.onsuccess = () => resolve(pictures.result);
          };
        })"""
        )
        == []
    )  # pictures of closed tabs do not stay


@pytest.mark.slow
def test_a_large_picture_is_a_job(visit, studio_model):
    """Above a quarter of a megapixel the server tells how far it is."""
    page = visit("server")
    data = drawn(560, 460)
    drop(page, data)
    asked = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url.split('/v1/')[-1][:4]}"))
    file, _ = downloaded(page)
    assert "POST jobs" in asked
    assert "DELETE jobs" in asked  # nothing stays with the server
    expected = Painter(open_engine(model_dir=studio_model)).paint(picture.read(data))
    assert np.abs(picture.read(file).pixels.astype(int) - expected.pixels).max() <= 1


@pytest.mark.slow
def test_a_clip_is_painted_and_played(visit, tmp_path):
    clips = pytest.importorskip("clips", reason="the video extra is not installed")
    clip = clips.write_clip(tmp_path / "clip.mp4", clips.shots(6, height=64, width=96))
    page = visit("server")
    page.set_default_timeout(120_000)  # processes begin for it
    drop(page, clip.read_bytes(), name="clip.mp4", kind="video/mp4")
    page.click("[data-name=monet]")
    previewed(page)
    file, name = downloaded(page)
    assert name == "clip-monet.mp4"
    (tmp_path / name).write_bytes(file)
    assert [frame.shape for frame in clips.pictures_of(tmp_path / name)] == 6 * [(256, 384, 3)]
    page.click("#play")
    page.wait_for_function("() => document.querySelector('#screen video')?.videoWidth > 0")


@pytest.mark.slow
def test_a_job_goes_on_over_a_reload(visit, studio_model):
    page = visit("server")
    data = drawn(700, 600)
    drop(page, data)
    previewed(page)
    page.click("#paint")
    page.wait_for_function("() => sessionStorage.getItem('upbrush-job')")
    page.reload()
    page.wait_for_selector("#download:visible")
    with page.expect_download() as found:
        page.click("#download")
    expected = Painter(open_engine(model_dir=studio_model)).paint(picture.read(data))
    assert np.abs(picture.read(Path(found.value.path())).pixels.astype(int) - expected.pixels).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_long_work_is_stopped(visit, place):
    page = visit(place)
    drop(page, drawn(2600, 2200))
    previewed(page)
    page.click("#paint")
    page.wait_for_selector("#stop:visible")
    assert page.is_disabled("#strength")
    page.click("#stop")
    page.wait_for_selector("#paint:visible")
    assert page.inner_text("#status") in ("Stopped", "Preview ready")
    assert page.is_hidden("#download")
    assert page.is_hidden("#alert")


@pytest.mark.slow
def test_a_token_lets_in(browser, studio_model, tmp_path):
    command = [sys.executable, "-m", "upbrush", "serve", "--port", "0", "--workers", "1", "--threads", "1"]
    command += ["--data", str(tmp_path), "--model", str(studio_model), "--token", "a-word-that-nobody-guesses"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        page = browser.new_context().new_page()
        page.goto(serving.stdout.readline().strip())
        page.wait_for_selector("[data-name=monet]")
        assert "token" not in page.url
        drop(page, drawn())
        previewed(page)
        page.reload()
        page.wait_for_selector("[data-name=monet]")
        page.context.close()
        serving.terminate()
