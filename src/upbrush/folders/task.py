"""One picture to paint, and how it went: plain values that processes and machines hand on; pure."""

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

from upbrush import panorama, sizes
from upbrush.errors import ConfigError

STRENGTH, FIDELITY = "0 restores, 1 repaints", "1 is truest to the picture, 0 is sharpest"


@dataclass(frozen=True)
class Asked:
    """What a picture is painted with, in the words of the command line; see `Painter.paint` and `picture.write`.

    style: a name, a blend, "random:7", or the path or address of a picture or a .style file. strength: None is 1 with
    a style and 0 without. style_stamp: what the style's files were when they were looked at. model: identity of the
    model. engine: what renders; two engines agree only to rounding.
    """

    style: str | None = None
    strength: float | None = None
    fidelity: float = 0.5
    keep_colours: bool = False
    scale: float | None = None
    size: str | None = None
    format: str | None = None
    quality: int = 95
    wrap: bool = False
    stereo: str | None = None
    style_stamp: str = ""
    model: str = ""
    engine: str = ""

    def __post_init__(self) -> None:
        for name, value, meaning in (("strength", self.strength, STRENGTH), ("fidelity", self.fidelity, FIDELITY)):
            if value is not None and not (sizes.is_number(value) and 0 <= value <= 1):
                raise ConfigError(f"{name} {value!r} is not in 0…1: {meaning}")
        if self.stereo is not None and self.stereo not in panorama.STEREO:
            raise ConfigError(f"stereo {self.stereo!r} is unknown; expected {' or '.join(panorama.STEREO)}")
        if not 1 <= self.quality <= 100:
            raise ConfigError(f"quality {self.quality} is not a whole number in 1…100: 95 is usual")
        sizes.target_size(2**31, 2**31, self.scale, self.size)  # no picture is so large: sees that both can be read
        if self.style is not None and self.style.strip().lower() == "random":
            raise ConfigError("style random is another at each run; give a seed, as in random:7")

    def check_style(self) -> None:
        """Refuse knobs of a style where there is none; of a whole run's settings, rows of a manifest may have one."""
        if self.style is None and (self.strength or self.keep_colours):
            knob = "strength" if self.strength else "keep_colours"
            raise ConfigError(f"{knob} goes with a style; give one, such as monet")

    def text(self) -> str:
        """As JSON, always the same for the same settings: what the ledger compares."""
        return _text(self)

    @classmethod
    def of(cls, text: str) -> "Asked":
        """The other way."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Task:
    """One picture to paint.

    name: of the output, relative to the output folder, with "/" between. source: a path or an address; of a picture in
    a tar, the tar's. member: the picture's name in the tar; offset, length: where its bytes are. stamp: what the source
    was when it was listed, to tell later whether it has changed.
    """

    name: str
    source: str
    asked: Asked
    stamp: str = ""
    member: str = ""
    offset: int = 0
    length: int = 0

    @property
    def words(self) -> str:
        """What to call the picture in messages."""
        return f"{self.source}:{self.member}" if self.member else self.source


@dataclass(frozen=True, slots=True)
class Done:
    """How one task went.

    error: one line, None where it was painted. seconds: of reading, painting and writing. attempts: how often it was
    begun. pixels, bytes: of the output. worker: where it was painted. ended: when, in seconds since 1970; 0 is now.
    notes: what is to be told about it. full: nothing can be written any more, so that going on is of no use.
    """

    name: str
    error: str | None = None
    seconds: float = 0.0
    attempts: int = 1
    pixels: int = 0
    bytes: int = 0
    worker: str = ""
    ended: float = 0.0
    notes: tuple[str, ...] = ()
    full: bool = False

    def tried(self, attempts: int) -> "Done":
        """The same, after so many attempts."""
        return replace(self, attempts=attempts)


@lru_cache(1000)
def _text(asked: Asked) -> str:
    return json.dumps(asdict(asked), sort_keys=True, ensure_ascii=False)
