"""What a picture is painted with, as one value that folders, clips and the service hand on."""

from collections.abc import Callable
from dataclasses import dataclass

from upbrush import __version__
from upbrush.painter import Painter
from upbrush.picture import Picture
from upbrush.styles import Style


@dataclass(frozen=True)
class Knobs:
    """What pictures are painted with: see `Painter.paint`."""

    style: Style | None = None
    strength: float = 1.0
    fidelity: float = 0.5
    keep_colours: bool = False
    scale: float | None = None
    size: str | None = None

    def paint(self, painter: Painter, source: Picture, progress: Callable[[int, int], None] | None) -> Picture:
        """Paint one picture."""
        painted: Picture = painter.paint(
            source,
            self.style,
            strength=self.strength,
            fidelity=self.fidelity,
            keep_colours=self.keep_colours,
            scale=self.scale,
            size=self.size,
            progress=progress,
        )
        return painted

    def note(self, identity: str) -> dict[str, str]:
        """How a picture was made, to be kept in it. identity: the model's."""
        note = {"software": f"upbrush {__version__}", "model": identity, "fidelity": f"{self.fidelity:g}"}
        if self.style is not None:
            note |= {"style": self.style.name, "strength": f"{self.strength:g}"}
        return note
