"""A study: which pictures of which methods are shown, how often, and in which words; and its folder.

A folder holds `study.json` (this, with the methods' names: it is never sent to a browser), `words.json` (every text
that a person reads, to be edited or translated), `pictures/` under names that say nothing, and `answers.sqlite`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from upbrush.errors import DataError

FORMAT, VERSION = "upbrush-survey", 1
MANIFEST, WORDS, PICTURES, ANSWERS = "study.json", "words.json", "pictures", "answers.sqlite"
PAGES = Path(__file__).parent / "pages"
MOST_WORDS = 2000  # letters of one text
_NAME = re.compile(r"[0-9a-f]{32}\.webp")


@dataclass(frozen=True)
class Item:
    """One motif as every method shows it. pictures: a file's name for each method, in their order."""

    name: str
    width: int
    height: int
    pictures: tuple[str, ...]
    reference: str | None = None


@dataclass(frozen=True)
class Check:
    """A pair whose answer is known: a method's picture of an item, and a copy of it that was spoilt."""

    item: int
    method: int
    worse: str


@dataclass(frozen=True)
class Study:
    """What is asked.

    pairs: (item, method, method) of every comparison, of which each person sees `votes`, and `repeats` of them twice;
    every person sees all `checks`, and rates every method's picture of the items `rated`. ties: whether "no difference"
    is an answer. seed: with a person's number it makes the order that the person sees.
    """

    id: str
    seed: int
    methods: tuple[str, ...]
    items: tuple[Item, ...]
    pairs: tuple[tuple[int, int, int], ...]
    checks: tuple[Check, ...]
    rated: tuple[int, ...]
    votes: int
    repeats: int
    ties: bool

    @property
    def files(self) -> frozenset[str]:
        """The names of all pictures that may be asked for."""
        shown = {name for item in self.items for name in (*item.pictures, item.reference) if name}
        return frozenset(shown | {check.worse for check in self.checks})


def write(study: Study, words: Mapping[str, str], folder: Path) -> None:
    """Write the manifest and the words into a folder that is there."""
    manifest = {"format": FORMAT, "version": VERSION} | asdict(study)
    for name, content in ((MANIFEST, manifest), (WORDS, dict(words))):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def load(folder: Path) -> Study:
    """Read a study and see that it is whole.

    Raises DataError for a folder that is no study, a study of a newer version, and one that is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{folder}: is no study (there is no {MANIFEST}); make one by `upbrush survey make`")
    content = _read(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{path}: is not of a survey; make one by `upbrush survey make`")
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise DataError(f"{path}: is of version {version}, this upbrush knows {VERSION}; use a newer upbrush")
    try:
        study = _parsed(content)
        _see_that_it_holds(study)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: is damaged ({error}); make the study anew") from None
    missing = sorted(name for name in study.files if not (folder / PICTURES / name).is_file())
    if missing:
        raise DataError(f"{folder / PICTURES}: {len(missing)} pictures are missing, as {missing[0]}; copy them again")
    return study


def read_words(folder: Path | None = None) -> dict[str, str]:
    """Read the texts of a study; without a folder, those that upbrush brings.

    Raises DataError where a text is missing, unknown, too long, or lacks the {n} that stands for a number.
    """
    brought: dict[str, str] = json.loads((PAGES / WORDS).read_text(encoding="utf-8"))
    if folder is None:
        return brought
    path = folder / WORDS
    if not path.is_file():
        raise DataError(f"{path}: not found; expected the study's texts, as `upbrush survey make` writes them")
    words = _read(path)
    if not isinstance(words, dict):
        raise DataError(f"{path}: expected texts by name")
    check_words(words, str(path))
    return words


def check_words(words: Mapping[str, str], place: str) -> None:
    """See that texts can be shown. place: where they come from. Raises DataError as `read_words`."""
    brought = read_words()
    if wrong := sorted(brought.keys() ^ words.keys()):
        fault = "is missing" if wrong[0] in brought else "is not a text of the survey"
        raise DataError(f"{place}: {wrong[0]!r} {fault}; expected exactly {', '.join(sorted(brought))}")
    for name, text in words.items():
        if not isinstance(text, str) or not text.strip() or len(text) > MOST_WORDS:
            raise DataError(f"{place}: {name!r} is no text of 1 to {MOST_WORDS} letters; write one")
        if "{n}" in brought[name] and "{n}" not in text:
            raise DataError(f"{place}: {name!r} has no {{n}}, where a number is to stand; add it")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error}); mend it or make the study anew") from None


def _parsed(content: Mapping[str, Any]) -> Study:
    items = [dict(item, pictures=tuple(item["pictures"])) for item in content["items"]]
    return Study(
        id=str(content["id"]),
        seed=int(content["seed"]),
        methods=tuple(map(str, content["methods"])),
        items=tuple(Item(**item) for item in items),
        pairs=tuple((int(item), int(first), int(second)) for item, first, second in content["pairs"]),
        checks=tuple(Check(**check) for check in content["checks"]),
        rated=tuple(map(int, content["rated"])),
        votes=int(content["votes"]),
        repeats=int(content["repeats"]),
        ties=bool(content["ties"]),
    )


def _see_that_it_holds(study: Study) -> None:
    """Raise ValueError for numbers that point nowhere and for names that are not ours: they become paths."""
    methods, items = len(study.methods), len(study.items)
    if methods < 2 or not items:
        raise ValueError(f"{methods} methods and {items} pictures; expected two and one at least")
    for name in study.files:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a picture")
    for item, first, second in study.pairs:
        if not (0 <= item < items and 0 <= first < second < methods):
            raise ValueError(f"the pair {(item, first, second)} is of no picture or method")
    shown = [(check.item, check.method) for check in study.checks] + [(item, 0) for item in study.rated]
    if any(not (0 <= item < items and 0 <= method < methods) for item, method in shown):
        raise ValueError("a check or a rating is of no picture or method")
    if any(len(item.pictures) != methods for item in study.items):
        raise ValueError("a picture is not there for every method")
    if not 0 <= study.repeats <= study.votes <= len(study.pairs) or not (study.votes or study.rated):
        raise ValueError(f"{study.votes} votes and {study.repeats} repeats of {len(study.pairs)} pairs")
