"""Clips of jobs, seen from the service: a process for each, that may die.

What was painted of a clip lies in segments, so one that was stopped goes on by being asked for again.
"""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from upbrush.web.frames import BrokenLine, Nonsense, received
from upbrush.web.orders import Bench, Order
from upbrush.web.problems import UNFIT, UNKNOWN_FORMAT, Problem, failed, limit

logger = logging.getLogger(__name__)

HEAD_BYTES = 512
TAKEN = "MP4, MOV, MKV, WebM, AVI, MPEG, FLV, Ogg, WMV, GIF, WebP or PNG"
# What files of clips begin with, and the suffix that tells moving pictures from them. FFmpeg knows hundreds of formats;
# some name other files and addresses, which it would then open.
_BEGINNINGS = (
    *((4, word, "") for word in (b"ftyp", b"moov", b"mdat", b"wide", b"free")),
    (0, b"\x1a\x45\xdf\xa3", ""), (8, b"AVI ", ""), (0, b"\x00\x00\x01\xba", ""), (0, b"FLV\x01", ""), (0, b"OggS", ""),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ""), (188, b"\x47", ""), (0, b"GIF8", ".gif"), (0, b"\x89PNG", ".png"),
    (8, b"WEBP", ".webp"),
)  # fmt: skip
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Reel:
    """One clip to paint.

    clip: the file that was sent. folder: where it is painted. style: a .style file. checked: it was looked at before.
    """

    bench: Bench
    order: Order
    clip: str
    folder: str
    style: str | None = None
    checked: bool = True

    @property
    def target(self) -> Path:
        """Where the painting will be, whole or not at all."""
        return Path(self.folder) / f"painted.{self.order.format}"

    def words(self) -> str:
        """As one word of a command line."""
        return json.dumps({**asdict(self), "bench": self.bench.plain()})

    @classmethod
    def of(cls, words: str) -> "Reel":
        """From that word."""
        plain = json.loads(words)
        return cls(**{**plain, "bench": Bench.of(plain["bench"]), "order": Order(**plain["order"])})


def missing() -> list[str]:
    """The packages without which no clip can be read."""
    return [name for name in ("av", "cv2") if not find_spec(name)]


def check_installed() -> None:
    """Raises Problem 501 where this service cannot read clips at all."""
    if absent := missing():
        words = f'{", ".join(absent)}: not installed on the service; clips need pip install "upbrush[video]"'
        raise Problem(501, "ConfigError", words)


def suffix_of(head: bytes) -> str:
    """What moving pictures must be called; empty for other clips. head: HEAD_BYTES of a file, or all there are.

    Raises Problem 415 for what begins as no clip does.
    """
    for place, word, suffix in _BEGINNINGS:
        if head[place : place + len(word)] == word and (place != 188 or head[:1] == word):
            return suffix
    raise Problem(UNKNOWN_FORMAT, "ClipError", f"the clip: is none of {TAKEN}, or damaged from the start")


async def filmed(reel: Reel, told: Told | None = None) -> dict[str, Any]:
    """Have a clip painted, or, unchecked, looked at: what it will be. told: called with frames done and in all.

    Raises Problem. When the waiting task is cancelled, the process ends; whole segments stay.
    """
    limits = reel.bench.limits
    seconds = limits.clip_seconds if reel.checked else limits.seconds
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "upbrush.web.projector", reel.words(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            return await _heard(process.stdout, told)
    except TimeoutError:
        raise limit(f"the clip: took more than {seconds:g} seconds; send it in pieces, or reduce it") from None
    except (BrokenLine, KeyError, ValueError, TypeError) as error:
        logger.warning("the process of a clip died (%s)", error)
        raise Problem(
            UNFIT, "ClipError", "the clip: brought down the process that read it; save it anew in another program"
        ) from None
    finally:
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _heard(stream: asyncio.StreamReader, told: Told | None) -> dict[str, Any]:
    while True:
        head, _ = await received(stream, 0)
        match head["told"]:
            case "progress":
                if told:
                    told(int(head["done"]), int(head["total"]))
            case "done":
                return dict(head["facts"])
            case "problem" | "failed":
                raise failed(head)
            case _:
                raise Nonsense(f"told {head['told']!r}")
