"""What travels beside the pixels: EXIF, XMP, the colour profile, and the note of how a picture was made.

Kept is what describes the photograph: camera, time, place, author, caption. Dropped is what describes the old file:
its strips and compression, its orientation (applied to the pixels), its thumbnail (which shows another picture).
"""

import json
import logging
import math
import re
import struct
from collections.abc import Mapping

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

logger = logging.getLogger(__name__)

ORIENTATION, SOFTWARE, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x0112, 0x0131, 0x011A, 0x011B, 0x0128
EXIF_IFD, GPS_IFD, INTEROP_IFD, MAKER_NOTE = 0x8769, 0x8825, 0xA005, 0x927C
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003
NOTE_START = "upbrush "  # the Software tag starts so, and a JSON object follows
UNREADABLE = (  # what Pillow raises for metadata that is damaged
    *(OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, EOFError),
    *(ZeroDivisionError, RuntimeError, struct.error),
)

# The tags of a picture's first directory that describe the photograph; EXIF and GPS directories are kept whole.
_DESCRIPTIVE = {
    *(0x010E, 0x010F, 0x0110, SOFTWARE, 0x0132, 0x013B, 0x013C, 0x8298),  # caption, camera, time, author, rights
    *(0x4746, 0x4749, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),  # stars, and the title and keywords of Windows
}


def orientation(image: Image.Image) -> int:
    """How a picture that Pillow opened is to be turned, 1 to 8 as in EXIF; 1 is upright."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except UNREADABLE:
        return 1
    return found if found in range(1, 9) else 1


def read_exif(image: Image.Image) -> bytes | None:
    """The EXIF to keep, without orientation, of a picture that Pillow opened.

    Damaged EXIF is dropped and logged: it is no reason to refuse the picture.
    """
    try:
        source, kept = image.getexif(), Image.Exif()
        for tag in _DESCRIPTIVE & set(source):
            kept[tag] = _raw(source[tag])
        for tag in (EXIF_IFD, GPS_IFD):
            values = {key: _raw(value) for key, value in source.get_ifd(tag).items() if key != INTEROP_IFD}
            if values:
                kept[tag] = values
        return kept.tobytes() if len(kept) else None
    except UNREADABLE as error:
        logger.warning("the EXIF is damaged and left out (%s)", error)
        return None


def _raw(value: object) -> object:
    """A text as the bytes that were in the file. Pillow reads them as Latin-1, but writes "?" for what is not ASCII."""
    return value.encode("latin-1") if isinstance(value, str) and not value.isascii() else value


def read_dpi(image: Image.Image) -> tuple[float, float] | None:
    """Dots per inch across and down, where the picture says them and they make sense."""
    found = image.info.get("dpi")
    try:
        if found is None:
            exif = image.getexif()
            inch = 2.54 if exif.get(RESOLUTION_UNIT) == 3 else 1.0
            found = (exif[X_RESOLUTION] * inch, exif[Y_RESOLUTION] * inch)
        across, down = round(float(found[0]), 2), round(float(found[1]), 2)
    except UNREADABLE:
        return None
    # 1 x 1 is what files say that mean "square pixels"; a PNG holds no more than 32 bits
    return (across, down) if all(math.isfinite(x) and 1 < x < 1e5 for x in (across, down)) else None


def read_xmp(image: Image.Image) -> bytes | None:
    """The XMP packet, its orientation reset."""
    xmp = image.info.get("xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    if not isinstance(xmp, bytes) or not xmp:
        return None
    return re.sub(rb"(tiff:Orientation\s*(?:=\s*[\"']|>\s*))[2-8]", rb"\g<1>1", xmp)


def resized_xmp(xmp: bytes | None, across: float, down: float) -> bytes | None:
    """The XMP of a picture that became so many times wider and higher.

    What it says of a panorama's pixels (GPano) is brought along, or viewers would not open the picture as one.
    """
    if xmp is None:
        return None

    def grown(found: re.Match[bytes]) -> bytes:
        times = across if found[2] in (b"Width", b"Left") else down
        return found[1] + str(round(int(found[3]) * times)).encode()

    name = rb"GPano:(?:FullPano|CroppedArea(?:Image)?)(Width|Height|Left|Top)Pixels"
    return re.sub(rb"(" + name + rb"\s*(?:=\s*[\"']|>\s*))(\d+)", grown, xmp)


def profile_space(icc: bytes | None) -> str | None:
    """The colour space that a profile is for, such as "RGB", "GRAY" or "CMYK"; None for what is no profile."""
    if not isinstance(icc, bytes) or len(icc) < 132 or icc[36:40] != b"acsp":
        return None
    return icc[16:20].decode("latin-1").strip()


def exif_to_write(
    exif: bytes | None, size: tuple[int, int], dpi: tuple[float, float] | None, note: Mapping[str, str] | None
) -> dict[int, object]:
    """The directory of an output: the kept EXIF with the new size, the resolution and the note.

    size: (width, height). Returns tag -> value, the EXIF and GPS directories as nested dicts.
    """
    tags: dict[int, object] = {}
    if exif:
        source = Image.Exif()
        source.load(exif)
        tags = {tag: _raw(source[tag]) for tag in source if tag not in (EXIF_IFD, GPS_IFD)}
        for tag in (EXIF_IFD, GPS_IFD):
            if values := source.get_ifd(tag):
                tags[tag] = {key: _raw(value) for key, value in values.items()}
    inner = tags.get(EXIF_IFD)
    if isinstance(inner, dict):
        inner |= {tag: side for tag, side in zip((PIXEL_WIDTH, PIXEL_HEIGHT), size, strict=True) if tag in inner}
    if dpi:
        tags |= {X_RESOLUTION: dpi[0], Y_RESOLUTION: dpi[1], RESOLUTION_UNIT: 2}
    if note:
        tags[SOFTWARE] = NOTE_START + json.dumps(dict(note))  # ASCII, as EXIF wants
    return tags


def exif_bytes(tags: Mapping[int, object], limit: int | None = None) -> bytes:
    """Pack a directory, with Exif's own six bytes in front; b"" for an empty one.

    limit: the most bytes the format holds. What does not fit goes, the camera maker's private notes first, the note
    of how the picture was made last.
    """
    inner = tags.get(EXIF_IFD)
    bare = {key: value for key, value in inner.items() if key != MAKER_NOTE} if isinstance(inner, dict) else {}
    for attempt in (dict(tags), {**tags, EXIF_IFD: bare}, {SOFTWARE: tags.get(SOFTWARE, "upbrush")}):
        exif = Image.Exif()
        for tag, value in attempt.items():
            if value != {}:
                exif[tag] = value
        packed = exif.tobytes() if len(exif) else b""
        if limit is None or len(packed) <= limit:
            return packed
        logger.warning("the EXIF is %d bytes, the format holds %d: part of it is left out", len(packed), limit)
    return b""


def tiff_directory(tags: Mapping[int, object]) -> ImageFileDirectory_v2:
    """The same directory as the start of a TIFF file."""
    directory = ImageFileDirectory_v2(prefix=b"II")
    for tag, value in tags.items():
        directory[tag] = value
    return directory


def parse_note(software: object) -> dict[str, str]:
    """The note in a Software tag; empty for a picture that was made by something else."""
    if not isinstance(software, str) or not software.startswith(NOTE_START):
        return {}
    try:
        note = json.loads(software[len(NOTE_START) :].rstrip("\0 "))
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in note.items()} if isinstance(note, dict) else {}
