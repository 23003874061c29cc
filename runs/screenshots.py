"""Make the pictures of the studio that the README and docs/studio.md show, with the model in the package.

    python runs/screenshots.py [--out docs/img] [--chromium /usr/bin/chromium]

The photographs are scikit-image's, painted by the page itself in the browser. Run after every change to the page or to
the model.
"""

import argparse
import functools
import http.server
import io
import tempfile
import threading
from pathlib import Path
from typing import Any

import skimage.data
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from upbrush.web import static

DESK = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"}
PHONE = DESK | {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
WAIT_MS = 300_000
QUALITY = 82


class Host(http.server.SimpleHTTPRequestHandler):
    """Files, without a word."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

    def log_message(self, *words: object) -> None:
        """Nothing."""


def main() -> None:
    """Write studio.webp, studio-grid.webp and studio-phone.webp."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/img"))
    parser.add_argument("--chromium", type=Path, default=Path("/usr/bin/chromium"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, sync_playwright() as play:
        folder = Path(work) / "studio"
        static.write(folder)
        handler = functools.partial(Host, directory=str(folder))
        browser = play.chromium.launch(executable_path=str(given.chromium), args=["--no-sandbox"])
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}/"
            on_a_desk(browser, address, given.out)
            on_a_phone(browser, address, given.out)
            server.shutdown()
        browser.close()


def on_a_desk(browser: Browser, address: str, out: Path) -> None:
    """A cat, repainted; then in all styles."""
    page = opened(browser, address, DESK)
    give(page, "cat.png", Image.fromarray(skimage.data.cat()).crop((40, 0, 410, 280)))
    page.click("[data-name=monet]")
    page.click("#paint")
    page.wait_for_selector("#download:visible", timeout=WAIT_MS)
    keep(page, out / "studio.webp")
    page.click("#grid-open")
    page.mouse.move(0, 0)
    # Not wait_for_selector(state="detached"): that is content when the first of several is no longer waiting.
    painted = "() => document.querySelector('#grid-cells img') && !document.querySelector('#grid-cells .waiting')"
    page.wait_for_function(painted, timeout=WAIT_MS)
    keep(page, out / "studio-grid.webp")


def on_a_phone(browser: Browser, address: str, out: Path) -> None:
    """A cup of coffee in a blend, at night."""
    page = opened(browser, address, {**PHONE, "color_scheme": "dark"})
    give(page, "coffee.png", Image.fromarray(skimage.data.coffee()).crop((130, 20, 530, 400)).resize((300, 285)))
    page.check("#several")
    for name in ("van-gogh", "hokusai"):
        page.click(f"[data-name={name}]")
    page.wait_for_selector("#view[data-preview=fine]", timeout=WAIT_MS)
    page.evaluate("document.querySelector('#mix').scrollIntoView({ block: 'end' })")
    keep(page, out / "studio-phone.webp")


def opened(browser: Browser, address: str, how: dict[str, Any]) -> Page:
    """The studio, ready."""
    page = browser.new_context(**how).new_page()
    page.goto(address)
    page.wait_for_selector("html[data-ready]", timeout=WAIT_MS)
    return page


def give(page: Page, name: str, image: Image.Image) -> None:
    """Choose a picture, and wait for its preview."""
    stored = io.BytesIO()
    image.save(stored, "PNG")
    with page.expect_file_chooser() as choosing:
        page.click("#choose")
    choosing.value.set_files({"name": name, "mimeType": "image/png", "buffer": stored.getvalue()})
    page.wait_for_selector("#view[data-preview]", timeout=WAIT_MS)


def keep(page: Page, path: Path) -> None:
    """Keep what is seen now."""
    page.wait_for_timeout(500)
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
