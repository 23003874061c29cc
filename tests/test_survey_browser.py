"""The survey in a real browser: by keyboard, by thumb, after a reload, and after the server was killed."""

import re
import signal
import sqlite3

import pytest
from browsing import CHROMIUM, DESK, PHONE, chromium, visiting
from survey_people import METHODS, small_study
from test_survey_server import Serving

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"there is no browser at {CHROMIUM}")

HURRY = "const wait = setTimeout; window.setTimeout = (call, ms) => wait(call, ms / 10)"  # the page's pauses, shorter


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder, _ = small_study(tmp_path_factory.mktemp("browsed"), ties=True, votes=4, ratings=3, checks=1)
    site = Serving(folder)
    yield folder, site
    site.end(signal.SIGTERM)


@pytest.fixture
def visit(browser):
    """A function that opens an address as a new person would; nothing may go wrong on the page, or leave it."""
    with visiting(browser) as (opened, faults):

        def visit(url, hurry=False, **how):
            page = opened((url,), 20, HURRY if hurry else "", **how)
            page.goto(url)
            page.wait_for_selector("main:not([hidden])")
            return page

        yield visit
    assert [fault for fault in faults if not re.search("ERR_CONNECTION|403", fault)] == []  # which are tests themselves


def ready(page):
    """Wait for the next question, or for the end; tells its number, or nothing."""
    page.wait_for_selector("#choices button:not([disabled]):visible, #end:not([hidden]), #done:not([hidden])")
    return page.inner_text("#count") if page.is_visible("#asking") else None


def moved_on(page, before):
    page.wait_for_function(
        "before => document.querySelector('#count').innerText !== before || !document.querySelector('#end').hidden",
        arg=before,
    )


def answers(folder):
    """Choices of the one who came last."""
    with sqlite3.connect(folder / "answers.sqlite") as file:
        query = "SELECT choice FROM answers WHERE person = (SELECT max(number) FROM people) ORDER BY position"
        found = [row[0] for row in file.execute(query)]
    file.close()
    return found


def test_a_study_by_keyboard(served, visit):
    folder, site = served
    page = visit(site.url, hurry=True, **DESK)
    assert page.title() == "Comparing pictures"
    page.focus("#agree")
    page.keyboard.press("Enter")
    pressed = []
    keys = {"ArrowLeft": "left", "ArrowRight": "right", "ArrowDown": "tie"}
    while (at := ready(page)) is not None:
        if page.locator("#choices.scale").count():
            page.keyboard.press("ArrowLeft")  # means nothing here
            key = str(1 + len(pressed) % 5)
        else:
            assert page.locator("#choices button").count() == 3
            key = list(keys)[len(pressed) % 3]
        page.keyboard.press("q")
        page.keyboard.press(key)
        moved_on(page, at)
        pressed.append(keys.get(key, key))
    assert len(pressed) == 9
    assert answers(folder) == pressed
    page.check("input[value='4']", force=True)
    page.fill("#comment", "fine")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#done:visible")
    number = page.inner_text("#number")
    assert not any(method in page.content() for method in METHODS)
    page.reload()
    page.wait_for_selector("#done:visible")
    assert page.inner_text("#number") == number
    page.click("#delete")
    page.click("#delete")
    page.wait_for_selector("#message:visible")
    assert answers(folder) == []


def test_a_study_by_thumb(served, visit):
    _, site = served
    page = visit(site.url, hurry=True, **PHONE)
    page.tap("#agree")
    kinds = set()
    while (at := ready(page)) is not None:
        rating = bool(page.locator("#choices.scale").count())
        if rating not in kinds:
            kinds.add(rating)
            fits_the_screen(page, rating)
        page.tap("#choices button:last-child")
        moved_on(page, at)
    assert kinds == {True, False}
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#send").is_disabled()
    page.tap("#satisfaction label:nth-child(2)")
    page.tap("#send")
    page.wait_for_selector("#done:visible")


