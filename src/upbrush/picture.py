"""Pictures between files and arrays: whatever Pillow reads comes in, and nothing that matters is lost on the way out.

Kept: orientation (applied once), alpha, grey, 16 bits, EXIF, XMP, resolution and the colour profile. The numbers stay
in the space of their profile, which is written beside them again: a picture in Adobe RGB comes out in Adobe RGB, and
what is restored is not also shifted by two conversions. Only CMYK and Lab, which nobody paints in, become sRGB.
"""

import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, final

import numpy as np
from PIL import Image, ImageCms

from upbrush import metadata, saving, sixteen
from upbrush.errors import ConfigError, PictureError
from upbrush.opening import opened, pillow_limited, refuse_films, source_name, translated

logger = logging.getLogger(__name__)

MAX_PIXELS = 100_000_000  # more comes out at above 1.6 gigapixels
_PLAIN = {"1": "L", "L": "L", "La": "LA", "LA": "LA", "RGBX": "RGB", "RGB": "RGB", "RGBa": "RGBA", "RGBA": "RGBA"}
_CONVERTED = {"YCbCr": "RGB", "HSV": "RGB", "PA": "RGBA"}


@final
@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in memory, upright.

    pixels: (H, W, 3) uint8 or uint16 RGB, in the space of `icc`. alpha: (H, W) of the same dtype, 0 is transparent, or
    None. grey: was grey in its file and is written so; its three channels are equal. exif: packed EXIF without
    orientation. icc: a colour profile; None means sRGB. xmp: a packet. dpi: dots per inch across and down.
    Raises PictureError for arrays of another kind.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] != 3 or 0 in shape or dtype not in (np.uint8, np.uint16):
            raise PictureError(f"pixels are {shape} {dtype}; expected (H, W, 3) uint8 or uint16, not empty")
        if self.alpha is not None and (self.alpha.shape != shape[:2] or self.alpha.dtype != dtype):
            raise PictureError(f"alpha is {self.alpha.shape} {self.alpha.dtype}; expected {shape[:2]} {dtype}")

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def samples(self) -> np.ndarray:
        """The channels that the picture really has, alpha last: (H, W, 1 | 2 | 3 | 4)."""
        colour = self.pixels[..., :1] if self.grey else self.pixels
        return colour if self.alpha is None else np.dstack((colour, self.alpha))


def read(
    source: Path | str | bytes | IO[bytes], *, max_pixels: int = MAX_PIXELS, formats: tuple[str, ...] | None = None
) -> Picture:
    """Read a picture from a file, from bytes or from an open binary file.

    max_pixels: the most pixels it may have, looked at before anything is decoded. formats: which of Pillow's are
    tried, by default all.
    Raises PictureError for a file that is missing, damaged, too large, not a picture, or a film.
    """
    with opened(source, max_pixels, formats) as (file, image):
        refuse_films(image)
        return _taken(image, file)


def read_note(source: Path | str | bytes | IO[bytes]) -> dict[str, str]:
    """How a picture was made, as `write` stored it: model, style, knobs. Empty for a picture from elsewhere.

    Reads no pixels, so any size is fine. Raises PictureError for what is of no format that `write` writes.
    """
    with opened(source, None, tuple(saving.FORMATS)) as (_, image):
        if image.format == "PNG":  # whose getexif would decode the pixels, in search of EXIF behind them
            return metadata.parse_note(image.info.get("Software"))
        return metadata.parse_note(image.getexif().get(metadata.SOFTWARE))


