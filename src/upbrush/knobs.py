"""What a picture is painted with, as one value that folders, clips and the service hand on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from upbrush import __version__
from upbrush.painter import Look, Painter
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
    wrap: bool = False
    stereo: str | None = None

    def look(self, painter: Painter, of: "Picture | Sequence[Picture] | Look") -> Look:
        """One look for many pictures: see `Painter.look`."""
        return painter.look(
            of,
            self.style,
            strength=self.strength,
            fidelity=self.fidelity,
            keep_colours=self.keep_colours,
            scale=self.scale,
            size=self.size,
            wrap=self.wrap,
            stereo=self.stereo,
        )

    def paint(
        self,
        painter: Painter,
        source: Picture,
        progress: Callable[[int, int], None] | None,
        look: Look | None = None,
    ) -> Picture:
        """Paint one picture; with a look, in that instead of in style, strength, fidelity and colours."""
        painted: Picture = painter.paint(
            source,
            self.style if look is None else None,
            strength=self.strength,
            fidelity=self.fidelity,
            keep_colours=self.keep_colours,
            scale=self.scale,
            size=self.size,
            look=look,
            wrap=self.wrap,
            stereo=self.stereo,
            progress=progress,
        )
        return painted

    def note(self, identity: str) -> dict[str, str]:
        """How a picture was made, to be kept in it. identity: the model's."""
        note = {"software": f"upbrush {__version__}", "model": identity, "fidelity": f"{self.fidelity:g}"}
        if self.style is not None:
            note |= {"style": self.style.name, "strength": f"{self.strength:g}"}
        return note
