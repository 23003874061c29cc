"""The studio as a person uses it, in a real browser: painted by the server, and by the browser itself."""

import base64
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from studio_site import CHROMIUM, DESK, PHONE, changed, chromium, drawn, drop, hosted, previewed, slide
from tiny_model import write_library

from upbrush import picture
from upbrush.engine import open_engine
from upbrush.painter import Painter
from upbrush.web import static

pytest.importorskip("playwright", reason="playwright is not installed")
pytest.importorskip("fastapi", reason="the serve extra is not installed")
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"there is no browser at {CHROMIUM}")

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
PLACES = ["server", "browser"]
SLOWLY_SERVED = [pytest.param("server", marks=pytest.mark.slow), "browser"]
SLOWLY_BROWSED = ["server", pytest.param("browser", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def addresses(tmp_path_factory, tiny):
    """Where the studio is: served by `upbrush serve`, and as a folder by a host that knows nothing of it."""
    folder = tmp_path_factory.mktemp("sites") / "out"
    static.write(folder, tiny)
    command = [sys.executable, "-m", "upbrush", "serve", "--port", "0", "--workers", "1", "--threads", "1"]
    command += ["--data", str(folder.parent / "data"), "--model", str(tiny)]
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    with hosted(folder) as address:
        assert serving.stdout is not None
        yield {"server": serving.stdout.readline().strip(), "browser": address}
    serving.terminate()
    serving.communicate(timeout=30)


@pytest.fixture(scope="module")
def browser():
    with chromium(*CAMERA) as opened:
        yield opened


@pytest.fixture
def visit(browser, addresses):
    """A function that opens the studio as a new person would; nothing may go wrong on the page, or leave it."""
    contexts, faults = [], []

    def visit(place, **how):
        url = addresses[place]
        context = browser.new_context(**{**DESK, "accept_downloads": True, "locale": "en-GB", **how})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        ours = (url, "blob:", "data:")
        page.on("request", lambda request: None if request.url.startswith(ours) else faults.append(request.url))
        page.goto(url)
        page.wait_for_selector("html[data-ready]")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [fault for fault in faults if "422" not in fault] == []  # a picture that is none: a test itself


def downloaded(page):
    """Paint at full size and download: the bytes and the name."""
    page.click("#paint")
    page.wait_for_selector("#download:visible")
    with page.expect_download() as found:
        page.click("#download")
    return Path(found.value.path()).read_bytes(), found.value.suggested_filename


@pytest.mark.parametrize("place", PLACES)
def test_a_picture_is_dropped_painted_and_kept(visit, tiny, tmp_path, place):
    page = visit(place)
    exif = Image.Exif()
    exif[0x010E] = "a caption"
    data = drawn(exif=exif)
    drop(page, data)
    previewed(page)
    assert page.is_hidden("#empty")
    assert changed(page, lambda: page.click("[data-name=van-gogh]")) > 5
    assert changed(page, lambda: slide(page, "#strength", 20)) > 2
    file, name = downloaded(page)
    assert name == "drawn-van-gogh.png"
    expected = Painter(open_engine(model_dir=tiny)).paint(picture.read(data), "van-gogh", strength=0.2)
    found = picture.read(file)
    assert np.abs(found.pixels.astype(int) - expected.pixels).max() <= 1
    note = picture.read_note(file)
    assert (note["strength"], note["model"]) == ("0.2", "tiny-0")
    assert Image.open(io.BytesIO(file)).getexif()[0x010E] == "a caption"
    if place == "server":
        the_command_paints_the_same(page, data, found, tiny, tmp_path)
    slide(page, "#fidelity", 10)
    assert page.is_hidden("#download")  # what was painted is out of date


def the_command_paints_the_same(page, data, found, tiny, folder):
    """What the page offers to copy is typed, and its picture compared."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#command-box summary")
    page.click("#copy")
    page.wait_for_function("() => document.querySelector('#copy').textContent === 'Copied'")
    words = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert words[:2] == ["upbrush", "paint"]
    (folder / "drawn.png").write_bytes(data)
    command = [sys.executable, "-m", "upbrush", *words[1:], "--model", str(tiny), "--quiet"]
    subprocess.run(command, cwd=folder, check=True)
    typed = picture.read(folder / words[words.index("-o") + 1])
    assert np.abs(found.pixels.astype(int) - typed.pixels).max() <= 1


@pytest.mark.parametrize("place", SLOWLY_SERVED)
def test_styles_are_blended_drawn_and_made_of_pictures(visit, place):
    page = visit(place)
    drop(page, drawn())
    page.click("[data-name=klimt]")
    page.check("#several")
    page.click("[data-name=monet]")
    assert page.locator(".part").count() == 2
    previewed(page)
    assert changed(page, lambda: slide(page, ".part:nth-child(2) input", 100)) > 0.5
    assert "klimt:1,monet:1" in page.locator("#command").text_content()
    page.uncheck("#several")
    assert page.locator(".part").count() == 0
    page.click("#dice")
    first = page.inner_text("#about")
    page.click("#dice")
    assert first.startswith("random:")
    assert page.inner_text("#about") != first
    previewed(page)
    red = io.BytesIO()
    Image.new("RGB", (90, 70), (230, 20, 20)).save(red, "PNG")
    with page.expect_file_chooser() as choosing:
        page.click("#own")
    choosing.value.set_files({"name": "all, red.png", "mimeType": "image/png", "buffer": red.getvalue()})
    page.wait_for_selector(".owned")
    own = page.locator(".owned .style")
    assert own.get_attribute("aria-pressed") == "true"
    assert f"--style {own.get_attribute('data-name')}.style" in page.locator("#command").text_content()
    previewed(page)
    page.click("#command-box summary")
    with page.expect_download() as found:
        page.click("#style-file")
    assert b"upbrush-style" in Path(found.value.path()).read_bytes()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    page.click(".owned .remove")
    page.wait_for_selector(".owned", state="detached")


@pytest.mark.parametrize("place", SLOWLY_BROWSED)
def test_one_picture_in_every_style(visit, place):
    page = visit(place)
    drop(page, drawn())
    previewed(page)
    page.click("#grid-open")
    page.wait_for_selector("#grid[open]")
    page.wait_for_function("() => document.querySelectorAll('#grid-cells img').length === 3")
    assert page.inner_text("#grid-count") == "3 of 3"
    page.click("#grid-cells button:nth-child(2)")
    page.wait_for_selector("#grid", state="hidden")
    assert page.get_attribute("[data-name=monet]", "aria-pressed") == "true"


@pytest.mark.parametrize("place", SLOWLY_BROWSED)
def test_what_was_invented_is_laid_over(visit, place):
    page = visit(place)
    drop(page, drawn())
    previewed(page)
    page.click("#invented")
    page.wait_for_selector("#legend:visible")
    assert page.locator("#overlay").evaluate("async (image) => (await image.decode(), image.naturalWidth)") == 60
    assert re.match(r"\d+ % of the picture", page.inner_text("#legend-words"))
    assert re.match(r"\d+\+ of 255", page.inner_text("#legend-most"))
    page.click("#invented")
    page.wait_for_selector("#legend", state="hidden")


def test_here_and_there_paint_the_same(visit):
    page = visit("server")
    drop(page, drawn(84, 51))
    page.click("[data-name=monet]")
    page.check("#colours")
    page.select_option("#scale", "long")
    page.fill("#long", "212")
    page.click("#more summary")
    page.check("#wrap")
    page.select_option("#stereo", "side")
    assert "--wrap --stereo side" in page.text_content("#command")
    there, _ = downloaded(page)
    page.check("#local")
    page.wait_for_function("() => document.querySelector('#local-switch').title !== ''")
    here, _ = downloaded(page)
    one, other = picture.read(there), picture.read(here)
    assert (one.width, one.height) == (212, 129)
    assert np.abs(one.pixels.astype(int) - other.pixels).max() <= 2
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.is_checked("#local")  # the choice is kept


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
def test_a_pasted_and_a_taken_picture(visit):
    page = visit("browser")
    page.evaluate(
        """(text) => {
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const given = new DataTransfer();
          given.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: given }));
        }""",
        base64.b64encode(drawn()).decode(),
    )
    previewed(page)
    assert page.get_attribute("#before", "alt") == "pasted.png, as it was"
    page.click("#again")
    page.wait_for_function("() => document.querySelector('#camera-view').videoWidth > 0")
    page.click("#camera-shoot")
    page.wait_for_function("() => document.querySelector('#before').alt === 'camera.png, as it was'")
    previewed(page)


@pytest.mark.parametrize("place", SLOWLY_BROWSED)
def test_what_cannot_be_painted_is_told(visit, place):
    page = visit(place)
    for data, words in ((b"not a picture at all", "words.png: the browser cannot show it"), (b"", "has no bytes")):
        drop(page, data, name="words.png")
        page.wait_for_function("(it) => document.querySelector('#alert-words').textContent.includes(it)", arg=words)
        assert page.is_visible("#alert")
        page.click("#alert-close")
    drop(page, drawn())
    previewed(page)
    page.select_option("#scale", "long")
    page.fill("#long", "29000")
    assert "16 times" in page.inner_text("#sizes")
    assert page.is_disabled("#paint")
    page.select_option("#scale", "4")
    assert page.is_enabled("#paint")
    drop(page, drawn(61, 43))
    page.click("#more summary")
    page.select_option("#scale", "1")
    page.select_option("#stereo", "side")
    assert "61 × 43 cannot be halved" in page.inner_text("#sizes")
    assert page.is_disabled("#paint")
    if place == "browser":
        drop(page, moving(), name="moving.gif", kind="image/gif")
        page.wait_for_function("() => document.querySelector('#alert-words').textContent.startsWith('moving.gif')")


def moving():
    """An animated GIF of two frames."""
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green")]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=90)
    return out.getvalue()


def test_examples_several_files_and_what_moves(visit):
    page = visit("server")
    page.click(".example >> nth=0")  # one click takes it
    page.wait_for_selector("#view[data-preview]")
    assert page.is_hidden("#empty")
    assert page.inner_text("#sizes").startswith("240 × 240 becomes 960 × 960")
    drop(page, drawn(), drawn(), drawn())
    page.wait_for_selector("#alert.mild:visible")
    assert "first of 3" in page.inner_text("#alert")
    drop(page, moving(), name="moving.gif", kind="image/gif")
    page.wait_for_function(
        "() => document.querySelector('#command').textContent.startsWith('upbrush video moving.gif')"
    )
    assert page.input_value("#format") == "gif"
    assert page.is_hidden("#invented")
    drop(page, drawn())
    page.wait_for_function("() => document.querySelector('#command').textContent.startsWith('upbrush paint')")
    assert page.input_value("#format") == "png"


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


@pytest.mark.slow
def test_a_large_picture_is_a_job(visit, tiny):
    """Above a quarter of a megapixel the server tells how far it is."""
    page = visit("server")
    data = drawn(560, 460)
    drop(page, data)
    asked = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url.split('/v1/')[-1][:4]}"))
    file, _ = downloaded(page)
    assert "POST jobs" in asked
    assert "DELETE jobs" in asked  # nothing stays with the server
    expected = Painter(open_engine(model_dir=tiny)).paint(picture.read(data))
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
def test_a_job_goes_on_over_a_reload(visit, tiny):
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
    expected = Painter(open_engine(model_dir=tiny)).paint(picture.read(data))
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
def test_a_token_lets_in(browser, tiny, tmp_path):
    command = [sys.executable, "-m", "upbrush", "serve", "--port", "0", "--workers", "1", "--threads", "1"]
    command += ["--data", str(tmp_path), "--model", str(tiny), "--token", "a-word-that-nobody-guesses"]
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
