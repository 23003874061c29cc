"""What `upbrush video` was asked for, as one value."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """The command's words, as they were typed, but for those that every command has."""

    source: str
    out: str
    style: str | None = None
    strength: float | None = None
    fidelity: float = 0.5
    keep_colours: bool = False
    scale: float | None = None
    size: str | None = None
    codec: str | None = None
    crf: int | None = None
    begin: str | None = None
    end: str | None = None
    mask: Path | None = None
    only: str | None = None
    faces: Path | None = None
    steady: bool = True
    wrap: bool = False
    stereo: str | None = None
    reduce_px: int | None = None
    ground: str | None = None
    drop: tuple[str, ...] = ()
    seed: int | None = None
