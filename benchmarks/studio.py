"""How long a person waits in the studio: for the page, a preview, the full picture; by the server and in the browser.

    python benchmarks/studio.py [--moves 20] [--px 512] [--chromium /usr/bin/chromium]

Drives Chromium as the tests do, with a square picture, of which 128×128 pixels are sent for a preview. Answered: from
the request until the painting is in the page (the target is 150 ms by the server on a quiet machine). Shown: from the
slider's move until it is decoded and on the screen. Two moves warm up.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import record
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from upbrush import photographs
from upbrush.web import static

WAIT_MS = 600_000
WARM_UP = 2
MOVE = """async (value) => {
  const [view, slider, after] = ["view", "strength", "after"].map((id) => document.getElementById(id));
  view.removeAttribute("data-preview");
  const start = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  const before = after.src;
  while (after.src === before) await new Promise(requestAnimationFrame);
  await after.decode();
  return [performance.now() - start, Number(view.dataset.milliseconds)];
}"""


class Host(SimpleHTTPRequestHandler):
    """Files, with the headers that let WebAssembly have threads."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

    def end_headers(self) -> None:
        """The two headers."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *words: object) -> None:
        """Nothing."""


@contextmanager
def in_the_browser(work: Path) -> Iterator[str]:
    """The address of a static studio."""
    static.write(work / "studio")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Host, directory=str(work / "studio"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def by_the_server(work: Path) -> Iterator[str]:
    """The address of `upbrush serve`, as it is by default."""
    command = [sys.executable, "-m", "upbrush", "serve", "--port", "0", "--data", str(work / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        yield serving.stdout.readline().strip()
        serving.terminate()


def measure(browser: Browser, address: str, px: int, moves: int) -> dict[str, object]:
    """One visit: until the page is ready, until the first preview, each preview, the full picture."""
    page = browser.new_context().new_page()
    page.set_default_timeout(WAIT_MS)
    started = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    ready = time.perf_counter()
    give(page, px)
    page.wait_for_selector("#view[data-preview]")
    first = time.perf_counter()
    page.click("[data-name=monet]")
    page.wait_for_selector("#view[data-preview=fine]")
    samples = [page.evaluate(MOVE, 20 + move % 60) for move in range(WARM_UP + moves)][WARM_UP:]
    shown, answered = ([float(sample[at]) for sample in samples] for at in (0, 1))
    page.wait_for_selector("#view[data-preview=fine]")
    asked = time.perf_counter()
    page.click("#paint")
    page.wait_for_selector("#download:visible")
    full = time.perf_counter() - asked
    page.context.close()
    return {"ready_s": ready - started, "first_s": first - ready, "answered_ms": record.spread(answered),
            "shown_ms": record.spread(shown), "full_s": full}  # fmt: skip


def give(page: Page, px: int) -> None:
    """Choose a photograph."""
    stored = io.BytesIO()
    Image.fromarray(photographs.photograph("coffee", px)).save(stored, "PNG")
    with page.expect_file_chooser() as choosing:
        page.click("#choose")
    choosing.value.set_files({"name": "coffee.png", "mimeType": "image/png", "buffer": stored.getvalue()})


def _words(spread: object) -> str:
    assert isinstance(spread, dict)
    return f"{spread['median']:.0f} ± {spread['iqr'] / 2:.0f}"


def main() -> None:
    """Measure both places, print a table, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--px", type=int, default=512)
    parser.add_argument("--chromium", type=Path, default=Path("/usr/bin/chromium"))
    given = parser.parse_args()
    facts = record.circumstances(threads=0)
    record.introduce(facts)
    found: dict[str, dict[str, object]] = {}
    with sync_playwright() as play, tempfile.TemporaryDirectory() as work:
        browser = play.chromium.launch(executable_path=str(given.chromium), args=["--no-sandbox"])
        for place, opened in (("server", by_the_server), ("browser", in_the_browser)):
            with opened(Path(work)) as address:
                found[place] = measure(browser, address, given.px, given.moves)
        browser.close()
    rows = []
    for place, one in found.items():
        times = [_words(one[key]) for key in ("answered_ms", "shown_ms")]
        rows.append([place, f"{one['ready_s']:.1f}", f"{one['first_s']:.2f}", *times, f"{one['full_s']:.1f}"])
    heads = [
        "painted by",
        "page ready s",
        "first preview s",
        "preview answered ms",
        "shown ms",
        f"{given.px} px full s",
    ]
    record.show(heads, rows)
    print(record.write("studio", {"circumstances": facts, "px": given.px, **found}))


if __name__ == "__main__":
    main()