def write(
    picture: Picture,
    target: Path | str | IO[bytes],
    *,
    note: Mapping[str, str] | None = None,
    overwrite: bool = False,
    format: str | None = None,
    quality: int = 95,
) -> None:
    """Write a picture with all that it carries, whole or not at all.

    target: a path, or a binary stream, for which `format` says what to write. note: how the picture was made, for
    `read_note`. overwrite: whether a file that is there may be replaced. format: "png", "jpeg", "webp", "tiff",
    "avif", "heic" (with the plugin) or a suffix, by default the path's own. quality: 1 to 100, for the formats that
    lose. Transparency is laid on white for JPEG, and 16 bits become 8 where the format has no more: both are logged.
    Raises PictureError for an unknown suffix, a file that is there, a full disk and a folder that may not be written;
    ConfigError for a quality out of range.
    """
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise ConfigError(f"quality {quality!r} is not a whole number in 1…100: 95 is usual")
    name = source_name(target)
    try:
        kind = saving.format_name(format or Path(name).suffix)
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from None
    size = (picture.width, picture.height)
    tags = metadata.exif_to_write(picture.exif, size, picture.dpi, note)
    content = saving.Content(picture.samples, tags, picture.icc, picture.xmp, picture.dpi)
    if isinstance(target, str | Path):
        saving.store(Path(target), lambda file: saving.encode(file, kind, content, quality), overwrite)
    else:
        saving.send(target, name, lambda file: saving.encode(file, kind, content, quality))


def from_image(image: Image.Image) -> Picture:
    """Take a Pillow image, with what it carries. The image is left as it is.

    Raises PictureError for a film, and for modes that hold no picture.
    """
    with translated("the image"), pillow_limited(Image.MAX_IMAGE_PIXELS):
        refuse_films(image)
        return _taken(image, None)


def from_array(array: np.ndarray) -> Picture:
    """Take an array: (H, W) is grey, (H, W, 3) RGB, (H, W, 4) RGB and alpha; uint8 or uint16.

    Floats are refused: whether 1.0 or 255 is white cannot be seen from them. Raises PictureError.
    """
    array = np.asarray(array)
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise PictureError(f"the array is {array.shape}; expected (H, W), (H, W, 3) or (H, W, 4), not empty")
    if array.dtype.kind != "u" or array.itemsize > 2:
        hint = "; with 1 as white, make it so by (255 * x).round().astype('uint8')" if array.dtype.kind == "f" else ""
        raise PictureError(f"the array is {array.dtype}; expected uint8 or uint16{hint}")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.ndim == 2:
        return Picture(_tripled(array), grey=True)
    return Picture(array[..., :3], array[..., 3] if array.shape[2] == 4 else None)


def to_array(picture: Picture) -> np.ndarray:
    """The other way: (H, W), (H, W, 3) or (H, W, 4). Grey with alpha becomes (H, W, 4)."""
    if picture.alpha is not None:
        return np.dstack((picture.pixels, picture.alpha))
    return np.ascontiguousarray(picture.pixels[..., 0]) if picture.grey else picture.pixels


def to_image(picture: Picture) -> Image.Image:
    """A Pillow image: L, LA, RGB or RGBA, with EXIF, profile and resolution in its `info`.

    16 bits stay for grey without alpha (mode I;16) and become 8 otherwise, for which Pillow has no mode.
    """
    samples = picture.samples
    if samples.shape[2] > 1:
        samples = saving.eight_bits(samples)
    image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    kept = {"exif": picture.exif, "icc_profile": picture.icc, "xmp": picture.xmp, "dpi": picture.dpi}
    image.info |= {key: value for key, value in kept.items() if value is not None}
    return image


