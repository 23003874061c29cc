"""What the service paints is what the Painter paints, byte for byte, and what cannot be done is told in its words."""

import io

import numpy as np
import pytest
import web_service
from PIL import Image
from web_service import encoded, png

from upbrush import picture, styles
from upbrush.engine import open_engine
from upbrush.errors import UpbrushError
from upbrush.explain import heat, invention
from upbrush.knobs import Knobs
from upbrush.painter import Painter
from upbrush.web.work import reduced


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def client(folder):
    with web_service.running(web_service.settings(folder, workers=1)) as client:
        yield client


@pytest.fixture(scope="module")
def painter(client, folder):
    return Painter(open_engine(model_dir=folder / "model", threads=1), memory="100MB")


def paint(client, content, path="/v1/paint", files=(), **fields):
    sent = [("picture", ("../../etc/a.png", content)), *files]
    return client.post(path, files=sent, data={key: str(value) for key, value in fields.items()})


def local(painter, content, style=None, strength=None, format="png", quality=95, **knobs):
    chosen = None if style is None else styles.resolve(style, painter.engine, own={})
    knobs = Knobs(chosen, (1.0 if strength is None else strength) if chosen else 0.0, **knobs)
    file = io.BytesIO()
    painted = knobs.paint(painter, picture.read(content), None)
    picture.write(painted, file, note=knobs.note(painter.engine.identity), format=format, quality=quality)
    return file.getvalue()


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"style": "monet"},
        {"style": "Van Gogh", "strength": 0.4, "fidelity": 1.0},
        {"style": "monet:.7,klimt:.3", "keep_colours": True},
        {"style": "random:7", "scale": 2.5},
        {"style": "klimt", "size": "long:100", "wrap": True},
        {"size": "70x40", "fidelity": 0.0, "format": "jpeg", "quality": 60},
        {"style": "monet", "format": "webp", "quality": 80, "stereo": "side"},
    ],
    ids=str,
)
def test_paints_as_the_painter_does(client, painter, draw, knobs):
    content = png(draw(32, 44), exif=Image.Exif())
    answer = paint(client, content, **knobs)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == f"image/{knobs.get('format', 'png')}"
    assert answer.content == local(painter, content, **knobs)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert answer.headers["upbrush-size"] == f"{image.width}x{image.height}"
        assert picture.read_note(answer.content)["software"].startswith("upbrush")


def test_what_a_picture_carries_is_kept(client, draw):
    exif = Image.Exif()
    exif[0x013B] = "somebody"
    content = encoded(draw(20, 30), "JPEG", exif=exif, dpi=(300, 300))
    with Image.open(io.BytesIO(paint(client, content, style="monet").content)) as image:
        assert image.getexif()[0x013B] == "somebody"
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_sixteen_bits_stay(client, draw):
    file = io.BytesIO()
    picture.write(picture.from_array(draw(20, 24, np.uint16)), file, format="png")
    assert picture.read(paint(client, file.getvalue()).content).pixels.dtype == np.uint16


def test_random_says_what_it_drew(client, painter, draw):
    content = png(draw(16, 16))
    answer = paint(client, content, style="random")
    drawn = answer.headers["upbrush-style"].replace("%3A", ":")
    assert drawn.startswith("random:")
    assert answer.content == local(painter, content, style=drawn)


def test_a_style_may_be_pictures_or_a_file(client, painter, draw):
    content, looks = png(draw(24, 24)), [draw(40, 50, seed=1), 255 - draw(50, 40, seed=2)]
    mean = styles.make(looks, painter.engine, "pictures")
    sent = [("style_picture", ("x", png(look))) for look in looks]
    answer = paint(client, content, files=sent)
    assert answer.content == local(painter, content, style=mean)
    assert paint(client, content, files=sent).content == answer.content  # from what is remembered
    kept = [("style_file", ("x", styles.dumps(mean)))]
    assert paint(client, content, files=kept).content == answer.content


def test_a_preview_is_the_picture_made_small_first(client, painter, draw):
    content = png(draw(200, 300))
    answer = paint(client, content, style="monet", preview=64, size="long:5000")
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (64 * 4, 43 * 4)
        small = reduced(picture.read(content), 64)
        chosen = Knobs(styles.resolve("monet", painter.engine)).paint(painter, small, None)
        assert np.array_equal(np.asarray(image), chosen.pixels)
    stages = [part.split(";")[0] for part in answer.headers["server-timing"].split(", ")]
    assert stages == ["queue", "style", "read", "paint", "write"]
    assert all(float(part.split("=")[1]) >= 0 for part in answer.headers["server-timing"].split(", "))


def test_reducing_keeps_transparency_and_small_pictures(draw):
    alpha = draw(100, 50)[..., 0]
    source = picture.Picture(draw(100, 50), alpha)
    small = reduced(source, 40)
    assert small.pixels.shape == (40, 20, 3)
    assert small.alpha.shape == (40, 20)
    assert abs(float(small.alpha.mean()) - float(alpha.mean())) < 3
    assert np.array_equal(reduced(source, 100).pixels, source.pixels)


