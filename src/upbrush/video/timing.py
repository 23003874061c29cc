"""Times as people write them, time stamps in order, and when a clip is cut off; pure."""

import re
from collections.abc import Iterable
from fractions import Fraction

from upbrush.errors import ConfigError

_UNITS = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?|\.\d+)s)?", re.IGNORECASE)
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?|\.\d+)")


def read_time(text: str) -> Fraction:
    """Seconds from "90", "90s", "1m30s", "1:30" or "1:02:03.5".

    Raises ConfigError for anything else.
    """
    stripped = text.strip()
    for shape in (_CLOCK, _UNITS):
        match = shape.fullmatch(stripped)
        if match and any(match.groups()):
            hours, minutes, seconds = (Fraction(part) if part else Fraction(0) for part in match.groups())
            return 3600 * hours + 60 * minutes + seconds
    raise ConfigError(f"time {text!r} is not a time; expected one such as 90, 4s, 1m30s or 1:02:03.5")


def told_time(seconds: float) -> str:
    """Seconds as a clock shows them: 0:04.50, 1:02:03.00."""
    hundredths = round(seconds * 100)
    whole, rest = divmod(hundredths, 100)
    hours, minutes = whole // 3600, whole // 60 % 60
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{whole % 60:02}.{rest:02}"


def decoding_times(shown: Iterable[int], step: int = 1) -> list[int]:
    """When each packet must be decoded, for packets in coding order.

    shown: their presentation times, whole ticks, each once. step: ticks of a usual frame, for the times that lie before
    the first presentation. Returns as many times, strictly growing, none after its own presentation. Encoders number
    each piece of a clip by themselves; over the joints only this order is safe.
    """
    times = list(shown)
    order = sorted(times)
    rank = {time: index for index, time in enumerate(order)}
    delay = max((index - rank[time] for index, time in enumerate(times)), default=0)
    first = order[0] if order else 0
    ahead = [first - (delay - index) * step for index in range(delay)]
    return [*ahead, *order][: len(times)]


def ticks(seconds: Fraction, time_base: Fraction) -> int:
    """Seconds in whole ticks of a time base, to the nearest."""
    return round(seconds / time_base)
