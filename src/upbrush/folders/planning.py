"""What a run is to do, written into the ledger before the first picture is painted."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from upbrush.errors import ConfigError
from upbrush.folders import places, sources
from upbrush.folders.ledger import Ledger
from upbrush.folders.task import Asked, Task


def plan(
    inputs: Sequence[str], out: str, asked: Asked, ledger: Ledger, overwrite: bool, refused: Callable[[str], None]
) -> int:
    """Write every picture that the inputs mean into the ledger; returns how many files are no pictures.

    overwrite: whether files in the output folder may be replaced that the ledger did not make, and what is done be done
    again. refused: called with one line for each picture that cannot be tried. Raises ConfigError and PictureError for
    inputs that cannot be listed, for two pictures with one output and for one that would be replaced by a painting;
    then the ledger is as it was.
    """
    there = _sizes(out)
    stamped = _Stamped()
    ignored = 0
    replaced: dict[object, str] = {}  # files that nobody knows to be paintings
    with ledger.writing():
        for found in sources.find(inputs, out, asked):
            if isinstance(found, sources.Ignored):
                ignored += 1
            elif isinstance(found, sources.Refused):
                ledger.refuse(found.name, found.source, found.error)
                refused(found.error)
            else:
                _see_apart(found, out)
                if ledger.plan(replace(found, asked=stamped(found.asked)), there(found.name), overwrite):
                    replaced[places.identity(places.join(out, found.name))] = found.words
        for source in ledger.sources() if replaced else ():
            if other := replaced.get(places.identity(source)):
                raise ConfigError(f"{source}: would be replaced by the painting of {other}; choose another folder")
    return ignored


def _sizes(out: str) -> Callable[[str], int | None]:
    """Bytes of a file in the output folder by its name; far away they are listed once, many at a time."""
    if not places.is_address(out):

        def local(name: str) -> int | None:
            seen = places.seen(places.join(out, name))
            return seen.bytes if seen else None

        return local
    try:
        found = {seen.name: seen.bytes for seen in places.files(out)}
    except FileNotFoundError:
        found = {}
    return found.get


def _see_apart(task: Task, out: str) -> None:
    """However the two are written: by way of a link, or as an address of this machine's own disk."""
    if places.same(task.source, places.join(out, task.name)):
        raise ConfigError(f"{task.source}: would be replaced by its own painting; choose another output folder")


class _Stamped:
    """Settings with what their style's files are now, so that a style that was made anew is seen."""

    def __init__(self) -> None:
        self._known: dict[Asked, Asked] = {}
        self._stamps: dict[str, str] = {}

    def __call__(self, asked: Asked) -> Asked:
        if asked.style is None:
            return asked
        if asked not in self._known:
            if len(self._known) > 1000:  # of a manifest in which every row is another
                self._known.clear()
            self._known[asked] = replace(asked, style_stamp=self._stamp(asked.style))
        return self._known[asked]

    def _stamp(self, words: str) -> str:
        """Empty for what has no file: names of the library belong to the model, which the settings name."""
        if words not in self._stamps:
            parts = [words, *(part.strip().rpartition(":")[0] or part.strip() for part in words.split(","))]
            seen = [places.seen(part) for part in dict.fromkeys(parts) if "/" in part or "." in part]
            self._stamps[words] = " ".join(one.stamp for one in seen if one)
        return self._stamps[words]
