"""Folders of pictures to a study: everything that is wrong with them at once, then copies that tell nothing.

A copy has the pixels of its source and nothing else: no name, no metadata and no date could tell whose it is.
"""

import hashlib
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageFilter

from upbrush import metadata, opening, picture, saving
from upbrush.errors import ConfigError, DataError, PictureError
from upbrush.survey import study as studies
from upbrush.survey.study import Check, Item, Study

MOST_SIDE_PX = 16383  # WebP's
BLUR_PART = 1 / 32  # of the shorter side: the blur of a check's spoilt copy
LEAST_CHANGE = 3.0  # of 255: what that must change in the mean, so that anyone can see it
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".heic", ".heif"}


@dataclass(frozen=True)
class Design:
    """How much is asked of each person, and of how many pictures. pictures: None takes all."""

    votes: int = 20
    ratings: int = 12
    checks: int = 6
    repeats: int = 2
    ties: bool = False
    pictures: int | None = None
    seed: int | None = None


def named(given: Sequence[str]) -> dict[str, Path]:
    """Methods by name, from `FOLDER` or `NAME=FOLDER`.

    Raises ConfigError where there are fewer than two, where two have one name, and for what is no folder.
    """
    methods: dict[str, Path] = {}
    for words in given:
        name, equals, folder = words.partition("=")
        path = Path(folder) if equals and not Path(words).is_dir() else Path(words)
        name = name if path != Path(words) else path.resolve().name
        if not path.is_dir():
            raise ConfigError(f"{path}: is no folder; expected one with a method's pictures")
        if other := [known for known, place in methods.items() if place.resolve() == path.resolve()]:
            raise ConfigError(f"{path}: is given twice, as {other[0]} and as {name}; give each method's folder once")
        if not name or name in methods:
            raise ConfigError(f"{name!r} is the name of two methods; tell them apart, as in first={path}")
        methods[name] = path
    if len(methods) < 2:
        raise ConfigError(f"found one method ({', '.join(methods)}); a comparison needs two folders at least")
    return methods


def make(
    methods: Mapping[str, Path],
    out: Path,
    design: Design,
    words: Mapping[str, str],
    *,
    reference: Path | None = None,
    overwrite: bool = False,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Study:
    """Write a study into the folder `out`, whole or not at all.

    methods: at least two, see `named`. words: of all texts, as of `study.read_words`. reference: a folder of pictures
    that are shown beside each pair, of any size. told: called with pictures done and in all.
    Raises DataError for sets that do not match, naming everything at once, and for a study that has answers;
    ConfigError for a design that cannot be kept; PictureError for a picture that cannot be read.
    """
    refuse_unfit(out, overwrite)
    if not design.votes and not design.ratings:
        raise ConfigError("0 votes and 0 ratings ask nothing; give --votes or --ratings")
    if 0 < design.ratings < len(methods):
        raise ConfigError(f"{design.ratings} ratings are fewer than the {len(methods)} methods; give more, or 0")
    found = matched(methods, reference)
    seed = secrets.randbits(48) if design.seed is None else design.seed
    rng = np.random.default_rng(seed)
    motifs = sorted(found)
    if design.pictures is not None:
        if design.pictures > len(motifs):
            raise ConfigError(f"{design.pictures} pictures asked for, {len(motifs)} found; give fewer, or all")
        motifs = sorted(rng.choice(motifs, design.pictures, replace=False).tolist())
    wanted = {name: found[name] for name in motifs}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".study-", dir=out.parent) as hidden:
            folder = Path(hidden) / "study"
            (folder / studies.PICTURES).mkdir(parents=True)
            made = _Copies(folder / studies.PICTURES, sum(map(len, wanted.values())), told)
            study = _study(tuple(methods), made.items(wanted, len(methods), rng), made, design, seed, rng)
            studies.write(study, words, folder)
            if out.exists():
                shutil.rmtree(out)
            os.replace(folder, out)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror or error}); choose another folder") from None
    return study


