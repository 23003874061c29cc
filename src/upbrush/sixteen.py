"""PNG and TIFF at 16 bits a channel, which Pillow opens but brings down to 8.

Reading lets Pillow decode twice: once for the high bytes, as it always does, and once, told the other byte order, for
the low ones. So its decoders do the work, and no library beside Pillow is needed for 16-bit colour.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from upbrush.errors import PictureError

STRIPE_BYTES = 1 << 20  # compressed at a time
_SWAPPED = {"B": "L", "L": "B", "N": "B" if np.little_endian else "L"}
_PNG_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels: grey, grey + alpha, RGB, RGB + alpha


def is_deep(image: Image.Image) -> bool:
    """Would Pillow bring this picture, opened and not loaded, down from 16 bits to 8?

    It does not for grey without alpha.
    """
    if image.mode not in ("RGB", "RGBA"):
        return False
    if isinstance(image, PngImageFile):
        return any(str(tile.args).endswith(";16B") for tile in image.tile)
    return isinstance(image, TiffImageFile) and set(image.tag_v2.get(258, ())) == {16}


def read(file: IO[bytes], image: Image.Image) -> np.ndarray:
    """The samples of a picture for which `is_deep` holds: (H, W, 2 | 3 | 4) uint16, alpha last.

    file: what `image` was opened from. Raises PictureError for planar TIFF; otherwise what Pillow raises for damage.
    """
    if not isinstance(image, TiffImageFile):
        return _read_png(file, image)
    if image.tag_v2.get(284) == 2:
        raise PictureError("16-bit TIFF with its channels apart (planar); save it interleaved")
    high, low = (_read_tiff(file, swapped) for swapped in (False, True))
    samples = _joined(high, low)
    if image.tag_v2.get(338) == (1,):
        return _unpremultiplied(samples)
    return samples


def _read_png(file: IO[bytes], image: Image.Image) -> np.ndarray:
    header, data = b"", []
    file.seek(8)
    while len(start := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", start)
        if kind == b"IHDR":
            header = file.read(length)
        elif kind == b"IDAT":
            data.append(file.read(length))
        else:
            file.seek(length, 1)
        file.seek(4, 1)  # the checksum, which Pillow has looked at
    stream, interlaced = b"".join(data), header[12]
    if header[9] == _PNG_COLOUR_TYPES[2]:  # grey and alpha, two bytes each, look like 8-bit RGBA
        bytes_ = np.asarray(Image.frombytes("RGBA", image.size, stream, "zip", "RGBA", interlaced))
        return bytes_.view(">u2").astype(np.uint16)
    high = Image.frombytes(image.mode, image.size, stream, "zip", f"{image.mode};16B", interlaced)
    low = Image.frombytes(image.mode, image.size, stream, "zip", f"{image.mode};16L", interlaced)
    return _joined(np.asarray(high), np.asarray(low))


def _read_tiff(file: IO[bytes], swapped: bool) -> np.ndarray:
    file.seek(0)
    image = TiffImageFile(file)
    tiles = []
    for tile in image.tile:
        rawmode, *rest = tile.args if isinstance(tile.args, tuple) else (str(tile.args),)
        rawmode = rawmode.replace("RGBa", "RGBA")  # we divide by alpha ourselves, at 16 bits
        rawmode = rawmode[:-1] + (_SWAPPED[rawmode[-1]] if swapped else rawmode[-1])
        tiles.append(tile._replace(args=(rawmode, *rest)))
    image.tile = tiles
    return np.asarray(image)


def _joined(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    samples = high.astype(np.uint16)
    samples <<= 8
    samples |= low
    return samples


def _unpremultiplied(samples: np.ndarray) -> np.ndarray:
    alpha = np.maximum(samples[..., 3:].astype(np.uint32), 1)
    colour = (samples[..., :3] * np.uint32(65535) + alpha // 2) // alpha
    return np.concatenate((np.minimum(colour, 65535).astype(np.uint16), samples[..., 3:]), axis=2)


def write_png(file: IO[bytes], samples: np.ndarray, chunks: Iterable[tuple[bytes, bytes]]) -> None:
    """Write (H, W, 1 | 2 | 3 | 4) uint16, alpha last, as a PNG.

    chunks: (name, content) of what goes before the pixels, in order.
    """
    height, width, channels = samples.shape
    file.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOUR_TYPES[channels], 0, 0, 0)
    for kind, content in [(b"IHDR", header), *chunks]:
        _write_chunk(file, kind, content)
    packer = zlib.compressobj(level=6, strategy=zlib.Z_FILTERED)
    for stripe in _filtered_stripes(samples):
        if packed := packer.compress(stripe):
            _write_chunk(file, b"IDAT", packed)
    _write_chunk(file, b"IDAT", packer.flush())
    _write_chunk(file, b"IEND", b"")


def _write_chunk(file: IO[bytes], kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + kind)
    file.write(content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))


def _filtered_stripes(samples: np.ndarray) -> Iterator[bytes]:
    """The rows as PNG stores them: each minus a prediction, whichever of three leaves least, and its number."""
    height, width, channels = samples.shape
    step, rows_each = 2 * channels, max(1, STRIPE_BYTES // (2 * width * channels))
    above = np.zeros((1, 2 * width * channels), np.uint8)
    for top in range(0, height, rows_each):
        rows = samples[top : top + rows_each].astype(">u2", order="C")
        here = rows.view(np.uint8).reshape(len(rows), -1)
        up = np.concatenate((above, here[:-1]))
        left, corner = (np.pad(x, ((0, 0), (step, 0)))[:, :-step] for x in (here, up))
        guesses = {1: left, 2: up, 4: _paeth(left, up, corner)}
        rests = np.stack([here - guess for guess in guesses.values()])  # uint8 wraps, as PNG wants
        cost = np.minimum(rests, -rests).sum(2, dtype=np.int64)  # (3, rows)
        best = cost.argmin(0)
        numbers = np.array(list(guesses), np.uint8)[best, None]
        yield np.concatenate((numbers, rests[best, np.arange(len(here))]), axis=1).tobytes()
        above = here[-1:]


def _paeth(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """PNG's fourth prediction: of the three neighbours the one nearest to left + up - corner."""
    a, b, c = (x.astype(np.int16) for x in (left, up, corner))
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    return np.where((to_a <= to_b) & (to_a <= to_c), left, np.where(to_b <= to_c, up, corner))


