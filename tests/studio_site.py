"""A studio in a real browser: a folder as a static host serves it, opened in Chromium without anything else."""

import base64
import functools
import http.server
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PLACES = ["server", "browser"]
SLOWLY_BROWSED = ["server", pytest.param("browser", marks=pytest.mark.slow)]


class Host(http.server.SimpleHTTPRequestHandler):
    """Files and nothing else, as the plainest of hosts sends them."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def hosted(folder: Path) -> Iterator[str]:
    """Serve a folder below /some/where/, as a page among others: its address."""
    (folder.parent / "some").mkdir(exist_ok=True)
    place = folder.parent / "some" / "where"
    place.symlink_to(folder)
    handler = functools.partial(Host, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/some/where/"
        server.shutdown()
        thread.join()


def text(array: np.ndarray | bytes) -> str:
    """An array's bytes for the page."""
    return base64.b64encode(array if isinstance(array, bytes) else np.ascontiguousarray(array).tobytes()).decode()


def array(words: str, dtype: str, *shape: int) -> np.ndarray:
    """An array of the page's."""
    return np.frombuffer(base64.b64decode(words), dtype).reshape(*shape)


# What every call in the page begins with: modules by name, arrays and files from text and back.
PRELUDE = """
const load = (name) => import(new URL(`engine/${name}.js`, document.baseURI));
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const typed = (text, Kind) => new Kind(bytes(text).buffer);
const back = async (data) => new Promise((resolve) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
  reader.readAsDataURL(data instanceof Blob ? data : new Blob([data]));
});
const worker = (folder) => {
  const one = new Worker(new URL("engine/worker.js", document.baseURI), { type: "module" });
  let last = 0;
  const call = (name, words, told = []) => new Promise((resolve, reject) => {
    const id = ++last;
    one.addEventListener("message", function heard({ data }) {
      if (data.id !== id) return;
      if ("total" in data) return told.push([data.done, data.total]);
      one.removeEventListener("message", heard);
      data.error ? reject(new Error(`${data.error.type}: ${data.error.message}`)) : resolve(data.answer);
    });
    one.postMessage({ id, call: name, words });
  });
  return { call, one };
};
"""


def script(body: str) -> str:
    """A function for `page.evaluate` that takes `given` and returns what the body does."""
    return f"async (given) => {{ {PRELUDE} {body} }}"


def drawn(width=60, height=44, **extra):
    """A picture drawn by code, as the bytes of a PNG."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 5, columns * 4, (rows // 4 + columns // 4) % 2 * 180], -1).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", **extra)
    return out.getvalue()


def drop(page, *files, name="drawn.png", kind="image/png"):
    """Drop files on the page, as a person does."""
    page.evaluate(
        """async ([texts, name, type]) => {
          const given = new DataTransfer();
          for (const text of texts) {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            given.items.add(new File([bytes], name, { type }));
          }
          for (const kind of ["dragenter", "dragover", "drop"]) {
            document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: given, bubbles: true, cancelable: true }));
          }
        }""",
        [[base64.b64encode(data).decode() for data in files], name, kind],
    )


def previewed(page):
    """Wait for the preview of what is asked now; its pixels as the page shows them."""
    page.wait_for_selector("#view[data-preview]:not(.fading)")
    return page.evaluate(
        """async () => {
          const image = document.querySelector("#after");
          await image.decode().catch(() => null); // the next preview may come in the middle of it
          const canvas = new OffscreenCanvas(40, 40);
          const context = canvas.getContext("2d");
          context.drawImage(image, 0, 0, 40, 40);
          return [...context.getImageData(0, 0, 40, 40).data];
        }"""
    )


def changed(page, act):
    """The mean difference that an act makes to the preview."""
    before = np.array(previewed(page), float)
    act()
    page.wait_for_function("() => document.querySelector('#view').classList.contains('fading') === false")
    return np.abs(np.array(previewed(page), float) - before).mean()


def slide(page, name, value):
    page.locator(name).evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', { bubbles: true })); }",
        value,
    )


def downloaded(page):
    """Paint at full size and download: the bytes and the name."""
    page.click("#paint")
    page.wait_for_selector("#download:visible")
    with page.expect_download() as found:
        page.click("#download")
    return Path(found.value.path()).read_bytes(), found.value.suggested_filename
