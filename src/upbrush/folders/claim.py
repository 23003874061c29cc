"""One run at a time where a file cannot be locked: each says, beside the ledger, that it is there, again and again.

A run writes a claim of its own, then looks for those of others, and leaves where it finds a fresh one. So of two that
begin together none or one goes on, never both; a store need do no more than list what was written before.
"""

import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from upbrush.errors import ConfigError, PictureError
from upbrush.folders import places
from upbrush.folders.parts import FOLDER

EVERY_SECONDS = 20.0  # a claim is written anew
FRESH_SECONDS = 90.0  # a claim holds; clocks of machines may differ by a part of it
PREFIX, SUFFIX = "claim-", ".json"


@dataclass(frozen=True)
class Claim:
    """Another run's. who: its machine and process. age: seconds since it was last heard of."""

    place: str
    who: str
    age: float


class Held:
    """This run's claim on an output folder."""

    def __init__(self, out: str) -> None:
        self._out = out
        self._place = places.join(out, f"{FOLDER}/{PREFIX}{secrets.token_hex(8)}{SUFFIX}")
        self._said = 0.0
        self._rival: Claim | None = None

    def say(self) -> None:
        """Write the claim anew, and look round where it may have been taken for dead. Raises PictureError."""
        now = time.time()
        told = {"who": f"{platform.node()}:{os.getpid()}", "time": now}
        places.write(self._place, json.dumps(told).encode())
        if now - self._said > FRESH_SECONDS:
            self._rival = next((one for one in claims(self._out) if one.place != self._place), None)
        self._said = now

    def check(self) -> None:
        """Raises ConfigError where another run is there."""
        if self._rival:
            left = FRESH_SECONDS - self._rival.age
            raise ConfigError(
                f"{self._out}: another run is painting into it ({self._rival.who}, {self._rival.age:.0f} s ago); "
                f"wait for it, or stop it; if it was killed, give the same command in {max(left, 0):.0f} s"
            )

    def keep(self, ended: threading.Event) -> None:
        """Say it again and again until the end; a store that does not answer now may do so the next time."""
        while not ended.wait(EVERY_SECONDS):
            with suppress(PictureError, ConfigError):
                self.say()

    def leave(self) -> None:
        """Let the next run begin at once."""
        with suppress(OSError, PictureError, ConfigError):  # else it waits until the claim is stale
            places.remove(self._place)
            places.remove_empty(places.parent(self._place))


@contextmanager
def held(out: str) -> Iterator[Held]:
    """Hold an output folder's address for as long as this lasts.

    Raises ConfigError where another run holds it, PictureError where nothing can be written.
    """
    mine, ended = Held(out), threading.Event()
    keeper = threading.Thread(target=mine.keep, args=(ended,), daemon=True)
    try:
        mine.say()
        mine.check()
        keeper.start()
        yield mine
    finally:
        ended.set()
        if keeper.ident:
            keeper.join()  # so that it does not say it once more
        mine.leave()


def claims(out: str) -> Iterator[Claim]:
    """The fresh claims on an output folder; stale ones are removed. Raises ConfigError and PictureError."""
    for seen in places.files(places.join(out, FOLDER)):
        if not seen.name.startswith(PREFIX):
            continue
        try:
            told = json.loads(places.read(seen.place))
            age, who = time.time() - float(told["time"]), str(told["who"])
        except PictureError:
            if places.seen(seen.place):
                raise
            continue  # ended meanwhile
        except (ValueError, KeyError, TypeError):  # no claim of ours
            continue
        if abs(age) < FRESH_SECONDS:  # one of the future is of a clock that is wrong
            yield Claim(seen.place, who, max(age, 0.0))
        else:
            with suppress(OSError, PictureError, ConfigError):
                places.remove(seen.place)
