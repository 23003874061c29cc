"""The studio for everybody: by keyboard, by thumb, in another language, in the dark, and for who cannot see it."""

from pathlib import Path

import pytest
from browsing import CHROMIUM, DESK, PHONE
from studio_site import SLOWLY_BROWSED, drawn, drop, previewed

pytest.importorskip("playwright", reason="playwright is not installed")
pytest.importorskip("fastapi", reason="the serve extra is not installed")
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"there is no browser at {CHROMIUM}")

AXE = Path(__file__).parent / "vendor" / "axe.min.js"


def test_by_keyboard_alone(visit):
    page = visit("server")
    drop(page, drawn())
    previewed(page)
    page.focus("#compare")
    before = page.get_attribute("#compare", "aria-valuenow")
    page.keyboard.down("ArrowRight")
    page.wait_for_function(f"() => document.querySelector('#compare').getAttribute('aria-valuenow') > {before}")
    page.keyboard.up("ArrowRight")
    zoom = "Number(getComputedStyle(document.querySelector('#view')).getPropertyValue('--zoom'))"
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert page.evaluate(zoom) > 1.5
    place = "getComputedStyle(document.querySelector('#view')).getPropertyValue('--x')"
    at = page.evaluate(place)
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate(place) != at
    page.keyboard.press("0")
    assert page.evaluate(zoom) == 1
    page.focus("#find")
    page.keyboard.type("klim")
    page.keyboard.press("Tab")  # the button beside it, then what was found
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.name") == "klimt"
    page.keyboard.press("Space")
    assert page.get_attribute("[data-name=klimt]", "aria-pressed") == "true"
    page.fill("#find", "")
    page.focus("[data-name=klimt]")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.name") == "monet"
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.dataset.name") == "klimt"  # where it was
    page.focus("#paint")
    page.keyboard.press("Enter")
    page.wait_for_selector("#download:visible")
    page.wait_for_function("() => document.activeElement.id === 'download'")
    assert "240 by 176" in page.locator("#status").text_content()


@pytest.mark.parametrize("place", SLOWLY_BROWSED)
def test_by_thumb(visit, place):
    page = visit(place, **PHONE)
    drop(page, drawn())
    previewed(page)
    page.tap("[data-name=monet]")
    page.tap("#paint")
    page.wait_for_selector("#download:visible")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in page.locator("button:visible, select:visible, a.button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 24, button.evaluate("(one) => one.outerHTML")
    stage = page.locator("#stage").bounding_box()
    assert stage["y"] >= 0  # the picture stays in sight while knobs are turned
    assert stage["height"] >= 280


@pytest.mark.slow
def test_in_chinese_and_dark(visit):
    page = visit("browser", locale="zh-CN", color_scheme="dark")
    assert page.get_attribute("html", "lang") == "zh-Hans"
    assert page.inner_text("#paint") == "按完整尺寸绘制"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.select_option("#theme", "light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    page.select_option("#language", "en")
    page.wait_for_function("() => document.documentElement.lang === 'en'")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.inner_text("#paint") == "Paint at full size"


@pytest.mark.parametrize(
    ("how", "scheme"),
    [
        (DESK, "light"),
        (PHONE, "dark"),
        pytest.param(DESK, "dark", marks=pytest.mark.slow),
        pytest.param(PHONE, "light", marks=pytest.mark.slow),
    ],
    ids=["desk-light", "phone-dark", "desk-dark", "phone-light"],
)
def test_axe_finds_no_fault(visit, how, scheme):
    page = visit("server", **how, color_scheme=scheme)

    def faults():
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run({ resultTypes: ['violations'] }).then((done) => done.violations)")
        return [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found]

    assert faults() == []
    drop(page, drawn())
    previewed(page)
    page.check("#several")
    for name in ("monet", "klimt"):
        page.click(f"[data-name={name}]")
    page.click("#command-box summary")
    page.click("#invented")
    page.wait_for_selector("#legend:visible")
    page.click("#more summary")
    drop(page, b"no picture", name="words.png")
    page.wait_for_selector("#alert:visible")
    assert faults() == []
    page.click("#alert-close")
    page.click("#grid-open")
    page.wait_for_function("() => document.querySelectorAll('#grid-cells img').length === 3")
    assert faults() == []