def fits_the_screen(page, rating):
    """Nothing is cut or scrolls, a thumb hits what it wants, and both pictures are as large."""
    size = page.viewport_size
    width, height = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert width <= size["width"]
    assert height <= size["height"]
    boxes = [box.bounding_box() for box in page.locator("#choices button").all()]
    assert all(box["height"] >= 41 and box["width"] >= 100 for box in boxes)
    pictures = [box.bounding_box() for box in page.locator("#stage img:visible").all()]
    assert len(pictures) == (1 if rating else 2)
    assert len({(box["width"], box["height"]) for box in pictures}) == 1
    for box in boxes + pictures:
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size["width"]
        assert 0 <= box["y"] <= size["height"] - box["height"]
    assert min(box["y"] for box in boxes) >= max(box["y"] + box["height"] for box in pictures)


@pytest.mark.slow
def test_looking_closer_shows_the_same_place_of_both(served, visit):
    _, site = served
    page = visit(site.url, **DESK)
    page.click("#agree")
    ready(page)
    style = (
        "[...document.querySelectorAll('#stage img')].filter(image => image.offsetParent)"
        ".map(image => image.style.transform + image.style.transformOrigin)"
    )
    page.click("#left .frame", position={"x": 8, "y": 8})
    assert len(set(page.evaluate(style))) == 1
    assert "scale(2)" in page.evaluate(style)[0]
    before = page.evaluate(style)
    page.hover("#right .frame", position={"x": 40, "y": 30})
    assert len(set(page.evaluate(style))) == 1
    assert page.evaluate(style) != before
    page.keyboard.press("z")
    assert "none" in page.evaluate(style)[0]
    assert page.inner_text("#count") == "1 / 9"  # looking is no answer


@pytest.mark.slow
def test_a_reload_goes_on_and_someone_else_begins_anew(served, visit):
    _, site = served
    page = visit(site.url, **DESK)
    page.click("#agree")
    for _ in range(3):
        at = ready(page)
        page.keyboard.press("ArrowLeft")
        moved_on(page, at)
    ready(page)
    shown = page.get_attribute("#left img", "src")
    page.reload()
    assert ready(page) == "4 / 9"
    assert page.get_attribute("#left img", "src") == shown
    other = visit(site.url, **DESK)
    assert other.is_visible("#welcome")


@pytest.mark.slow
def test_a_person_goes_on_when_the_server_was_killed(tmp_path, visit):
    folder, _ = small_study(tmp_path)
    site = Serving(folder)
    port = site.url.rsplit(":", 1)[1].strip("/")
    page = visit(site.url, **DESK)
    page.click("#agree")
    at = ready(page)
    page.keyboard.press("ArrowRight")
    moved_on(page, at)
    ready(page)
    site.end(signal.SIGKILL)
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#banner:visible")
    assert "safe" in page.inner_text("#banner")
    again = Serving(folder, "--port", port)
    moved_on(page, "2 / 16")
    assert ready(page) == "3 / 16"
    page.wait_for_selector("#banner", state="hidden")
    assert answers(folder) == ["right", "left"]
    again.end(signal.SIGTERM)


@pytest.mark.slow
def test_words_that_were_edited_are_shown_as_text(tmp_path, visit):
    folder, _ = small_study(tmp_path)
    words = (folder / "words.json").read_text(encoding="utf-8")
    words = words.replace("Which picture do you like better?", "<b>Welches Bild?</b>").replace('"en"', '"de"')
    (folder / "words.json").write_text(words, encoding="utf-8")
    site = Serving(folder, "--token", "open-sesame", "--kiosk")
    page = visit(site.url.split("#")[0], **PHONE)
    assert page.inner_text("#welcome h1") == "<b>Welches Bild?</b>"
    assert page.get_attribute("html", "lang") == "de"
    page.evaluate("location.hash = '#invitation=wrong-word'")
    page.tap("#agree")
    page.wait_for_selector("#message:visible")
    page.goto(site.url)
    page.reload()
    page.tap("#agree")
    assert ready(page) == "1 / 16"
    site.end(signal.SIGTERM)
