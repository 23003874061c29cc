"""Samples into picture files: the formats that can be written, their limits, and files that are whole or not there.

Every format written here keeps EXIF, XMP and the colour profile; those that cannot (BMP, GIF, PPM…) are left to other
tools, so that nothing is ever lost by the choice of a suffix but alpha in JPEG and the bits that a format has not.
"""

import io
import logging
import os
import secrets
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from PIL import Image, PngImagePlugin

from upbrush import metadata, sixteen
from upbrush.errors import PictureError
from upbrush.opening import register_heif

logger = logging.getLogger(__name__)

JPEG_SEGMENT = 65533  # the most bytes that one piece of a JPEG's metadata has
XMP_KEY = "XML:com.adobe.xmp"


@dataclass(frozen=True)
class Format:
    """What a file format holds."""

    suffixes: tuple[str, ...]
    most_px: int  # a side
    alpha: bool = True
    deep: bool = False  # 16 bits
    grey: bool = False


FORMATS = {
    "PNG": Format((".png",), 2**31 - 1, deep=True, grey=True),
    "JPEG": Format((".jpg", ".jpeg", ".jpe", ".jfif"), 65500, alpha=False, grey=True),
    "WEBP": Format((".webp",), 16383),
    "TIFF": Format((".tif", ".tiff"), 2**31 - 1, deep=True, grey=True),
    "AVIF": Format((".avif",), 65536),
    "HEIF": Format((".heic", ".heif"), 16384),
}


@dataclass(frozen=True, eq=False)
class Content:
    """What is to be written. samples: (H, W, 1…4) uint8 or uint16, alpha last. tags: the EXIF directory."""

    samples: np.ndarray
    tags: Mapping[int, object]
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None


def writable_suffixes() -> list[str]:
    """The suffixes that can be written here: AVIF and HEIC depend on what is installed."""
    Image.init()
    register_heif()
    return [suffix for name, kind in FORMATS.items() if name in Image.SAVE for suffix in kind.suffixes]


def format_name(name: str) -> str:
    """The format for a suffix or a format's name, such as ".jpg" or "png". Raises PictureError for an unknown one."""
    wanted = name.lower().lstrip(".")
    known = writable_suffixes()
    for format, kind in FORMATS.items():
        if wanted == format.lower() or f".{wanted}" in kind.suffixes:
            if kind.suffixes[0] in known:
                return format
            break
    found = f"cannot write {wanted!r} files" if wanted else "there is no suffix to tell the format"
    raise PictureError(f"{found}; expected one of {', '.join(known)}")


def encode(file: IO[bytes], format: str, content: Content, quality: int) -> None:
    """Write `content` in one of FORMATS, brought to what the format holds; what is given up is logged.

    quality: 1 to 100, for the formats that lose. Raises PictureError where a side is too long for the format, and what
    Pillow raises.
    """
    kind = FORMATS[format]
    height, width = content.samples.shape[:2]
    if max(height, width) > kind.most_px:
        raise PictureError(
            f"{width}x{height} is too large for {format}, at most {kind.most_px} a side; use PNG or TIFF"
        )
    samples = _held(content.samples, format, kind)
    space = "GRAY" if samples.shape[2] < 3 else "RGB"
    icc = content.icc if metadata.profile_space(content.icc) == space else None
    if content.icc and not icc:
        logger.warning("the colour profile is for %s and left out", metadata.profile_space(content.icc))
    if format == "TIFF":
        directory = metadata.tiff_directory(content.tags)
        for tag, value in ((34675, icc), (700, content.xmp)):
            if value:
                directory[tag] = value
        sixteen.write_tiff(file, samples, directory)
    elif samples.dtype == np.uint16:
        sixteen.write_png(file, samples, _png_chunks(content, icc))
    else:
        image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
        image.save(cast("IO[bytes]", _NoDescriptor(file)), format, **_options(format, content, icc, quality))


def _held(samples: np.ndarray, format: str, kind: Format) -> np.ndarray:
    """The samples as the format can hold them."""
    channels = samples.shape[2]
    if channels in (2, 4) and not kind.alpha:
        logger.warning("%s has no transparency: laid on white", format)
        samples, channels = _on_white(samples), channels - 1
    if samples.dtype == np.uint16 and not kind.deep:
        logger.info("%s has 8 bits a channel: rounded from 16", format)
        samples = eight_bits(samples)
    if channels < 3 and (not kind.grey or (format == "TIFF" and channels == 2 and samples.dtype == np.uint16)):
        # Formats that have no grey; and grey + alpha TIFF at 16 bits, which Pillow could not read again.
        return np.dstack((*[samples[..., :1]] * 3, samples[..., 1:]))
    return samples