def write_tiff(file: IO[bytes], samples: np.ndarray, directory: ImageFileDirectory_v2) -> None:
    """Write (H, W, 1 | 2 | 3 | 4) uint8 or uint16, alpha last, as a TIFF, deflated.

    directory: the descriptive tags. 8 bits come this way too: the TIFF library behind Pillow's compression loses the
    EXIF. Raises ValueError above the 4 GB that a TIFF holds.
    """
    height, width, channels = samples.shape
    rows_each = max(1, STRIPE_BYTES // (samples.itemsize * width * channels))
    strips = []
    for top in range(0, height, rows_each):
        rows = samples[top : top + rows_each].astype(samples.dtype.newbyteorder("<"), order="C")
        rows[:, 1:] -= rows[:, :-1].copy()  # "horizontal differencing"; unsigned numbers wrap, as TIFF wants
        strips.append(zlib.compress(rows.tobytes()))
    sizes = [len(strip) for strip in strips]
    if sum(sizes) > 0xFFF00000:
        raise ValueError("a TIFF holds at most 4 GB")
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1])).tolist()
    has_alpha = channels in (2, 4)
    tags = {256: width, 257: height, 258: (8 * samples.itemsize,) * channels, 259: 8, 262: 1 if channels < 3 else 2}
    tags |= {273: tuple(starts), 277: channels, 278: rows_each, 279: tuple(sizes), 284: 1, 317: 2}
    for tag, value in tags.items():
        if tag in (273, 279):
            directory.tagtype[tag] = 4  # 32 bits: Pillow would choose 16 before it adds where the strips begin
        directory[tag] = value
    if has_alpha:
        directory[338] = 2  # plain alpha, not multiplied into the colours
    directory.save(file)
    for strip in strips:
        file.write(strip)
