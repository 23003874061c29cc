"""The styles that clients may name: the library, and own ones that were sent here.

Own styles are .style files of the data folder, called by a hash of their name: what a client writes never becomes the
name of a file.
"""

import hashlib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from upbrush import styles
from upbrush.errors import StyleError
from upbrush.styles import Style
from upbrush.web.problems import Problem, limit, unknown

MOST_NAME_LENGTH = 60


@dataclass(frozen=True, eq=False)
class Entry:
    """A style under the name that it is asked for. own: was sent here, and may be deleted."""

    name: str
    style: Style
    own: bool


class Shelf:
    """The library of a model, and own styles beside it. Several processes may use one folder."""

    def __init__(self, folder: Path, model_dir: Path) -> None:
        self._folder, self._model_dir = folder, model_dir
        self._library: dict[str, Style] | None = None
        self._read: dict[Path, tuple[int, Style]] = {}

    def library(self) -> dict[str, Style]:
        """The built-in styles, read once."""
        if self._library is None:
            self._library = styles.library(self._model_dir)
        return self._library

    def own(self) -> dict[str, Style]:
        """The styles that were sent here, by name; one that went bad is left out."""
        found: dict[str, Style] = {}
        kept: dict[Path, tuple[int, Style]] = {}
        for path in self._files():
            try:
                stamp = path.stat().st_mtime_ns
                known = self._read.get(path)
                style = known[1] if known and known[0] == stamp else styles.read(path)
            except (OSError, StyleError):  # deleted meanwhile, or damaged: the others are not to suffer
                continue
            kept[path] = (stamp, style)
            found[name_of(style.name)] = style
        self._read = kept
        return dict(sorted(found.items()))

    def entries(self) -> list[Entry]:
        """All styles, the library's first."""
        return [
            *(Entry(name, style, False) for name, style in self.library().items()),
            *(Entry(name, style, True) for name, style in self.own().items()),
        ]

    def find(self, name: str) -> Entry:
        """The style of a name. Raises Problem 404 where there is none."""
        slug = styles.slug_of(name)
        for own, shelf in ((False, self.library()), (True, self.own())):
            if slug in shelf:
                return Entry(slug, shelf[slug], own)
        raise unknown(f"no style is called {name[:MOST_NAME_LENGTH]!r}; GET /v1/styles lists the names")

    def add(self, style: Style, most: int) -> Entry:
        """Keep a style under the name that its words give.

        most: how many own ones may be kept. Raises Problem 409 where the name is taken, 413 where the shelf is full;
        StyleError for a name that cannot be asked for.
        """
        name = name_of(style.name)
        own = self.own()
        if name in own or name in self.library():
            raise Problem(409, "StyleError", f"a style is called {name!r} already; choose another name")
        if len(own) >= most:
            raise limit(f"there are {len(own)} own styles, no more are kept; delete one first")
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            styles.write(style, self._path(name))
        except StyleError as error:
            if not self._path(name).exists():
                raise Problem(507, "LimitError", f"the style could not be kept: {_without_path(error)}") from None
            raise Problem(409, "StyleError", f"a style is called {name!r} already; choose another name") from None
        return Entry(name, style, True)

    def remove(self, name: str) -> None:
        """Delete an own style. Raises Problem 404 where there is none, 403 for one of the library."""
        entry = self.find(name)
        if not entry.own:
            raise Problem(403, "StyleError", f"{entry.name} is built in and stays; only own styles can be deleted")
        self._path(entry.name).unlink(missing_ok=True)

    def _files(self) -> Iterator[Path]:
        yield from sorted(self._folder.glob(f"*{styles.SUFFIX}"))

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}{styles.SUFFIX}"


def name_of(title: str) -> str:
    """What a style is asked for by: "My Cat's fur" is my-cats-fur. Raises StyleError where nothing is left."""
    slug = styles.slug_of(unicodedata.normalize("NFC", title).strip())
    name = "".join(letter for letter in slug if letter == "-" or unicodedata.category(letter)[0] in "LNM").strip("-")
    if not name or len(name) > MOST_NAME_LENGTH or name == "random" or name.isdecimal():
        raise StyleError(
            f"style {title[:40]!r}: expected a name of 1 to {MOST_NAME_LENGTH} letters, not a number and not random"
        )
    return name


def _without_path(error: Exception) -> str:
    return str(error).partition(": ")[2]
