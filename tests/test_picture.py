"""Pictures in and out of files: what is kept, what is refused, and that files are whole or not there."""

import contextlib
import errno
import io
import os
import resource
import struct
import sys
import types
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from upbrush import metadata, opening, picture, saving
from upbrush.errors import ConfigError, PictureError
from upbrush.picture import Picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NOTE = {"model": "abc123", "style": "Žižka & 墨", "strength": "0.8"}
HERE = {suffix[1:] for suffix in saving.writable_suffixes()}  # AVIF depends on the Pillow
LOSSLESS, LOSSY = ("png", "tiff"), tuple(sorted({"jpeg", "webp", "avif"} & HERE))


def saved(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def written(pic, format="png", **options):
    file = io.BytesIO()
    picture.write(pic, file, format=format, **options)
    return file.getvalue()


def grey_profile():
    """As much of a grey profile as anyone looks at here: a header that says so."""
    profile = bytearray(132)
    profile[16:20], profile[36:40] = b"GRAY", b"acsp"
    return bytes(profile)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(header, data, *chunks):
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_png(samples, *chunks, interlaced=False):
    """A 16-bit PNG by hand, unfiltered: (H, W, 1…4) uint16."""
    height, width, channels = samples.shape
    passes = [(0, 0, 1, 1)]
    if interlaced:  # Adam7: (first row, first column, step down, step across)
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [samples[top::down, left::across] for top, left, down, across in passes]
    data = b"".join(b"\0" + row.astype(">u2").tobytes() for part in parts if part.size for row in part)
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return png(struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, interlaced), data, *chunks)


