"""Pages in a real browser, on which nothing may go wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = Path("/usr/bin/chromium")
DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


@contextmanager
def chromium(*words: str):
    """Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", *words])
        yield opened
        opened.close()


@contextmanager
def visiting(browser) -> Iterator[tuple]:
    """A function that gives a page as a new person has it, and what went wrong on all of them.

    own: beginnings of addresses that a page may ask for; asking for another is a fault, as errors are.
    """
    contexts, faults = [], []

    def opened(own: tuple[str, ...], seconds: float, script: str = "", **how):
        context = browser.new_context(**how)
        contexts.append(context)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.set_default_timeout(1000 * seconds)
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(own) else faults.append(request.url))
        return page

    yield opened, faults
    for context in contexts:
        context.close()