def _on_white(samples: np.ndarray) -> np.ndarray:
    top = np.iinfo(samples.dtype).max
    laid = samples[..., :-1].copy()
    for channel in range(laid.shape[2]):  # one at a time, so that the wider numbers stay few
        alpha = samples[..., -1].astype(np.uint64 if top > 255 else np.uint32)
        laid[..., channel] = (alpha * laid[..., channel] + (top - alpha) * top + top // 2) // top
    return laid


def eight_bits(samples: np.ndarray) -> np.ndarray:
    """Bring uint16 samples to uint8, rounded; uint8 is given back as it is."""
    if samples.dtype == np.uint8:
        return samples
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 / 255 is 257


def _options(format: str, content: Content, icc: bytes | None, quality: int) -> dict[str, Any]:
    """What Pillow's `save` is told."""
    limit = JPEG_SEGMENT if format == "JPEG" else None
    options: dict[str, Any] = {"exif": metadata.exif_bytes(content.tags, limit), "icc_profile": icc}
    if content.dpi:
        options["dpi"] = content.dpi
    xmp = content.xmp
    if xmp and limit and len(xmp) > limit - 29:  # the name in front takes 29
        logger.warning("the XMP is too large for JPEG and left out")
        xmp = None
    if format == "PNG":
        text = PngImagePlugin.PngInfo()
        if xmp:
            text.add_itxt(XMP_KEY, xmp.decode("utf-8", "replace"))
        if metadata.SOFTWARE in content.tags:
            text.add_text("Software", str(content.tags[metadata.SOFTWARE]))
        # Behind PNG's filters runs are all there is to find in a painting: looking for repetitions, too, takes twice
        # to five times as long and gives files as large.
        return options | {"pnginfo": text, "compress_level": 1, "compress_type": zlib.Z_RLE}
    if xmp:
        options["xmp"] = xmp
    if format == "JPEG":
        return options | {"quality": quality, "subsampling": "4:4:4"}
    if format == "AVIF":
        return options | {"quality": quality, "subsampling": "4:4:4"}
    return options | {"quality": quality}


def _png_chunks(content: Content, icc: bytes | None) -> list[tuple[bytes, bytes]]:
    chunks = []
    if icc:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    if content.dpi:
        per_metre = [round(side / 0.0254) for side in content.dpi]
        chunks.append((b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if exif := metadata.exif_bytes(content.tags):
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    if metadata.SOFTWARE in content.tags:
        chunks.append((b"tEXt", b"Software\0" + str(content.tags[metadata.SOFTWARE]).encode("latin-1", "replace")))
    if content.xmp:
        chunks.append((b"iTXt", XMP_KEY.encode() + b"\0\0\0\0\0" + content.xmp))
    return chunks


class _NoDescriptor:
    """A file without its number.

    Given a number Pillow writes past Python, and does not notice when a disk that runs full takes half of a write.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.write, self.seek, self.tell, self.flush = file.write, file.seek, file.tell, file.flush


def store(target: Path, save: Callable[[IO[bytes]], None], overwrite: bool) -> None:
    """Have `save` write a file that is whole or not there: under another name beside it, renamed when done.

    Raises PictureError where the file is there already and may not be overwritten, or cannot be written.
    """
    if target.is_symlink():
        target = target.resolve()  # renaming would replace the link and not what it points to
    if target.exists() and not target.is_file():
        raise PictureError(f"{target}: is a folder or a device; expected the name of a file")
    if target.exists() and not overwrite:
        raise PictureError(f"{target}: is there already; choose another name or allow it to be overwritten")
    part = target.with_name(f".{process_tag()}-{secrets.token_hex(4)}.part")
    try:
        try:
            with open(part, "xb") as file:
                save(file)
            if target.exists() and not overwrite:  # has come while we were painting
                raise PictureError(f"{target}: is there already; choose another name or allow it to be overwritten")
            os.replace(part, target)
        except BaseException:  # Ctrl-C too: nothing half-written stays
            part.unlink(missing_ok=True)
            raise
    except FileNotFoundError:
        raise PictureError(f"{target}: its folder does not exist; make {target.parent} first") from None
    except FAILURES as error:
        raise PictureError(failure(str(target), error)) from None


def send(stream: IO[bytes], name: str, save: Callable[[IO[bytes]], None]) -> None:
    """Have `save` write to memory and send the whole to a stream, which need not be able to go back.

    Raises PictureError where it cannot be made or sent.
    """
    try:
        whole = io.BytesIO()
        save(whole)
        stream.write(whole.getbuffer())
        stream.flush()
    except FAILURES as error:
        raise PictureError(failure(name, error)) from None


FAILURES = (OSError, ValueError, TypeError, KeyError, struct.error, OverflowError, RuntimeError)


def failure(name: str, error: BaseException) -> str:
    """One line on why a picture was not written."""
    found = reason(error)
    return f"{name}: cannot be written ({found}); make room, check the permissions or choose another place or format"


def reason(error: BaseException) -> str:
    """What an error says, in one line; of the system's, without its number."""
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


@cache
def process_tag() -> str:
    """Begins the names of this process's unfinished files, so that whoever sees it killed can remove them."""
    return secrets.token_hex(6)
