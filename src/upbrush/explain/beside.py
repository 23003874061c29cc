"""The map of what was invented, as a picture beside the painting: what `upbrush paint --explain` writes."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

from upbrush import picture
from upbrush.errors import ConfigError, PictureError
from upbrush.explain import heat
from upbrush.explain.findings import VISIBLE
from upbrush.explain.invention import Invention
from upbrush.picture import Picture
from upbrush.styles import plain_pixels

SUFFIX = ".explain.png"
NOTE = {"explains": "invented detail"}  # by which a map of ours is known


def map_path(target: Path) -> Path:
    """Where the map of a painting goes: large.jpg -> large.explain.png."""
    return target.with_name(target.stem + SUFFIX)


def check(targets: Iterable[Path], overwrite: bool) -> None:
    """Raise, before anything is painted, where a map would take the place of a painting or of a file that is not a map.

    Raises ConfigError for names that clash, PictureError for a file that is there.
    """
    paintings = set(targets)
    taken: dict[Path, Path] = {}
    for target in sorted(paintings):
        path = map_path(target)
        other = target if path in paintings else taken.setdefault(path, target)
        if path in paintings or other != target:
            clash = f"the map of {target} and {'a painting' if path in paintings else f'that of {other}'}"
            raise ConfigError(f"{clash} would both become {path}; rename one picture, or paint without --explain")
        if path.exists() and not overwrite and not is_map(path):
            raise PictureError(f"{path}: is there already, and is no map; move it, or give --overwrite")


def is_map(path: Path) -> bool:
    """Whether a file is a map that was written here: such a one may be written again."""
    try:
        return NOTE.items() <= picture.read_note(path).items()
    except PictureError:
        return False


def write(found: Invention, painted: Picture, target: Path, note: Mapping[str, str], name: str, styled: bool) -> None:
    """Write the map of a painting beside it, whole or not at all; a file there must have passed `check`.

    target: of the painting. note: how it was painted. name: of the picture, for the title. styled: repainted, so that
    strokes are invented on purpose. Raises PictureError where it cannot be written.
    """
    drawn = draw(found, painted, name, styled)
    picture.write(picture.from_image(drawn), map_path(target), note={**note, **NOTE}, overwrite=True)


def draw(found: Invention, painted: Picture, name: str, styled: bool) -> Image.Image:
    """The map of a painting to be looked at alone, with its colours explained."""
    lines = [
        f"{found.share(VISIBLE):.0%} of the picture has detail of {VISIBLE:g} levels or more that the small picture "
        f"does not determine. Overall {found.level(found.map):.1f} levels: added {found.level(found.added):.1f}, "
        f"unsteady {found.level(found.unsteady):.1f}, undecided {found.level(found.undecided):.1f}.",
        f"Made small again, the output is {found.level(found.changed):.1f} levels from the small picture.",
        "Not an error bar: pale places can be wrong, too. Do not read letters, faces or findings where the colour is "
        "strong.",
    ]
    if styled:
        lines.append("This is a repaint: its strokes are invented on purpose, and most of the map are strokes.")
    return heat.drawn(Image.fromarray(plain_pixels(painted)), found.map, f"What was invented: {name}", lines)