def refuse_unfit(out: Path, overwrite: bool) -> None:
    """See that a study may be written to `out`; answers are never overwritten. Raises DataError."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / studies.MANIFEST).is_file():
        raise DataError(f"{out}: is there already and no study; choose another folder")
    if (out / studies.ANSWERS).exists():
        raise DataError(f"{out}: holds people's answers, which are never overwritten; choose another folder")
    if not overwrite:
        raise DataError(f"{out}: is there already; choose another folder, or give --overwrite")


def matched(methods: Mapping[str, Path], reference: Path | None) -> dict[str, list[Path]]:
    """Pictures by motif: for each method its file, and the reference's last where there is one.

    The motif is the path in the folder without its suffix, so that 1.png and 1.webp are one. Raises DataError with
    everything that does not match.
    """
    faults: list[str] = []
    sets = {name: _listed(folder, faults) for name, folder in methods.items()}
    motifs = sorted({motif for files in sets.values() for motif in files})
    if not motifs:
        raise DataError(f"{', '.join(map(str, methods.values()))}: no pictures found; expected PNG, JPEG, WebP or TIFF")
    whole = [motif for motif in motifs if all(motif in files for files in sets.values())]
    for name, files in sets.items():
        if lacking := [motif for motif in motifs if motif not in files]:
            faults.append(f"{name} has no {', '.join(lacking)}")
    if reference is not None:
        if not reference.is_dir():
            raise ConfigError(f"{reference}: is no folder; expected one with the references")
        beside = _listed(reference, faults)
        if lacking := [motif for motif in motifs if motif not in beside]:
            faults.append(f"the reference has no {', '.join(lacking)}")
    for motif in whole:
        sizes = {name: _size(files[motif], faults) for name, files in sets.items()}
        if len({size for size in sizes.values() if size}) > 1:
            faults.append(f"{motif} is " + ", ".join(f"{size} in {name}" for name, size in sizes.items() if size))
    if faults:
        raise DataError(f"the pictures do not match: {'; '.join(faults)}. Give every method the same set in one size")
    extra = [beside] if reference is not None else []
    return {motif: [files[motif] for files in (*sets.values(), *extra)] for motif in whole}


def _listed(folder: Path, faults: list[str]) -> dict[str, Path]:
    """Pictures of a folder and those below it, by motif."""
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.suffix.lower() not in SUFFIXES or not path.is_file() or any(part[0] == "." for part in inside.parts):
            continue
        other = files.setdefault(inside.with_suffix("").as_posix(), path)
        if other != path:
            faults.append(f"{other} and {path} are one picture twice")
    return files


def _size(path: Path, faults: list[str]) -> str:
    """WIDTHxHEIGHT, upright; empty, and a fault, where it cannot be opened."""
    try:
        with opening.opened(path, picture.MAX_PIXELS) as (_, image):
            opening.refuse_films(image)
            width, height = image.size[::-1] if metadata.orientation(image) > 4 else image.size
    except PictureError as error:
        faults.append(str(error))
        return ""
    if max(width, height) > MOST_SIDE_PX:
        faults.append(f"{path}: {width}x{height} is too large to be shown; cut parts of at most {MOST_SIDE_PX} out")
    return f"{width}x{height}"


class _Copies:
    """Writes pictures under names that say nothing, and knows which are equal."""

    def __init__(self, folder: Path, total: int, told: Callable[[int, int], None]) -> None:
        self.folder, self._total, self._told = folder, total, told
        self.pixels: dict[str, bytes] = {}  # by name: a hash, to find methods that gave the same picture
        self.change: dict[tuple[int, int], float] = {}  # by item and method: what blurring would change in the mean

    def items(self, found: Mapping[str, Sequence[Path]], methods: int, rng: np.random.Generator) -> tuple[Item, ...]:
        """Copy everything, in an order that tells nothing either."""
        motifs = list(found)
        jobs = [(place, column) for place, motif in enumerate(motifs) for column in range(len(found[motif]))]
        names: dict[tuple[int, int], str] = {}
        sizes: dict[int, tuple[int, int]] = {}
        for done, index in enumerate(rng.permutation(len(jobs))):
            self._told(done, self._total)
            place, column = jobs[index]
            image = plain(picture.read(found[motifs[place]][column]))
            names[place, column] = self.keep(image)
            if column < methods:
                sizes[place] = image.size
                self.change[place, column] = _change(image, spoilt(image))
        items = []
        for place, motif in enumerate(motifs):
            pictures = tuple(names[place, column] for column in range(methods))
            items.append(Item(motif, *sizes[place], pictures, names.get((place, methods))))
        return tuple(items)

    def keep(self, image: Image.Image) -> str:
        """Write one picture without loss; gives its name."""
        name = f"{secrets.token_hex(16)}.webp"
        # WebP without loss: three quarters of a PNG's bytes, which counts on a phone.
        image.save(self.folder / name, "WEBP", lossless=True, quality=50, method=2, exact=True)
        os.utime(self.folder / name, (0, 0))
        self.pixels[name] = hashlib.sha256(image.tobytes()).digest()
        return name

    def read(self, name: str) -> Image.Image:
        """A picture that was kept."""
        with Image.open(self.folder / name) as image:
            return image.convert("RGB")


def _study(
    methods: tuple[str, ...],
    items: tuple[Item, ...],
    made: _Copies,
    design: Design,
    seed: int,
    rng: np.random.Generator,
) -> Study:
    """What is asked of these pictures. Equal pictures make no pair: there would be nothing to choose."""
    pairs = [
        (place, first, second)
        for place, item in enumerate(items)
        for first, second in combinations(range(len(methods)), 2)
        if made.pixels[item.pictures[first]] != made.pixels[item.pictures[second]]
    ]
    if design.votes and not pairs:
        raise DataError(f"{' and '.join(methods)}: every picture is the same in all; there is nothing to compare")
    votes = min(design.votes, len(pairs))
    rated = min(design.ratings // len(methods), len(items))
    return Study(
        id=secrets.token_hex(8),
        seed=seed,
        methods=methods,
        items=items,
        pairs=tuple(pairs),
        checks=_checks(items, made, design.checks if votes else 0),
        rated=tuple(sorted(rng.choice(len(items), rated, replace=False).tolist())),
        votes=votes,
        repeats=min(design.repeats, votes // 3),
        ties=design.ties,
    )


def _checks(items: tuple[Item, ...], made: _Copies, wanted: int) -> tuple[Check, ...]:
    """Spoilt copies of those pictures in which it is seen best, of as many items and methods as there are."""
    checks: list[Check] = []
    used: dict[tuple[str, int], int] = {}
    able = {place: change for place, change in made.change.items() if change >= LEAST_CHANGE}
    if wanted and not able:
        raise DataError("the pictures are too smooth for blurred copies of them to be told apart; give --checks 0")
    while len(checks) < wanted:
        # The least used item first, then the least used method, then the clearest picture.
        item, method = min(
            able, key=lambda place: (used.get(("item", place[0]), 0), used.get(("method", place[1]), 0), -able[place])
        )
        for key in (("item", item), ("method", method)):
            used[key] = used.get(key, 0) + 1
        checks.append(Check(item, method, made.keep(spoilt(made.read(items[item].pictures[method])))))
    return tuple(checks)


def plain(source: picture.Picture) -> Image.Image:
    """The picture as every browser shows it: 8 bits, RGB in sRGB, laid on white where it is transparent."""
    pixels = saving.eight_bits(source.pixels)
    if source.alpha is not None:
        alpha = saving.eight_bits(source.alpha)[..., None].astype(np.uint32)
        pixels = ((alpha * pixels + (255 - alpha) * 255 + 127) // 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    if source.icc is None or metadata.profile_space(source.icc) != "RGB":
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(source.icc))
        if ImageCms.getProfileDescription(profile).startswith("sRGB"):  # converting would round it for nothing
            return image
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        raise PictureError(f"its colour profile cannot be used ({error}); save it in sRGB") from None
    assert converted is not None  # None is for inPlace only
    return converted


def spoilt(image: Image.Image) -> Image.Image:
    """A copy so blurred that anyone who looks sees which of the two is worse."""
    return image.filter(ImageFilter.GaussianBlur(max(2.0, min(image.size) * BLUR_PART)))


def _change(image: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(image, np.int16) - np.asarray(other, np.int16)).mean())


def thumbnails(study: Study, folder: Path, side_px: int = 96) -> dict[str, bytes]:
    """Small WebP pictures of a study, by "method/item", for its report. Raises PictureError."""
    small = {}
    for item in study.items:
        for method, name in zip(study.methods, item.pictures, strict=True):
            content = io.BytesIO()
            image = Image.fromarray(picture.read(folder / studies.PICTURES / name).pixels)
            image.thumbnail((side_px, side_px))
            image.save(content, "WEBP", quality=75)
            small[f"{method}/{item.name}"] = content.getvalue()
    return small