def is_neutral(pixels: np.ndarray) -> bool:
    """Are the three channels equal everywhere? pixels: (H, W, 3)."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return np.array_equal(red[:1], green[:1]) and np.array_equal(red, green) and np.array_equal(green, blue)


def _taken(image: Image.Image, file: IO[bytes] | None) -> Picture:
    """Everything of an opened image. file: what it was opened from, for the bits that Pillow leaves."""
    # Before anything is loaded: loading forgets how the pixels are stored, and closes what metadata is read from.
    deep = file is not None and sixteen.is_deep(image)
    if image.format == "PNG":  # its getexif loads, and would call the EXIF damaged where the pixels are cut short
        image.load()
    on_its_side, exif = metadata.orientation(image) > 4, metadata.read_exif(image)
    icc, dpi = image.info.get("icc_profile"), metadata.read_dpi(image)
    if file is not None and deep:
        image.load()  # for its checksums, and the metadata behind the pixels
        arrays = _split(sixteen.read(file, image), image.info.get("transparency"))
    else:
        arrays = _decoded(image, icc)
    if metadata.profile_space(icc) not in ("RGB", "GRAY") or image.mode in ("CMYK", "LAB"):
        icc = None
    if dpi and on_its_side:
        dpi = dpi[::-1]
    picture = Picture(*arrays, exif=exif, icc=icc, xmp=metadata.read_xmp(image), dpi=dpi)
    # Asked again, because for TIFF and HEIC loading has applied it already.
    return _upright(picture, metadata.orientation(image))


def _decoded(image: Image.Image, icc: bytes | None) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """(pixels, alpha, grey) of an image of any mode."""
    image.load()
    mode, key = image.mode, image.info.get("transparency")
    if mode.startswith("I"):
        return _split(_sixteen_grey(image)[..., None], key)
    if mode == "P":
        pixels, alpha, _ = _split(np.asarray(image.convert("RGBA" if key is not None else "RGB")), None)
        return pixels, alpha, is_neutral(pixels)
    if mode in ("CMYK", "LAB"):
        return _split(np.asarray(_in_srgb(image, icc)), None)
    wanted = _PLAIN.get(mode) or _CONVERTED.get(mode)
    if wanted is None:
        raise PictureError(f"holds numbers of Pillow's mode {mode}, not a picture; save it at 8 or 16 bits a channel")
    samples = np.asarray(image if mode == wanted else image.convert(wanted))
    return _split(samples if samples.ndim == 3 else samples[..., None], key)


def _split(samples: np.ndarray, key: object) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """(pixels, alpha, grey) of (H, W, 1…4) samples. key: the colour that a PNG declares to be transparent."""
    channels = samples.shape[2]
    grey = channels < 3
    pixels = _tripled(samples[..., 0]) if grey else np.ascontiguousarray(samples[..., :3])
    alpha = np.ascontiguousarray(samples[..., -1]) if channels in (2, 4) else None
    if alpha is None and isinstance(key, int | tuple):
        opaque = (pixels != np.array(key)).any(2)
        alpha = np.where(opaque, np.iinfo(samples.dtype).max, 0).astype(samples.dtype)
    return pixels, alpha, grey


def _sixteen_grey(image: Any) -> np.ndarray:
    values = np.asarray(image)
    if image.mode == "I" and (values.min() < 0 or values.max() > 65535):
        raise PictureError(f"holds whole numbers from {values.min()} to {values.max()}; save it at 8 or 16 bits")
    values = values.astype(np.uint16)
    tags = getattr(image, "tag_v2", {})
    if tags.get(258) == (12,):
        values = (values.astype(np.uint32) * 65535 // 4095).astype(np.uint16)
    return ~values if tags.get(262) == 0 else values  # TIFF's "white is zero", which Pillow minds at 8 bits only


def _in_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    source: Any = ImageCms.createProfile("LAB") if image.mode == "LAB" else None
    if icc is not None and metadata.profile_space(icc) == image.mode:
        source = io.BytesIO(icc)
    if source is None:
        return image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except ImageCms.PyCMSError as error:
        logger.warning("the colour profile cannot be used (%s); converted without it", error)
        return image.convert("RGB")
    assert converted is not None  # None is for inPlace only
    return converted


def _tripled(plane: np.ndarray) -> np.ndarray:
    return np.repeat(plane[..., None], 3, axis=2)


def _upright(picture: Picture, orientation: int) -> Picture:
    """Apply EXIF's orientation, 1 to 8, to the arrays."""
    if orientation == 1:
        return picture

    def turned(array: np.ndarray) -> np.ndarray:
        if orientation in (5, 6, 7, 8):
            array = array.swapaxes(0, 1)
        rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
        columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
        return np.ascontiguousarray(array[rows, columns])

    alpha = None if picture.alpha is None else turned(picture.alpha)
    return replace(picture, pixels=turned(picture.pixels), alpha=alpha)
