"""Open a picture file as far as its header, safely: limits, refusals, and errors that name the file.

Nothing is decoded here; what is too large or no picture is refused before that.
"""

import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from PIL import Image, ImageCms, UnidentifiedImageError

from upbrush import metadata
from upbrush.errors import PictureError

# Formats whose several frames are a film or a document, and not layers, thumbnails or a second view.
_FILMS = {"GIF": "GIF", "PNG": "PNG", "WEBP": "WebP", "AVIF": "AVIF", "FLI": "FLIC"}
# EPS would be handed to Ghostscript, a program that runs what is in the file.
_REFUSED = {"EPS": "is EPS, a program that draws", "PDF": "is PDF, a document", "WMF": "is WMF, a drawing"}
_pillow_lock = threading.RLock()


@contextmanager
def opened(
    source: Path | str | bytes | IO[bytes], max_pixels: int | None, formats: tuple[str, ...] | None = None
) -> Iterator[tuple[BinaryIO, Image.Image]]:
    """Open a picture as far as its header: (file, image), both closed at the end.

    max_pixels: the most pixels it may have; None takes any. formats: which of Pillow's to try, by default all. Raises
    PictureError, also for what goes wrong with the image inside the `with`.
    """
    name = source_name(source)
    with translated(name), _stream(source) as file, pillow_limited(max_pixels), _identified(file, formats) as image:
        yield file, image


@contextmanager
def pillow_limited(max_pixels: int | None) -> Iterator[None]:
    """Have Pillow enforce our limit instead of its own, and keep its warnings to itself.

    It looks at the size in the header before anything is decoded, and again at what is inside icons. Both are settings
    of the whole process, so one thread at a time has them.
    """
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            found = re.search(r"\d+", str(error))
            raise PictureError(
                f"has {found[0] if found else 'too many'} pixels, more than the limit of {max_pixels}; cut or shrink "
                "it first, or in Python read it with more max_pixels"
            ) from None
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn what Pillow raises for damaged and hostile files into PictureErrors that name the file."""
    try:
        yield
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from None
    except FileNotFoundError:
        raise PictureError(f"{name}: not found; expected a picture file") from None
    except PermissionError:
        raise PictureError(f"{name}: may not be read; change its permissions") from None
    except MemoryError:
        raise PictureError(f"{name}: too large for this machine's memory; cut or shrink it first") from None
    except (*metadata.UNREADABLE, ImageCms.PyCMSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(f"{name}: damaged or cut short ({reason}); get or save it anew") from None


def refuse_films(image: Any) -> None:
    """Raise PictureError for an animation and for a document of several pages; layers and phones' extras are fine."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format in _FILMS:
        raise PictureError(
            f"is an animated {_FILMS[image.format]} of {frames} frames; `upbrush video` paints it, "
            "and one picture of it, saved, is painted here"
        )
    if frames > 1 and image.format == "TIFF":
        pages = 0
        for frame in range(frames):
            image.seek(frame)
            pages += not image.tag_v2.get(254, 0) & 5  # smaller copies of a page, and masks, do not count
        image.seek(0)
        if pages > 1:
            raise PictureError(f"is a TIFF of {pages} pages; save the one to paint as a file of its own")


@contextmanager
def _stream(source: Path | str | bytes | IO[bytes]) -> Iterator[BinaryIO]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source)
    elif isinstance(source, str | Path):
        if Path(source).is_dir():
            raise PictureError("is a folder; expected a picture file")
        with open(source, "rb") as file:
            yield file
    else:
        data = source.read()  # read whole: pipes cannot go back, and Pillow must
        if not isinstance(data, bytes):
            raise PictureError("gives text; open it in binary mode")
        yield io.BytesIO(data)


def _identified(file: BinaryIO, formats: tuple[str, ...] | None) -> Image.Image:
    start = file.read(16)
    if not start:
        raise PictureError("is empty (0 bytes); expected a picture")
    if start[4:8] == b"ftyp":
        register_heif()
    file.seek(0)
    try:
        image = Image.open(file, formats=formats)
    except UnidentifiedImageError:
        if formats is not None:
            raise PictureError(f"is none of {', '.join(formats)}, or damaged from the start") from None
        if start[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1"):
            raise PictureError("is HEIC, which needs a plugin; pip install pillow-heif") from None
        shown = "".join(chr(b) if 32 <= b < 127 else "·" for b in start[:12])
        raise PictureError(
            f"is not a picture, or damaged from the start (it begins with {shown!r}); expected PNG, JPEG, WebP, TIFF…"
        ) from None
    if image.format in _REFUSED:
        raise PictureError(f"{_REFUSED[image.format]}; save it as PNG first")
    return image


def readable(formats: tuple[str, ...]) -> tuple[str, ...]:
    """Those of Pillow's formats that can be read here: HEIF depends on what is installed."""
    Image.init()
    register_heif()
    return tuple(name for name in formats if name in Image.OPEN)


def register_heif() -> bool:
    """Teach Pillow HEIC where the pillow-heif plugin is installed; tells whether it is."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def source_name(source: object) -> str:
    """What to call a source or a target in messages."""
    if isinstance(source, str | Path):
        return str(source)
    name = str(getattr(source, "name", ""))
    return {"": "the picture", "<stdin>": "standard input", "<stdout>": "standard output"}.get(name, name)