def test_the_map_of_what_was_invented(client, painter, draw):
    content = png(draw(30, 40))
    answer = paint(client, content, "/v1/invented", style="monet")
    knobs = Knobs(styles.resolve("monet", painter.engine))

    def asked(painter, source, fidelity, told):
        return Knobs(knobs.style, fidelity=fidelity).paint(painter, source, told)

    _, found = invention.examine(painter, picture.read(content), asked, 0.5)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.mode == "RGBA"
        assert np.array_equal(np.asarray(image), heat.colours(found.map, heat.fitting_top(found.map)))
    assert float(answer.headers["upbrush-invented"]) == pytest.approx(found.share(8), abs=1e-3)


@pytest.mark.parametrize("words", ["manet", "monet:x,klimt", "monet:0,klimt:0", "random:-3", "monet:.5"])
def test_a_wrong_style_is_told_in_the_painters_words(client, painter, draw, words):
    with pytest.raises(UpbrushError) as raised:
        styles.resolve(words, painter.engine, own={})
    answer = paint(client, png(draw(8, 8)), style=words)
    assert answer.status_code == 422
    assert answer.json() == {"error": {"type": "StyleError", "message": str(raised.value)}}


@pytest.mark.parametrize("words", ["/etc/passwd", "../x.style", "C:\\x.png", "file:///etc/passwd", "http://x/y.png"])
def test_words_never_open_a_file_or_an_address(client, draw, words, folder):
    assert paint(client, png(draw(8, 8)), style=words).json()["error"]["type"] == "StyleError"
    assert "no style is called" in paint(client, png(draw(8, 8)), style=words).json()["error"]["message"]


def test_a_file_that_is_there_is_not_opened_by_words(client, draw, folder):
    style = folder / "model" / "library" / "monet.style"
    assert style.is_file()
    assert paint(client, png(draw(8, 8)), style=str(style)).status_code == 422


@pytest.mark.parametrize(
    ("fields", "status", "kind", "words"),
    [
        ({"strength": 1.5}, 422, "RequestError", "strength: "),
        ({"strength": "nan"}, 422, "RequestError", "strength: "),
        ({"fidelity": "x"}, 422, "RequestError", "fidelity: "),
        ({"scale": 17}, 422, "RequestError", "scale: "),
        ({"size": "big"}, 422, "ConfigError", "expected 3000x2000, long:3000"),
        ({"size": "long:90", "scale": 2}, 422, "ConfigError", "are both given"),
        ({"format": "gif"}, 422, "RequestError", "format: "),
        ({"quality": 0}, 422, "RequestError", "quality: "),
        ({"preview": 4000}, 422, "RequestError", "preview: "),
        ({"style": "m" * 400}, 422, "RequestError", "style: "),
        ({"stereo": "up"}, 422, "RequestError", "stereo: "),
    ],
    ids=str,
)
def test_knobs_out_of_range(client, draw, fields, status, kind, words):
    answer = paint(client, png(draw(8, 8)), **fields)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert words in answer.json()["error"]["message"]
    assert "\n" not in answer.json()["error"]["message"]


def test_two_styles_at_once_are_refused(client, draw):
    look = [("style_picture", ("x", png(draw(9, 9))))]
    answer = paint(client, png(draw(8, 8)), files=look, style="monet")
    assert answer.status_code == 422
    assert "style and style_picture are given together" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [(b"", 415, "is empty"), (b"hello, world", 415, "is none of PNG"), (b"%PDF-1.7 x", 415, "is none of PNG")],
)
def test_what_is_no_picture(client, content, status, words):
    answer = paint(client, content)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "PictureError"
    assert words in answer.json()["error"]["message"]


def test_a_damaged_picture(client, draw):
    content = png(draw(60, 60))
    answer = paint(client, content[: len(content) // 2])
    assert answer.status_code == 422
    assert "damaged or cut short" in answer.json()["error"]["message"]


def test_what_a_service_tells_about_itself(client):
    about = client.get("/v1").json()
    assert about["limits"]["pixels"] == web_service.SMALL.pixels
    assert about["scale"] == 4
    assert set(about["formats"]["out"]) == {"png", "jpeg", "webp"}
    assert client.get("/healthz").json() == {"ok": True}


def test_metrics_count_and_tell_nothing_of_anybody(client, draw):
    paint(client, png(draw(8, 8)), style="klimt")
    paint(client, b"secret-words-of-mine")
    text = client.get("/metrics").text
    assert 'upbrush_requests_total{method="POST",path="/v1/paint",status="200"}' in text
    assert 'upbrush_stage_seconds_bucket{kind="paint",le="0.01",stage="paint"}' in text
    assert 'upbrush_refused_total{error="PictureError"}' in text
    assert "upbrush_workers 1.0" in text
    client.request("FROBNICATE", "/v1")
    assert "FROB" not in client.get("/metrics").text  # a client cannot make counters
    assert not any(word in text for word in ("klimt", "127.0.0.1", "secret"))
