"""Styles: codes with a name. Read, write, make, blend, draw at random; the built-in library.

A .style file is JSON: format, version, model (the identity of the weights that made the code and can use it), name,
artist, source, licence, code (base64 of little-endian float32) and preview (base64 of a small WebP, or null). Of a
fitted style it has mods, too (base64 of little-endian float16), and version 2: what is added to those of the code.
"""

import base64
import difflib
import io
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from upbrush import photographs, picture, saving
from upbrush.engine import MODEL_DIR, Engine
from upbrush.errors import PictureError, StyleError
from upbrush.picture import Picture
from upbrush.sheet import sheet as contact_sheet
from upbrush.views import thumbnail

CODE_SIZE = 256  # numbers in a code, fixed by version 1 of the format
MOST_MODS = 20_000
FORMAT, VERSION = "upbrush-style", 2
SUFFIX = ".style"
MOST_FILE_BYTES = 1_000_000
MOST_WORD_LENGTH = 300  # characters of a name, an artist, a source or a licence
PREVIEW_PX = 128
FARTHEST = 2.0  # deviations from the mean of the codes of works of art: farther out, pictures come out near black
RANDOM = re.compile(r"random(?::(\d{1,18}))?", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Style:
    """A code, the model it belongs to, and where it comes from.

    code: (256,) float32, not writable; longer where the style was fitted (`fitting`): then what is added to its mods
    follows. model: the engine's identity. preview: bytes of a small WebP, JPEG or PNG.
    Raises StyleError for a code of another size or with numbers that are not finite, and for words that a terminal
    cannot show.
    """

    name: str
    code: np.ndarray
    model: str
    artist: str = ""
    source: str = ""
    licence: str = ""
    preview: bytes | None = None

    def __post_init__(self) -> None:
        code = np.array(self.code, np.float32)
        if code.ndim != 1 or not CODE_SIZE <= len(code) <= CODE_SIZE + MOST_MODS or not np.isfinite(code).all():
            raise StyleError(f"style {self.name!r}: expected a code of {CODE_SIZE} finite numbers, found {code.shape}")
        code.setflags(write=False)
        object.__setattr__(self, "code", code)
        if not self.name.strip():
            raise StyleError("a style needs a name; give one, as with --name")
        for field in ("name", "model", "artist", "source", "licence"):
            word = getattr(self, field)
            if len(word) > MOST_WORD_LENGTH or not word.isprintable():
                raise StyleError(
                    f"style {self.name[:40]!r}: {field} must be one printable line of {MOST_WORD_LENGTH} characters "
                    "at most; shorten it"
                )


def read(path: Path | str) -> Style:
    """Read a .style file. Raises StyleError where it is missing, damaged, or of a newer version."""
    path = Path(path)
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise StyleError(f"{path}: is larger than any style file; expected one of `upbrush style make`")
        return loads(path.read_bytes(), str(path))
    except OSError as error:
        raise StyleError(f"{path}: cannot be read ({error.strerror}); give the path of a .style file") from None


def loads(data: bytes, name: str) -> Style:
    """Read the bytes of a .style file. name: what to call it in errors. Raises StyleError as `read` does."""
    if len(data) > MOST_FILE_BYTES:
        raise StyleError(f"{name}: is larger than any style file; expected one of `upbrush style make`")
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise StyleError(f"{name}: is not a style file, or damaged; make it again with `upbrush style make`") from None
    return _from_fields(fields, name)


def dumps(style: Style) -> bytes:
    """A style as the bytes of a .style file."""
    own, mods = style.code[:CODE_SIZE], style.code[CODE_SIZE:]
    fields = {
        "format": FORMAT,
        "version": 2 if mods.size else 1,  # what nobody fitted, an older upbrush can read
        "model": style.model,
        "name": style.name,
        "artist": style.artist,
        "source": style.source,
        "licence": style.licence,
        "code": base64.b64encode(own.astype("<f4").tobytes()).decode(),
        **({"mods": base64.b64encode(mods.astype("<f2").tobytes()).decode()} if mods.size else {}),
        "preview": base64.b64encode(style.preview).decode() if style.preview else None,
    }
    return f"{json.dumps(fields, indent=1, ensure_ascii=False)}\n".encode()


def write(style: Style, path: Path | str, overwrite: bool = False) -> None:
    """Write a .style file whole or not at all. Raises StyleError where it is there already or cannot be written."""
    path = Path(path)
    check_suffix(path)
    data = dumps(style)

    def save(file: IO[bytes]) -> None:
        file.write(data)

    try:
        saving.store(path, save, overwrite)
    except PictureError as error:  # what it says fits any file
        raise StyleError(str(error)) from None


def check_suffix(path: Path) -> None:
    """Raise StyleError unless a path is named as a style file is."""
    if path.suffix != SUFFIX:
        raise StyleError(f"{path}: a style file is called something{SUFFIX}; name it {path.stem}{SUFFIX}")


def make(
    pictures: Sequence[np.ndarray], engine: Engine, name: str, *, artist: str = "", source: str = "", licence: str = ""
) -> Style:
    """Sum one or several pictures up as one style, the mean of their codes.

    pictures: (H, W, 3) uint8 RGB each. Has no preview yet: see `preview`.
    """
    if not pictures:
        raise StyleError("a style is made from one picture or more, found none")
    codes = [engine.encode(pixels) for pixels in pictures]
    return Style(name, np.mean(codes, axis=0), engine.identity, artist, source, licence)


def preview(style: Style, engine: Engine) -> bytes:
    """Paint a small photograph, or a drawing where there is none, in a style: bytes of a WebP of 128 pixels a side."""
    side_px = 2 * PREVIEW_PX // engine.scale  # painted twice as large, then reduced: strokes stay crisp
    pixels = photographs.photograph("astronaut", side_px) if photographs.are_here() else photographs.drawing(side_px)
    mods = engine.modulate(thumbnail(pixels), style.code, 1.0, 0.5)
    high = engine.render(pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255, mods)[0]
    painted = Image.fromarray(np.round(high.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))
    stored = io.BytesIO()
    painted.resize((PREVIEW_PX, PREVIEW_PX), Image.Resampling.LANCZOS).save(stored, "WEBP", quality=80, method=6)
    return stored.getvalue()


def blend(parts: Sequence[tuple[Style, float]]) -> Style:
    """Mix styles: the mean of their codes by weight. Weights need not sum to 1.

    A blend has the licences of its parts, or none where one of them has none: nobody said that it may be used so.
    Raises StyleError for no parts, a weight that is negative or not finite, or styles of different models.
    """
    weights = np.array([weight for _, weight in parts], np.float64)
    if not len(weights) or not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum():
        raise StyleError("a blend needs styles with weights of 0 or more, not all 0, as in monet:0.7,klimt:0.3")
    models = {style.model for style, _ in parts}
    if len(models) > 1:
        raise StyleError(f"a blend needs styles of one model, found {', '.join(sorted(models))}; make them again")
    weights /= weights.sum()
    longest = max(len(style.code) for style, _ in parts)  # what was not fitted adds nothing to its mods
    codes = [np.pad(style.code, (0, longest - len(style.code))) for style, _ in parts]
    code = np.sum([weight * code for weight, code in zip(weights, codes, strict=True)], axis=0)
    styles = [style for style, _ in parts]
    return Style(
        " + ".join(f"{style.name} {weight:.0%}" for weight, style in zip(weights, styles, strict=True)),
        np.asarray(code, np.float32),
        models.pop(),
        artist=_joined(style.artist for style in styles),
        source=_joined(style.source for style in styles),
        licence=_joined(style.licence for style in styles) if all(style.licence for style in styles) else "",
    )


def random(seed: int, model_dir: Path | None = None) -> Style:
    """Draw a style at random; the same seed gives the same style.

    Raises StyleError where the model has no random.npz, or a damaged one.
    """
    path = (model_dir or MODEL_DIR) / "random.npz"
    if seed < 0:
        raise StyleError(f"seed is {seed}, expected 0 or more")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            mean, directions, spread = (stored[key].astype(np.float32) for key in ("mean", "directions", "spread"))
            model = str(stored["identity"])
        code = mean + directions.T @ (spread * _near_normal(spread.shape, seed))
    except FileNotFoundError:
        raise StyleError(f"{path}: not found; this model has no random styles, export it with artworks") from None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise StyleError(f"{path}: is damaged ({error}); reinstall upbrush or export the model anew") from None
    return Style(f"random:{seed}", code, model, source="drawn at random from the codes of artworks")


def _near_normal(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Standard normal numbers; those farther out than works of art are get drawn again."""
    generator = np.random.Generator(np.random.PCG64(seed))
    draws = generator.standard_normal(shape, np.float32)
    while (far := np.abs(draws) > FARTHEST).any():
        draws[far] = generator.standard_normal(int(far.sum()), np.float32)
    return draws


def library(model_dir: Path | None = None) -> dict[str, Style]:
    """The built-in styles by the names they are asked for, sorted."""
    return {path.stem: read(path) for path in _library_files(model_dir)}


def resolve(
    spec: object, engine: Engine, model_dir: Path | None = None, *, own: Mapping[str, Style] | None = None
) -> Style:
    """Find or make the style that is meant.

    spec: a Style; a picture as Picture, PIL image or array; a path of a .style file or a picture; or a word: a name
    of the library, "random", "random:SEED", or a blend such as "monet:0.7,klimt:0.3". model_dir: where the library
    is, by default beside the engine's files. own: styles beside the library's, by their names; where it is given, even
    empty, a word is never a path, so words of strangers open no file. Raises StyleError with the nearest names for an
    unknown one, and for a style of another model; PictureError for a picture that cannot be read.
    """
    if model_dir is None:
        model_dir = getattr(engine, "model_dir", MODEL_DIR)
    if isinstance(spec, Style):
        style = spec
    elif isinstance(spec, str):
        style = _from_words(spec.strip(), engine, model_dir, own)
    elif isinstance(spec, Path):
        style = _from_file(spec, engine)
    elif isinstance(spec, Picture):
        style = make([plain_pixels(spec)], engine, "a picture")
    elif isinstance(spec, Image.Image):
        style = make([plain_pixels(picture.from_image(spec))], engine, "a picture")
    elif isinstance(spec, np.ndarray):
        style = make([plain_pixels(picture.from_array(spec))], engine, "a picture")
    else:
        raise StyleError(f"a style cannot be of type {type(spec).__name__}; expected a name, path, picture or Style")
    if style.model != engine.identity:
        raise StyleError(
            f"style {style.name!r} belongs to model {style.model}, the open model is {engine.identity}; make it again "
            "from its picture with `upbrush style make`"
        )
    return style


def nearest(style: Style, styles: Mapping[str, Style]) -> list[tuple[str, float]]:
    """The styles of the same model by the distance of their codes, nearest first, itself left out."""
    distances = {
        name: float(np.linalg.norm(other.code[:CODE_SIZE] - style.code[:CODE_SIZE]))
        for name, other in styles.items()
        if other.model == style.model
    }
    return sorted(((name, gap) for name, gap in distances.items() if gap > 0), key=lambda pair: pair[1])


def sheet(styles: Mapping[str, Style], columns: int = 6) -> Image.Image:
    """Show the previews of styles, with name and artist, on one page."""
    cells = []
    for name, style in styles.items():
        image = None
        if style.preview:
            try:
                image = Image.open(io.BytesIO(style.preview)).convert("RGB")
            except (OSError, ValueError, SyntaxError):  # the header was whole when it was read, the rest is not
                image = None
        cells.append((f"{name}\n{style.artist.partition(' (')[0]}", image))  # no room for the years
    return contact_sheet(cells, columns, PREVIEW_PX)


def plain_pixels(source: Picture) -> np.ndarray:
    """A picture as the StyleEncoder sees it: (H, W, 3) uint8 RGB, what is transparent laid on white."""
    pixels, alpha = source.pixels, source.alpha
    if alpha is not None:
        top = np.iinfo(pixels.dtype).max
        share = alpha[..., None].astype(np.float32) / top
        pixels = np.round(pixels * share + top * (1 - share)).astype(pixels.dtype)
    return saving.eight_bits(pixels)


def _from_file(path: Path, engine: Engine) -> Style:
    if path.suffix == SUFFIX:
        return read(path)
    if not path.is_file():
        raise StyleError(f"{path}: no such file; give a picture, a .style file or a name of `upbrush styles`")
    name = "".join(letter if letter.isprintable() else "?" for letter in path.name)[:MOST_WORD_LENGTH]
    return make([plain_pixels(picture.read(path))], engine, Path(name).stem.strip() or name, source=name)


def _from_words(text: str, engine: Engine, model_dir: Path, own: Mapping[str, Style] | None) -> Style:
    drawn = RANDOM.fullmatch(text)
    if drawn:  # without a seed every draw is another, and the name tells how to get it again
        return random(int(drawn[1]) if drawn[1] else secrets.randbelow(2**32), model_dir)
    names = {path.stem: path for path in _library_files(model_dir)}
    slug = slug_of(text)
    if slug in names:
        return read(names[slug])
    if own and slug in own:
        return own[slug]
    if own is None and _is_file(text):
        return _from_file(Path(text), engine)
    parts = [_part(part) for part in text.split(",")]
    if len(parts) > 1:
        if any(not part for part, _ in parts):
            raise StyleError(f"blend {text!r}: expected styles with weights, as in monet:0.7,klimt:0.3")
        return blend([(resolve(part, engine, model_dir, own=own), weight) for part, weight in parts])
    if parts[0][0] != text:
        raise StyleError(f"style {text!r}: a blend names two styles or more; for a weaker style lower the strength")
    if own is None and (Path(text).suffix or "/" in text or os.sep in text):
        raise StyleError(f"{text}: no such file; give a picture, a .style file or a name of `upbrush styles`")
    near = difflib.get_close_matches(slug, [*names, *(own or {})], 3, 0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`upbrush styles` lists the names"
    raise StyleError(f"no style is called {text!r}; {hint}")


def slug_of(text: str) -> str:
    """The name that words are looked up by: "Van  Gogh" and van_gogh are van-gogh."""
    return re.sub(r"[\s_]+", "-", text).casefold()


def _part(text: str) -> tuple[str, float]:
    """Split "monet:0.7" and "random:7:0.5"; what has no weight counts as 1."""
    if RANDOM.fullmatch(text.strip()):
        return text.strip(), 1.0
    spec, colon, weight = text.strip().rpartition(":")
    try:
        return (spec.strip(), float(weight)) if colon else (weight, 1.0)
    except ValueError:  # the colon belongs to a path
        return text.strip(), 1.0


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a path can be, or with a null byte
        return False


def _library_files(model_dir: Path | None) -> list[Path]:
    return sorted(((model_dir or MODEL_DIR) / "library").glob(f"*{SUFFIX}"))


def _joined(words: Iterable[str]) -> str:
    text = ", ".join(dict.fromkeys(word for word in words if word))
    return text if len(text) <= MOST_WORD_LENGTH else text[: MOST_WORD_LENGTH - 1] + "…"


def _from_fields(fields: Any, path: str) -> Style:
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise StyleError(f"{path}: is not a style file; expected one of `upbrush style make`")
    version = fields.get("version")
    if not isinstance(version, int) or version < 1:
        raise StyleError(f"{path}: version is {version!r}, expected {VERSION}; make it again")
    if version > VERSION:
        raise StyleError(f"{path}: is of version {version}, this upbrush reads {VERSION}; update upbrush")
    words = {}
    for key in ("model", "name", "artist", "source", "licence"):
        words[key] = fields.get(key, "")
        if not isinstance(words[key], str):
            raise StyleError(f"{path}: {key} is {words[key]!r}, expected text; make it again")
    try:
        code = base64.b64decode(fields["code"], validate=True)
        shown = base64.b64decode(fields["preview"], validate=True) if fields.get("preview") else None
        if len(code) != 4 * CODE_SIZE:
            raise StyleError(f"{path}: the code has {len(code)} bytes, expected {4 * CODE_SIZE}; make it again")
        mods = base64.b64decode(fields.get("mods") or "", validate=True)
        if shown and max(Image.open(io.BytesIO(shown), formats=("WEBP", "JPEG", "PNG")).size) > 8 * PREVIEW_PX:
            raise StyleError(f"{path}: the preview is larger than {8 * PREVIEW_PX} pixels; make it again")
        both = np.concatenate([np.frombuffer(code, "<f4"), np.frombuffer(mods, "<f2").astype(np.float32)])
        return replace(Style(code=both, **words), preview=shown)
    except (KeyError, TypeError, ValueError, OSError, Image.DecompressionBombError) as error:
        raise StyleError(f"{path}: code or preview is damaged ({error}); make it again") from None
    except StyleError as error:
        text = str(error)
        raise StyleError(text if text.startswith(path) else f"{path}: {text}") from None
