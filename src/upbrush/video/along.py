"""Styles that change along a clip: "0s:monet,4s:hokusai" blends their codes over time."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

from upbrush import styles
from upbrush.engine import Engine
from upbrush.errors import ConfigError
from upbrush.styles import Style
from upbrush.video.timing import read_time

# Times must say their unit here: 2:monet would be a weight, and the colons of a clock part style from weight.
_KEY = re.compile(r"(?:^|,)\s*((?:\d+h)?(?:\d+m)?(?:\d+(?:\.\d+)?|\.\d+)s|\d+h\d+m|\d+[hm])\s*:", re.IGNORECASE)
PLAIN = "none"


@dataclass(frozen=True)
class Key:
    """A style from a time on. seconds: since the clip's beginning. style: None restores."""

    seconds: Fraction
    style: Style | None


@dataclass(frozen=True)
class Moment:
    """What a frame is painted in. share: of the strength that was asked for."""

    style: Style | None
    share: float = 1.0


class Timeline:
    """Styles along a clip. keys: in order of time, one at least."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self.keys = keys
        self._moments = [Moment(key.style, 1.0 if key.style else 0.0) for key in keys]

    def at(self, seconds: Fraction) -> Moment:
        """What holds at a time: before the first key and behind the last one theirs, the same object each time."""
        index = bisect_right([key.seconds for key in self.keys], seconds)
        if index == 0:
            return self._moments[0]
        if index == len(self.keys):
            return self._moments[-1]
        before, after = self.keys[index - 1], self.keys[index]
        share = float((seconds - before.seconds) / (after.seconds - before.seconds))
        if share == 0 or before.style is after.style:
            return self._moments[index - 1]
        if before.style is None or after.style is None:
            return Moment(after.style or before.style, share if before.style is None else 1 - share)
        return Moment(styles.blend([(before.style, 1 - share), (after.style, share)]))

    @property
    def repaints(self) -> bool:
        """Is there any style in it?"""
        return any(key.style is not None for key in self.keys)


def is_timeline(words: str) -> bool:
    """Does a style begin with a time?"""
    match = _KEY.match(words.strip())
    return match is not None


def read(words: str, engine: Engine) -> Timeline:
    """Resolve "0s:monet,4s:hokusai": a time with its unit, a colon, and any style of `upbrush paint`, or "none".

    Raises ConfigError for times that do not grow and for a style that is missing, and what `styles.resolve` raises.
    """
    text = words.strip()
    found = list(_KEY.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    keys: list[Key] = []
    for match, end in zip(found, ends, strict=True):
        seconds, spec = read_time(match[1]), text[match.end() : end].strip()
        if not spec:
            raise ConfigError(
                f"style {words!r}: nothing stands behind {match[1]}:; expected one as in 0s:monet,4s:klimt"
            )
        if keys and seconds <= keys[-1].seconds:
            raise ConfigError(f"style {words!r}: {match[1]} is not later than the one before it; put them in order")
        keys.append(Key(seconds, None if spec.lower() == PLAIN else styles.resolve(spec, engine)))
    return Timeline(tuple(keys))
