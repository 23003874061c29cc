"""Whatever is sent, the service answers with a word and goes on: mutated pictures, mutated requests."""

import io
import random
import struct
import zlib

import httpx
import hypothesis
import numpy as np
import pytest
import schemathesis
import web_service
from PIL import Image, ImageCms
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from web_service import png

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
EVIL = [
    b"\xff" * 4,
    b"\0" * 4,
    struct.pack(">I", 2**31 - 1),
    struct.pack("<I", 60_000),
    b"\x7f\xff",
    b"\xff\xd8\xff\xe1",
]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with web_service.running(web_service.settings(tmp_path_factory.mktemp("service"), workers=1)) as client:
        yield client


def seeds(draw):
    """Small pictures of every format that is taken, with what such files carry."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "words " * 20
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image, found = Image.fromarray(draw(24, 31)), []
    alpha = image.convert("RGBA")
    alpha.putalpha(image.getchannel(0))
    deep = Image.fromarray(draw(24, 31, np.uint16)[..., 0])
    kinds = [
        (image, "PNG", {"exif": exif, "icc_profile": icc}), (alpha, "PNG", {}), (deep, "PNG", {}),
        (image.convert("P"), "PNG", {"transparency": 3}), (image, "JPEG", {"exif": exif, "icc_profile": icc}),
        (image, "JPEG", {"progressive": True, "dpi": (72, 72)}), (image.convert("CMYK"), "JPEG", {}),
        (alpha, "WEBP", {"exif": exif}), (image, "WEBP", {"lossless": True}), (deep, "TIFF", {}),
        (image, "TIFF", {"compression": "tiff_lzw"}), (image, "TIFF", {"compression": "jpeg"}),
        (image, "BMP", {}), (image, "GIF", {}), (image, "PPM", {}), (image, "AVIF", {}),
    ]  # fmt: skip
    for one, format, words in kinds:
        file = io.BytesIO()
        one.save(file, format, **words)
        found.append(file.getvalue())
    return found + bombs()


def bombs():
    """Files of a few bytes that would fill memory or disk: by their size, by their pixels, by their words."""

    def png(width, height, *chunks):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
        told = [
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in parts
        ]
        return b"\x89PNG\r\n\x1a\n" + b"".join(told)

    zeros = zlib.compress(bytes(30_000_000), 9)
    logical_screen = struct.pack("<HHBBB", 60_000, 60_000, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x02\x02\x4c\x01\x00;"
    return [
        png(60_000, 60_000, (b"IDAT", zeros)),  # refused by its header
        png(700, 800, (b"IDAT", zeros)),  # fits, and holds twenty times what it says
        png(24, 31, (b"zTXt", b"words\0\0" + zeros), (b"IDAT", zlib.compress(bytes(31 * 73)))),
        png(24, 31, (b"iCCP", b"profile\0\0" + zeros), (b"IDAT", zlib.compress(bytes(31 * 73)))),
        b"GIF89a" + logical_screen + frame,
        b"P6 60000 60000 255 " + bytes(100),
    ]


def mutated(content, rng):
    """A file after an accident, or after somebody's work."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(data))
        if rng.random() < 0.5:  # headers decide most
            place = rng.randrange(min(len(data), 64))
        match rng.randrange(6):
            case 0:
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                data[place] = rng.randrange(256)
            case 2:
                del data[place + 1 :]
            case 3:
                evil = rng.choice(EVIL)
                data[place : place + len(evil)] = evil
            case 4:
                data[place:place] = data[place // 2 : place]
            case 5:
                del data[place : place + rng.randrange(1, 9)]
        if not data:
            data += b"\0"
    return bytes(data)


@pytest.mark.parametrize("count", [32, pytest.param(500, marks=pytest.mark.slow)])
def test_mutated_pictures_are_painted_or_refused(client, draw, count):
    rng, kept, statuses = random.Random(count), seeds(draw), set()
    for number in range(count):
        content = mutated(kept[number % len(kept)], rng)
        role = "style_picture" if number % 7 == 6 else "picture"
        files = {role: content} | ({} if role == "picture" else {"picture": png(draw(8, 8))})
        answer = client.post("/v1/paint", files=files, data={"scale": "1"})
        assert answer.status_code in (200, 413, 415, 422), f"{number}: {answer.status_code} {answer.text[:300]}"
        statuses.add(answer.status_code)
        if answer.status_code != 200:
            error = answer.json()["error"]
            assert error["type"] in ("PictureError", "LimitError", "StyleError"), f"{number}: {error}"
            assert "\n" not in error["message"]
    assert {200, 415, 422} <= statuses  # some survive, some are refused by their header, some while they are decoded
    assert client.post("/v1/paint", files={"picture": png(draw(8, 8))}).status_code == 200


@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_mutated_style_files_are_used_or_refused(client, draw, count):
    rng = random.Random(count)
    kept = client.get("/v1/styles/monet").content
    for number in range(count):
        files = {"picture": png(draw(8, 8)), "style_file": mutated(kept, rng)}
        answer = client.post("/v1/paint", files=files, data={"scale": "1"})
        assert answer.status_code in (200, 422), f"{number}: {answer.text[:300]}"


@pytest.mark.parametrize("examples", [1, pytest.param(100, marks=pytest.mark.slow)])
def test_requests_made_up_from_the_document(client, examples):
    """By schemathesis: every operation of the OpenAPI document, with what fits it and what does not."""
    schema = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(
            max_examples=examples, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        def check(case):
            case.call_and_validate(checks=CHECKS, timeout=60)

        check()
        tried += 1
    assert tried >= 18
    assert httpx.get(f"{client.base_url}/readyz").status_code == 200