def undone_png(data):
    """Decode a 16-bit PNG by the letter of its specification: (H, W, channels) uint16, and the filters used."""
    width, height, depth, colour_type = struct.unpack(">IIBB", data[16:26])
    assert depth == 16
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[colour_type]
    at, stream = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        content = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + content)
        stream += content if kind == b"IDAT" else b""
        at += 12 + length
    rows, step, filters = zlib.decompress(stream), 2 * channels, set()
    above, out = [0] * (width * step), []
    for y in range(height):
        start = y * (width * step + 1)
        kind, row = rows[start], []
        filters.add(kind)
        for x, rest in enumerate(rows[start + 1 : start + 1 + width * step]):
            a, c = (row[x - step], above[x - step]) if x >= step else (0, 0)
            b = above[x]
            nearest = min((a, b, c), key=lambda v, p=a + b - c: abs(p - v))  # min keeps the first, as PNG says
            row.append((rest + {0: 0, 1: a, 2: b, 3: (a + b) // 2, 4: nearest}[kind]) % 256)
        out.append(row)
        above = row
    return np.array(out, np.uint8).view(">u2").reshape(height, width, channels).astype(np.uint16), filters


# --- what is kept


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_formats_keep_every_sample(format, grey, has_alpha, dtype, draw):
    pixels = draw(37, 53, dtype)
    if grey:
        pixels = np.repeat(pixels[..., :1], 3, axis=2)
    alpha = draw(37, 53, dtype, seed=1)[..., 1].copy() if has_alpha else None
    back = picture.read(written(Picture(pixels, alpha, grey), format))
    assert back.pixels.dtype == dtype
    assert np.array_equal(back.pixels, pixels)
    assert (back.alpha is None) == (alpha is None)
    assert alpha is None or np.array_equal(back.alpha, alpha)
    # Grey with alpha at 16 bits goes into TIFF as RGB, because Pillow could not read it otherwise.
    assert back.grey == (grey and not (format == "tiff" and has_alpha and dtype == np.uint16))


@pytest.mark.parametrize("format", LOSSY)
@pytest.mark.parametrize("grey", [False, True])
def test_lossy_formats_come_close(format, grey, draw):
    pixels = draw(64, 80)
    if grey:
        pixels = np.repeat(pixels[..., :1], 3, axis=2)
    back = picture.read(written(Picture(pixels, grey=grey), format))
    assert np.abs(back.pixels.astype(int) - pixels).mean() < 8
    assert back.grey == (grey and format == "jpeg")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("interlaced", [False, True])
def test_deep_png_of_others_is_read_to_the_last_bit(channels, interlaced):
    samples = np.random.default_rng(channels).integers(0, 65536, (13, 9, channels), np.uint16)
    assert np.array_equal(picture.read(deep_png(samples, interlaced=interlaced)).samples, samples)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_deep_png_is_what_the_specification_says(channels, draw):
    samples = draw(24, 31, np.uint16)[..., [0, 1, 2, 0][:channels]]
    samples[12:] = np.random.default_rng(0).integers(0, 65536, samples[12:].shape, np.uint16)
    samples[5:8] = samples[5]  # equal rows want one filter, slopes another
    pic = Picture(samples[..., [0] * 3] if channels == 2 else samples[..., :3], samples[..., -1], channels == 2)
    if channels == 3:
        pic = Picture(samples)
    back, filters = undone_png(written(pic))
    assert np.array_equal(back, samples)
    assert filters == {1, 2, 4}


def test_deep_png_with_a_transparent_colour():
    samples = np.random.default_rng(0).integers(0, 65536, (5, 6, 3), np.uint16)
    key = struct.pack(">HHH", *samples[2, 3].tolist())
    back = picture.read(deep_png(samples, chunk(b"tRNS", key)))
    assert back.alpha.dtype == np.uint16
    assert np.argwhere(back.alpha == 0).tolist() == [[2, 3]]
    assert back.alpha.max() == 65535


def test_deep_tiff_of_others_is_read_to_the_last_bit():
    tifffile = pytest.importorskip("tifffile")
    rng = np.random.default_rng(0)
    for channels in (1, 3, 4):
        samples = rng.integers(0, 65536, (40, 50, channels), np.uint16)
        for order in "<>":
            for layout in ({}, {"tile": (16, 16)}, {"rowsperstrip": 7}):
                for packed in (None, "zlib"):
                    file = io.BytesIO()
                    kind = {"photometric": "minisblack" if channels == 1 else "rgb", "byteorder": order}
                    kind |= {"extrasamples": ["unassalpha"]} if channels == 4 else {}
                    tifffile.imwrite(file, samples.squeeze(), compression=packed, **kind, **layout)
                    assert np.array_equal(picture.read(file.getvalue()).samples, samples), (channels, order, layout)


def test_deep_tiff_in_other_arrangements():
    tifffile = pytest.importorskip("tifffile")
    samples = np.random.default_rng(0).integers(0, 65536, (20, 30, 4), np.uint16)
    samples[..., :3] = (samples[..., :3].astype(np.uint32) * samples[..., 3:] // 65535).astype(np.uint16)
    samples[0, 0] = 0
    for packed in (None, "zlib"):
        file = io.BytesIO()
        tifffile.imwrite(file, samples, photometric="rgb", extrasamples=["assocalpha"], compression=packed)
        back = picture.read(file.getvalue())
        assert np.array_equal(back.alpha, samples[..., 3])
        again = np.rint(back.pixels.astype(float) * samples[..., 3:] / 65535)
        assert np.abs(again - samples[..., :3]).max() <= 1
        file = io.BytesIO()
        planes = np.ascontiguousarray(samples[..., :3].transpose(2, 0, 1))
        tifffile.imwrite(file, planes, photometric="rgb", planarconfig="separate", compression=packed)
        with pytest.raises(PictureError, match="planar.*save it interleaved"):
            picture.read(file.getvalue())
    file = io.BytesIO()
    tifffile.imwrite(file, samples[..., 0], photometric="miniswhite")
    assert np.array_equal(picture.read(file.getvalue()).pixels[..., 1], 65535 - samples[..., 0])


def test_deep_tiff_is_what_others_read(draw):
    tifffile = pytest.importorskip("tifffile")
    for dtype in (np.uint8, np.uint16):
        pixels = draw(200, 1000, dtype)  # several strips
        found = tifffile.TiffFile(io.BytesIO(written(Picture(pixels, icc=SRGB, dpi=(300, 150)), "tiff"))).pages[0]
        assert found.tags["InterColorProfile"].value == SRGB
        assert found.tags["XResolution"].value == (300, 1)
        if found.tags["Predictor"].value == 2 and find_codec():
            assert np.array_equal(found.asarray(), pixels)


def find_codec():
    """Can tifffile undo the predictor here? It needs another package for it."""
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        return False
    return True


def described(format="jpeg", orientation=6):
    """A picture with EXIF of all kinds, as a camera writes it."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x010E], exif[0x0131] = orientation, "Maker", "Grüße".encode(), "Camera 1.0"
    exif[0x8769] = {0x9003: "2024:02:03 04:05:06", 0xA002: 20, 0xA003: 10, 0x829A: 0.005, 0x927C: b"private" * 9}
    exif[0x8825] = {1: "N", 2: (48.0, 12.0, 30.0)}
    image = Image.fromarray(np.arange(600, dtype=np.uint16).astype(np.uint8).reshape(10, 20, 3))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="%d" dc:title="T"/></x:xmpmeta>' % orientation
    return saved(image, format, exif=exif.tobytes(), icc_profile=SRGB, dpi=(300, 200), xmp=xmp)


@pytest.mark.parametrize("format", [*LOSSLESS, *LOSSY])
def test_metadata_survives(format):
    first = picture.read(described())
    assert first.dpi == (200, 300)  # turned by a quarter
    larger = Picture(
        first.pixels.repeat(4, 0).repeat(4, 1), exif=first.exif, icc=first.icc, xmp=first.xmp, dpi=first.dpi
    )
    data = written(larger, format, note=NOTE)
    back = picture.read(data)
    assert back.icc == SRGB
    assert back.dpi == pytest.approx((200, 300), abs=0.1)
    assert b'tiff:Orientation="1"' in back.xmp
    assert b'dc:title="T"' in back.xmp
    assert picture.read_note(data) == NOTE
    with Image.open(io.BytesIO(data)) as image:
        exif = image.getexif()
        inner, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    assert exif.get(0x0112, 1) == 1
    assert (exif[0x010F], exif[0x010E].encode("latin-1").decode()) == ("Maker", "Grüße")
    assert inner[0x9003] == "2024:02:03 04:05:06"
    assert float(inner[0x829A]) == 0.005
    assert inner[0x927C] == b"private" * 9
    assert (inner[0xA002], inner[0xA003]) == (40, 80)
    assert place[1] == "N"
    assert [float(x) for x in place[2]] == [48, 12, 30]


def test_deep_png_keeps_metadata_too(draw):
    first = picture.read(described())
    data = written(Picture(draw(9, 7, np.uint16), exif=first.exif, icc=SRGB, xmp=first.xmp, dpi=(72, 96)), note=NOTE)
    back = picture.read(data)
    assert (back.icc, back.xmp) == (SRGB, first.xmp)
    assert back.dpi == pytest.approx((72, 96), abs=0.02)
    assert picture.read_note(data) == NOTE
    assert Image.open(io.BytesIO(data)).getexif()[0x010F] == "Maker"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff"])
def test_orientation_is_applied_once(orientation, format):
    data = described(format, orientation)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    once = picture.read(data)
    assert np.array_equal(once.pixels, expected)
    twice = picture.read(written(once))
    assert np.array_equal(twice.pixels, expected)


def test_structure_of_the_old_file_is_not_carried():
    """A TIFF's own tags (strips, compression…) and a camera's thumbnail say nothing true of the new file."""
    image = Image.fromarray(np.zeros((8, 9, 3), np.uint8))
    first = picture.read(saved(image, "tiff", compression="tiff_lzw", description="a cat", dpi=(300, 300)))
    with Image.open(io.BytesIO(written(first, "jpeg"))) as back:
        assert set(back.getexif()) == {0x010E, 0x011A, 0x011B, 0x0128}


def test_damaged_exif_is_no_reason_to_refuse(caplog):
    data = saved(Image.new("RGB", (4, 4)), "jpeg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + bytes(50))
    assert picture.read(data).exif is None
    exif = bytearray(picture.read(described()).exif)
    rng = np.random.default_rng(0)
    for _ in range(60):
        broken = exif.copy()
        for at in rng.integers(6, len(exif), 6):
            broken[at] = rng.integers(256)
        pic = picture.read(saved(Image.new("RGB", (4, 4)), "jpeg", exif=bytes(broken)))
        assert picture.read_note(written(pic, "tiff", note=NOTE)) == NOTE


def test_large_exif_gives_way_in_jpeg_and_the_note_stays(caplog):
    exif = Image.Exif()
    exif[0x010F], exif[0x8769] = "Maker", {0x927C: b"x" * 70000}
    pic = Picture(np.zeros((4, 4, 3), np.uint8), exif=exif.tobytes(), xmp=b"<x>" + b" " * 70000)
    data = written(pic, "jpeg", note=NOTE)
    assert picture.read_note(data) == NOTE
    assert Image.open(io.BytesIO(data)).getexif()[0x010F] == "Maker"
    assert "left out" in caplog.text
    assert len(picture.read(written(pic, "png")).exif) > 70000


def test_profiles_go_only_where_they_fit(draw, caplog):
    grey = Picture(np.repeat(draw(8, 8)[..., :1], 3, axis=2), grey=True, icc=grey_profile())
    assert picture.read(written(grey, "png")).icc == grey_profile()
    assert picture.read(written(grey, "tiff")).icc == grey_profile()
    assert "icc_profile" not in Image.open(io.BytesIO(written(grey, "webp"))).info  # has no grey
    assert "for GRAY and left out" in caplog.text
    colour = Picture(draw(8, 8), icc=grey_profile())
    assert picture.read(written(colour, "png")).icc is None
    assert picture.read(saved(Image.new("RGB", (3, 3)), "png", icc_profile=b"no profile")).icc is None


def cmyk_profile():
    """A small CMYK profile that is wrong on purpose: more cyan ink is redder. So its use can be seen."""
    corners = [(255 - 60 * sum(inks), 128, 128) for inks in np.ndindex(2, 2, 2, 2)]
    corners[8], corners[15] = (130, 190, 160), (0, 128, 128)  # cyan alone; all inks
    ramp = bytes(range(256))
    table = (
        b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    )
    table += ramp * 4 + bytes(v for corner in corners for v in corner) + ramp * 3
    header = bytearray(128)
    header[8:24], header[36:40] = b"\x02\x10\0\0prtrCMYKLab ", b"acsp"
    header[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    body = struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table
    header[:4] = struct.pack(">I", 128 + len(body))
    return bytes(header) + body


def test_cmyk_goes_through_its_profile():
    inks = Image.merge("CMYK", [Image.new("L", (4, 4), v) for v in (255, 0, 0, 0)])
    plain = picture.read(saved(inks, "tiff"))
    assert plain.pixels[0, 0].tolist() == [0, 255, 255]
    managed = picture.read(saved(inks, "tiff", icc_profile=cmyk_profile()))
    red, green, blue = managed.pixels[0, 0].tolist()
    assert red > 150 > green
    assert managed.icc is None
    assert picture.read(saved(inks, "jpeg", quality=100)).pixels[0, 0, 0] < 10
    broken = cmyk_profile()[:140] + bytes(60)
    assert picture.read(saved(inks, "tiff", icc_profile=broken)).pixels[0, 0].tolist() == [0, 255, 255]


def test_every_mode_becomes_a_picture():
    grey = Image.linear_gradient("L").resize((8, 8))
    colour = Image.merge("RGB", (grey, grey.rotate(90), ImageOps.invert(grey)))
    see_through = colour.copy()
    see_through.putalpha(grey)
    for mode in ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"):
        source = colour.convert(mode) if mode != "LAB" else Image.merge("LAB", [grey] * 3)
        pic = picture.from_image(source)
        assert pic.alpha is None
        assert pic.grey == (mode in ("1", "L")), mode
        if mode in ("RGB", "RGBX", "P", "YCbCr", "CMYK"):
            assert np.abs(pic.pixels.astype(int) - np.asarray(colour)).mean() < 20, mode
    for mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        source = see_through.convert("RGBA").convert(mode) if mode != "La" else see_through.convert("LA").convert("La")
        pic = picture.from_image(source)
        assert np.array_equal(pic.alpha, np.asarray(source.convert("LA" if mode == "La" else "RGBA"))[..., -1]), mode
        assert pic.grey == (mode in ("LA", "La"))
    assert picture.from_image(Image.new("L", (3, 3)).convert("P")).grey


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_transparent_colour_becomes_alpha(mode):
    image = Image.new("RGB", (4, 3), (255, 255, 255))
    image.putpixel((1, 2), (0, 0, 0))
    image = image.convert(mode)
    key = image.getpixel((1, 2))
    data = saved(image, "png", transparency=key)
    for pic in (picture.read(data), picture.from_image(Image.open(io.BytesIO(data)))):
        assert np.argwhere(pic.alpha == 0).tolist() == [[2, 1]]
        assert sorted(set(pic.alpha.flat)) == [0, 255]


def test_deep_grey_in_all_its_modes():
    values = np.array([[0, 1, 256], [65535, 300, 7]], np.uint16)
    for image in (
        Image.fromarray(values),
        Image.fromarray(values.astype(np.int32)),
        Image.fromarray(values.astype(">u2")),
    ):
        pic = picture.from_image(image)
        assert pic.grey
        assert np.array_equal(pic.pixels[..., 0], values)
    assert np.array_equal(picture.read(saved(Image.fromarray(values), "png")).pixels[..., 2], values)
    assert np.array_equal(np.asarray(picture.to_image(picture.from_array(values))), values)


def test_numbers_that_are_no_picture():
    scores = np.array([[np.nan, 0.5]], np.float32)
    with pytest.raises(PictureError, match=r"mode F, not a picture; save it at 8 or 16 bits"):
        picture.read(saved(Image.fromarray(scores), "tiff"))
    with pytest.raises(PictureError, match="whole numbers from -4 to 70000"):
        picture.read(saved(Image.fromarray(np.array([[-4, 70000]], np.int32)), "tiff"))


# --- arrays and images


def test_arrays_there_and_back(draw):
    for array in (draw(5, 7), draw(5, 7)[..., 0], np.dstack((draw(5, 7), draw(5, 7)[..., 0])), draw(5, 7, np.uint16)):
        kept = array.copy()
        back = picture.to_array(picture.from_array(array))
        assert back.dtype == array.dtype
        assert np.array_equal(back, kept)
    assert np.array_equal(picture.from_array(draw(4, 4, np.uint16).astype(">u2")).pixels, draw(4, 4, np.uint16))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4, 3)), "float64; expected uint8 or uint16; with 1 as white"),
        (np.full((4, 4), np.nan, np.float32), "float32; expected uint8"),
        (np.zeros((4, 4), bool), "bool; expected"),
        (np.zeros((4, 4), np.int64), "int64; expected"),
        (np.zeros((4, 4), np.uint32), "uint32; expected"),
        (np.zeros((4, 4, 2), np.uint8), r"\(4, 4, 2\); expected \(H, W\)"),
        (np.zeros((1, 3, 4, 4), np.uint8), "expected"),
        (np.zeros(7, np.uint8), "expected"),
        (np.zeros((0, 4, 3), np.uint8), "not empty"),
    ],
)
def test_arrays_that_are_none(array, words):
    with pytest.raises(PictureError, match=words):
        picture.from_array(array)


def test_pictures_that_are_none():
    with pytest.raises(PictureError, match="pixels are"):
        Picture(np.zeros((4, 4), np.uint8))
    with pytest.raises(PictureError, match="alpha is"):
        Picture(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint16))


def test_images_there_and_back(draw):
    for channels in ((0,), (0, 1), (0, 1, 2), (0, 1, 2, 0)):
        array = draw(6, 5)[..., list(channels)].squeeze()
        image = Image.fromarray(array)
        image.info |= {"icc_profile": SRGB, "dpi": (300, 300)}
        back = picture.to_image(picture.from_image(image))
        assert back.mode == image.mode
        assert np.array_equal(np.asarray(back), array)
        assert back.info["icc_profile"] == SRGB
        assert back.info["dpi"] == (300, 300)
    deep = picture.to_image(Picture(np.full((2, 2, 3), 65535, np.uint16)))
    assert (deep.mode, deep.getpixel((0, 0))) == ("RGB", (255, 255, 255))


def test_a_lazy_image_keeps_its_exif_and_is_turned():
    pic = picture.from_image(Image.open(io.BytesIO(described())))
    assert (pic.width, pic.height) == (10, 20)
    assert picture.to_image(pic).getexif()[0x010F] == "Maker"


# --- what is refused


def animated(format):
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    return saved(frames[0], format, save_all=True, append_images=frames[1:])


def bomb(width=30_000, height=30_000):
    """A header that promises 900 million pixels, and nothing behind it."""
    return png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"")


BAD = {
    "truncated.jpg": (lambda: described()[:-60], "damaged or cut short"),
    "truncated.png": (lambda: saved(Image.effect_noise((64, 64), 50), "png")[:-900], "damaged or cut short"),
    "truncated16.png": (
        lambda: deep_png(np.random.default_rng(0).integers(0, 65536, (40, 40, 3), np.uint16))[:-900],
        "damaged or cut short",
    ),
    "truncated.tif": (lambda: saved(Image.effect_noise((64, 64), 50), "tiff")[:-900], "damaged or cut short"),
    "truncated.webp": (lambda: saved(Image.effect_noise((64, 64), 50), "webp")[:-200], "damaged or cut short"),
    "text.png": (lambda: b"Dear Sir,\nthis is a letter", "is not a picture.*begins with 'Dear Sir,·th'"),
    "empty.png": (lambda: b"", r"is empty \(0 bytes\)"),
    "bomb.png": (bomb, "has 900000000 pixels, more than the limit of 100000000"),
    "film.gif": (lambda: animated("gif"), "animated GIF of 2 frames; `upbrush video` paints it"),
    "film.png": (lambda: animated("png"), "animated PNG of 2 frames; `upbrush video` paints it"),
    "film.webp": (lambda: animated("webp"), "animated WebP of 2 frames; `upbrush video` paints it"),
    "scan.tif": (lambda: animated("tiff"), "TIFF of 2 pages; save the one to paint"),
    "figure.eps": (lambda: saved(Image.new("RGB", (4, 4)), "eps"), "is EPS, a program"),
    "photo.heic": (lambda: b"\0\0\0\x18ftypheic" + bytes(20), "is HEIC, which needs a plugin; pip install pillow-heif"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named_in_one_line(name, tmp_path):
    make, words = BAD[name]
    path = tmp_path / name
    path.write_bytes(make())
    with pytest.raises(PictureError, match=words) as caught:
        picture.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    with pytest.raises(PictureError, match=words):
        picture.read(io.BytesIO(make()))


@pytest.mark.parametrize("name", ["truncated.png", "truncated16.png"])
def test_a_picture_cut_short_is_not_blamed_on_its_exif(name, caplog):
    with pytest.raises(PictureError, match="damaged or cut short"):
        picture.read(BAD[name][0]())
    assert caplog.text == ""


def test_standard_streams_go_by_their_names():
    stream = io.BytesIO(b"")
    stream.name = "<stdin>"
    with pytest.raises(PictureError, match=r"^standard input: is empty"):
        picture.read(stream)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(PictureError, match=r"nowhere\.png: not found"):
        picture.read(tmp_path / "nowhere.png")
    with pytest.raises(PictureError, match="is a folder"):
        picture.read(str(tmp_path))
    with pytest.raises(PictureError, match="gives text"):
        picture.read(io.StringIO("words"))
    if os.geteuid():  # root may read everything
        secret = tmp_path / "secret.png"
        secret.write_bytes(described("png"))
        secret.chmod(0)
        with pytest.raises(PictureError, match="may not be read"):
            picture.read(secret)


def test_the_limit_is_ours_and_pillows_stays(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    data = saved(Image.new("RGB", (20, 10)), "png")
    assert picture.read(data).pixels.shape == (10, 20, 3)
    assert Image.MAX_IMAGE_PIXELS == 50
    with pytest.raises(PictureError, match="has 200 pixels, more than the limit of 199"):
        picture.read(data, max_pixels=199)
    assert Image.MAX_IMAGE_PIXELS == 50


def test_a_bomb_inside_an_icon_is_refused():
    """The icon's own header says 16 x 16."""
    inside = bomb()
    data = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inside), 22) + inside
    with pytest.raises(PictureError, match="pixels"):
        picture.read(data)


def test_extra_frames_that_are_no_film(draw):
    first, second = Image.fromarray(draw(9, 9)), Image.fromarray(draw(5, 5))
    both = picture.read(saved(first, "mpo", save_all=True, append_images=[second], quality=100))  # as phones write
    assert both.pixels.shape == (9, 9, 3)
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tiff:
        tiff.write(draw(9, 9), photometric="rgb")
        tiff.write(draw(5, 5), photometric="rgb", subfiletype=1)  # a smaller copy, as scanners add
    assert picture.read(file.getvalue()).pixels.shape == (9, 9, 3)


@pytest.mark.parametrize(
    "format", ["png", "png16", "jpeg", "webp", "gif", "tiff", "tiff16", "bmp", "ico", "ppm", *({"avif"} & HERE)]
)
def test_random_damage_gives_a_picture_or_a_named_error(format, draw):
    deep = format.endswith("16")
    source = Picture(draw(20, 24, np.uint16 if deep else np.uint8), exif=picture.read(described()).exif, icc=SRGB)
    if deep or format in ("png", "jpeg", "webp", "tiff", "avif"):
        data = written(source, format.removesuffix("16"), note=NOTE)
    else:
        data = saved(picture.to_image(source), format)
    rng = np.random.default_rng(7)
    for _ in range(60):
        broken = bytearray(data)
        for at in rng.integers(0, min(len(data), rng.choice([64, 10**9])), 4):
            broken[at] = rng.integers(256)
        cut = bytes(broken[: rng.integers(len(broken) // 2, len(broken) + 1)])
        with contextlib.suppress(PictureError):  # anything else fails the test, warnings too
            picture.read(cut, max_pixels=10**6)
        with contextlib.suppress(PictureError):
            picture.read_note(cut)


def test_heic_with_the_plugin(monkeypatch):
    calls = []
    plugin = types.SimpleNamespace(register_heif_opener=lambda: calls.append(1))
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    assert opening.register_heif()
    with pytest.raises(PictureError):  # this plugin reads nothing
        picture.read(BAD["photo.heic"][0]())
    assert len(calls) == 2


# --- writing


@pytest.fixture
def pic(draw):
    return Picture(draw(64, 80))


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".JPEG", ".webp", ".tif", ".TIFF", *({".avif"} if "avif" in HERE else ())]
)
def test_the_suffix_says_the_format(suffix, pic, tmp_path):
    path = tmp_path / f"out{suffix}"
    picture.write(pic, path, note=NOTE)
    assert picture.read(path).pixels.shape == pic.pixels.shape
    assert picture.read_note(str(path)) == NOTE
    assert os.listdir(tmp_path) == [path.name]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("name", ["out.xyz", "out.bmp", "out.gif", "out", "out.heic"])
def test_unknown_suffixes_list_the_known(name, pic, tmp_path):
    with pytest.raises(PictureError, match=rf"{name}: .*expected one of \.png, \.jpg, .*\.webp"):
        picture.write(pic, tmp_path / name)
    assert not os.listdir(tmp_path)


def test_streams_want_a_format(pic):
    with pytest.raises(PictureError, match="the picture: there is no suffix"):
        picture.write(pic, io.BytesIO())
    assert written(pic, ".jpg")[:2] == b"\xff\xd8"


def test_nothing_is_overwritten_unasked(pic, tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")
    with pytest.raises(PictureError, match="is there already"):
        picture.write(pic, path)
    assert path.read_bytes() == b"precious"
    picture.write(pic, path, overwrite=True)
    assert picture.read(path).width == 80


def test_nothing_is_overwritten_that_came_meanwhile(pic, tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    encode = saving.encode
    monkeypatch.setattr(saving, "encode", lambda *a: (encode(*a), path.write_bytes(b"precious")))
    with pytest.raises(PictureError, match="is there already"):
        picture.write(pic, path)
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["out.png"]


def test_places_that_cannot_be_written(pic, tmp_path):
    with pytest.raises(PictureError, match=r"its folder does not exist; make .*nowhere first"):
        picture.write(pic, tmp_path / "nowhere" / "out.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PictureError, match="is a folder or a device"):
        picture.write(pic, tmp_path / "folder.png", overwrite=True)
    with pytest.raises(PictureError, match="is a folder or a device"):
        picture.write(pic, "/dev/null", format="png", overwrite=True)
    if os.geteuid():  # root may write everywhere
        tmp_path.chmod(0o500)
        with pytest.raises(PictureError, match="Permission denied"):
            picture.write(pic, tmp_path / "out.png")
        tmp_path.chmod(0o700)


def test_a_link_is_written_through(pic, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "real" / "out.png")
    picture.write(pic, tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    assert picture.read(tmp_path / "real" / "out.png").width == 80


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.tif", "out.webp", "out16.png", "out16.tif"])
@pytest.mark.parametrize("limit", [10, 3000])
def test_a_full_disk_leaves_nothing(name, limit, tmp_path):
    dtype = np.uint16 if "16" in name else np.uint8
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3)).astype(dtype)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))  # the kernel then takes part of a write, as a disk does
    try:
        with pytest.raises(PictureError, match=rf"{name}: cannot be written \(.*\); make room"):
            picture.write(Picture(noise), tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_stream_is_named(pic):
    words = r"/dev/full: cannot be written \(No space left on device\)"
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(PictureError, match=words):
        picture.write(pic, full, format="png")


def test_a_full_disk_at_the_rename(pic, tmp_path, monkeypatch):
    def fails(*paths):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(PictureError, match="No space left on device"):
        picture.write(pic, tmp_path / "out.png")
    assert not os.listdir(tmp_path)


def test_ctrl_c_leaves_nothing(pic, tmp_path, monkeypatch):
    def stopped(file, *rest):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "encode", stopped)
    with pytest.raises(KeyboardInterrupt):
        picture.write(pic, tmp_path / "out.png")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparency_is_laid_on_white_for_jpeg(dtype, caplog):
    top = np.iinfo(dtype).max
    pixels = np.zeros((16, 16, 3), dtype)
    alpha = np.full((16, 16), top, dtype)
    alpha[:, 8:] = 0
    back = picture.read(written(Picture(pixels, alpha), "jpeg", quality=100))
    assert back.pixels[:, :7].max() < 5
    assert back.pixels[:, 9:].min() > 250
    assert "laid on white" in caplog.text
    half = saving._on_white(np.dstack((pixels, alpha // 2 + alpha % 2 * 0))[:, :1])
    assert abs(int(half[0, 0, 0]) - top / 2) <= 1


def test_sixteen_bits_are_rounded_where_there_are_eight(caplog):
    ramp = np.repeat(np.arange(0, 65536, 64, dtype=np.uint16)[None, :, None], 3, axis=2)
    expected = np.rint(ramp / 257).astype(np.uint8)
    assert np.array_equal(np.asarray(picture.to_image(Picture(ramp))), expected)
    assert saving.eight_bits(np.array([0, 128, 129, 65535], np.uint16)).tolist() == [0, 0, 1, 255]


def test_sides_that_a_format_has_not():
    long = Picture(np.zeros((1, 16384, 3), np.uint8))
    with pytest.raises(PictureError, match="16384x1 is too large for WEBP, at most 16383 a side; use PNG"):
        written(long, "webp")
    with pytest.raises(PictureError, match="too large for JPEG"):
        written(Picture(np.zeros((65501, 1, 3), np.uint8)), "jpeg")


@pytest.mark.parametrize("quality", [0, 101, -1, 50.5, True, "90"])
def test_quality_out_of_range(quality, pic):
    with pytest.raises(ConfigError, match=r"is not a whole number in 1…100"):
        written(pic, quality=quality)


def test_quality_matters(pic):
    assert len(written(pic, "jpeg", quality=30)) < len(written(pic, "jpeg", quality=95))


def test_pictures_without_a_note(pic):
    assert picture.read_note(described()) == {}
    assert picture.read_note(written(pic)) == {}
    for software in (None, 5, "upbrush", "upbrush nonsense", "upbrush [1]", 'other {"a": 1}'):
        assert metadata.parse_note(software) == {}


def test_writing_changes_nothing(pic):
    kept = pic.pixels.copy()
    for format in (*LOSSLESS, *LOSSY):
        written(pic, format, note=NOTE)
    assert np.array_equal(pic.pixels, kept)
