"""The studio as a person uses it, in a real browser: painted by the server, and by the browser itself."""

import base64
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browsing import CHROMIUM
from PIL import Image
from studio_site import PLACES, SLOWLY_BROWSED, changed, downloaded, drawn, drop, previewed, slide

from upbrush import picture
from upbrush.engine import open_engine
from upbrush.painter import Painter

pytest.importorskip("playwright", reason="playwright is not installed")
pytest.importorskip("fastapi", reason="the serve extra is not installed")
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"there is no browser at {CHROMIUM}")

SLOWLY_SERVED = [pytest.param("server", marks=pytest.mark.slow), "browser"]


@pytest.mark.parametrize("place", PLACES)
def test_a_picture_is_dropped_painted_and_kept(visit, studio_model, tmp_path, place):
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
    expected = Painter(open_engine(model_dir=studio_model)).paint(picture.read(data), "van-gogh", strength=0.2)
    found = picture.read(file)
    assert np.abs(found.pixels.astype(int) - expected.pixels).max() <= 1
    note = picture.read_note(file)
    assert (note["strength"], note["model"]) == ("0.2", "tiny-0")
    assert Image.open(io.BytesIO(file)).getexif()[0x010E] == "a caption"
    if place == "server":
        the_command_paints_the_same(page, data, file, studio_model, tmp_path)
    slide(page, "#fidelity", 10)
    assert page.is_hidden("#download")  # what was painted is out of date


def the_command_paints_the_same(page, data, file, studio_model, folder):
    """What the page offers to copy is typed: the same file comes out, byte for byte."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#command-box summary")
    page.click("#copy")
    page.wait_for_function("() => document.querySelector('#copy').textContent === 'Copied'")
    words = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert words[:2] == ["upbrush", "paint"]
    (folder / "drawn.png").write_bytes(data)
    command = [sys.executable, "-m", "upbrush", *words[1:], "--model", str(studio_model), "--quiet"]
    subprocess.run(command, cwd=folder, check=True)
    assert (folder / words[words.index("-o") + 1]).read_bytes() == file


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
