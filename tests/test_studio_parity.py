"""The studio's JavaScript against the Python it repeats: the same numbers, the same pixels."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from browsing import CHROMIUM, chromium
from PIL import Image
from studio_site import array, hosted, script, text
from tiny_model import write_library

from upbrush import picture, sizes, styles, tiles, views
from upbrush.alpha import enlarged, spread
from upbrush.engine import FILES, MODEL_DIR, open_engine
from upbrush.errors import ConfigError
from upbrush.explain import heat, invention
from upbrush.painter import Painter
from upbrush.web import static

pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"there is no browser at {CHROMIUM}")

IMITATED_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
MODEL_IS_HERE = all((MODEL_DIR / f"{name}.onnx").is_file() for name in FILES)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = write_library(tmp_path_factory.mktemp("model"))
    monet = styles.read(folder / "library" / "monet.style")
    code = np.append(monet.code, np.float32([0.06, -0.05, 0.04, 0, 0]))
    styles.write(replace(monet, name="Fitted", code=code), folder / "library" / "fitted.style")
    return folder


@pytest.fixture(scope="module")
def browser():
    with chromium(*IMITATED_GPU) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory, browser, tiny):
    folder = tmp_path_factory.mktemp("site") / "out"
    static.write(folder, tiny)
    with hosted(folder) as address:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(address)
        yield page


def noise(height, width, channels=3, dtype=np.uint8, seed=0):
    """Noise over a slope: detail, and something that resampling can get wrong at the edges."""
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    slope = np.linspace(0, top * 0.6, width)[None, :, None]
    return (slope + rng.random((height, width, channels)) * top * 0.4).astype(dtype)


def test_random_styles_are_numpys(page):
    seeds = [0, 1, 7, 2**31, 2**32 - 1, 2**32, 123456789012345678, *range(100, 130)]
    body = """
      const { nearNormal } = await load("draws");
      return Promise.all(given.map((seed) => back(nearNormal(2000, BigInt(seed)))));
    """
    drawn = page.evaluate(script(body), [str(seed) for seed in seeds])
    for seed, words in zip(seeds, drawn, strict=True):
        np.testing.assert_array_equal(array(words, "<f4", 2000), styles._near_normal((2000,), seed), str(seed))


def test_sizes_are_the_same(page):
    cases = [
        (width, height, scale, size)
        for width, height in ((640, 480), (333, 77), (1, 9), (51, 50))
        for scale, size in [(None, None), (1, None), (2.5, None), (3.33, None), (16, None), (17, None), (0.5, None)]
        + [(None, f"{kind}{px}") for kind in ("long:", "short:") for px in (7, 100, 333)]
        + [(None, "fit:300x200"), (None, "100x50"), (None, "fit:9 x 9"), (None, "0x3"), (None, "big"), (2, "long:10")]
    ]
    body = """
      const { targetSize } = await load("sizes");
      return given.map((words) => { try { return targetSize(...words); } catch (error) { return error.type; } });
    """

    def answer(case):
        try:
            return list(sizes.target_size(*case))
        except ConfigError:
            return "ConfigError"

    assert page.evaluate(script(body), cases) == [answer(case) for case in cases]


def test_tiles_are_the_same(page):
    cases = [(h, w, t, o) for h in (1, 40, 97, 256) for w in (33, 130) for t in (40, 64, 97) for o in (0, 2, 15)]
    body = 'const { cut } = await load("tiles"); return given.map((words) => cut(...words));'
    for case, found in zip(cases, page.evaluate(script(body), cases), strict=True):
        expected = [{"outer": vars(one.outer), "inner": vars(one.inner)} for one in tiles.cut(*case)]
        assert found == expected


@pytest.mark.parametrize(("height", "width", "dtype"), [(5, 9, "u1"), (61, 83, "u1"), (200, 31, "u2"), (64, 96, "u1")])
def test_thumbnails_are_the_same(page, height, width, dtype):
    pixels = noise(height, width, dtype=np.dtype(dtype))
    body = """
      const { thumbnail } = await load("views");
      const Kind = given.deep ? Uint16Array : Uint8Array;
      return back(thumbnail(typed(given.pixels, Kind), given.width, given.height));
    """
    given = {"pixels": text(pixels), "width": width, "height": height, "deep": dtype == "u2"}
    found = array(page.evaluate(script(body), given), "<f4", 6, 32, 32)
    np.testing.assert_allclose(found, views.thumbnail(pixels), atol=2e-6)


@pytest.mark.parametrize(("height", "width"), [(300, 200), (100, 777), (257, 400), (40, 30), (900, 120)])
def test_style_views_are_the_same_bytes(page, height, width):
    pixels = noise(height, width)
    body = """
      const { styleView } = await load("views");
      const view = styleView(bytes(given.pixels), given.width, given.height);
      return [view.width, view.height, await back(view.pixels)];
    """
    across, down, words = page.evaluate(script(body), {"pixels": text(pixels), "width": width, "height": height})
    from upbrush.engine import _without_ends

    expected = views.style_view(_without_ends(pixels))
    np.testing.assert_array_equal(array(words, "u1", down, across, 3), expected)


def test_transparency_is_the_same(page):
    pixels, alpha = noise(37, 53), noise(37, 53, 1, seed=3)[..., 0]
    alpha[5:20, 10:40] = 0
    alpha[30:, :20] = 255
    body = """
      const { spread, enlarged } = await load("alpha");
      const alpha = bytes(given.alpha);
      const large = enlarged(alpha, 53, 37, 131, 99);
      return [await back(spread(bytes(given.pixels), alpha, 53, 37)), await back(large)];
    """
    filled, large = page.evaluate(script(body), {"pixels": text(pixels), "alpha": text(alpha)})
    close(array(filled, "u1", 37, 53, 3), spread(pixels, alpha), 1)
    close(array(large, "u1", 99, 131), enlarged(alpha, 99, 131), 1)


def close(found, expected, levels):
    """No sample is further away than so many levels."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    gap = np.abs(found.astype(int) - expected.astype(int)).max()
    assert gap <= levels, f"{gap} levels apart"


PAINT = """
  globalThis.painting ??= worker();
  const { call } = globalThis.painting;
  if (!globalThis.opened) await call("open", { folder: new URL("model/", document.baseURI).href, gpu: false });
  globalThis.opened = true;
  const told = [];
  const file = new Blob([bytes(given.file)], { type: given.type });
  const done = await call(given.call ?? "paint", { format: "png", quality: 95, ...given, file }, told);
  return { ...done, blob: await back(done.blob), told };
"""
PLAIN = {"style": None, "strength": 1, "fidelity": 0.5, "keepColours": False, "scale": None, "size": None}


def painted(page, file, **knobs):
    """Paint a file in the page: (Picture, the words of the answer)."""
    how = {key: knobs.pop(key) for key in ("format", "quality", "type", "call") if key in knobs}
    answer = page.evaluate(script(PAINT), {"file": text(file), "knobs": {**PLAIN, **knobs}, **how})
    return base64.b64decode(answer["blob"]), answer


def stored(source, format="png", **how):
    out = io.BytesIO()
    picture.write(source, out, format=format, **how)
    return out.getvalue()


KNOBS = [
    {},
    {"fidelity": 0.1, "scale": 2},
    {"style": "monet", "strength": 0.7, "size": "long:130"},
    {"style": "klimt:0.3,van-gogh:0.7", "keepColours": True, "scale": 3.3},
    {"style": "random:7", "strength": 0.4, "scale": 9},
    {"style": "monet:1,random:12:2", "size": "90x200"},
    {"style": "monet", "strength": 0, "scale": 1},
    {"style": "fitted", "strength": 0.8},
    {"style": "klimt:0.4,fitted:0.6"},
]


@pytest.mark.parametrize("knobs", KNOBS, ids=str)
@pytest.mark.parametrize("kind", ["rgb", "grey", "rgba", "deep", "neutral"])
def test_pixels_are_the_servers(page, tiny, kind, knobs):
    dtype = np.uint16 if kind == "deep" else np.uint8
    pixels = noise(29, 43, 1 if kind in ("grey", "neutral") else 3, dtype)
    alpha = None
    if kind == "rgba":
        alpha = noise(29, 43, 1, seed=4)[..., 0]
        alpha[3:9, 7:30] = 0
    source = picture.Picture(np.ascontiguousarray(np.broadcast_to(pixels, (29, 43, 3))), alpha, grey=kind == "grey")
    found, answer = painted(page, stored(source), **knobs)
    words = {"keep_colours" if key == "keepColours" else key: value for key, value in knobs.items()}
    expected = Painter(open_engine(model_dir=tiny)).paint(source, words.pop("style", None), **words)
    same(found, expected, 257 if kind == "deep" else 1)
    assert answer["told"][-1][0] == answer["told"][-1][1] > 0


@pytest.mark.parametrize("knobs", [{"wrap": True, "scale": 3.3}, {"wrap": True, "stereo": "over"}], ids=str)
def test_panoramas_and_two_eyes_are_the_servers(page, tiny, knobs):
    pixels, alpha = noise(36, 72), noise(36, 72, 1, seed=4)[..., 0]
    alpha[3:9, 60:] = 0
    for source in (picture.Picture(pixels, alpha), picture.Picture(pixels[:, :44])):
        for way in (knobs, knobs | {"stereo": "side", "style": "monet", "scale": 9, "strength": 0.5}):
            found, _ = painted(page, stored(source), **way)
            expected = Painter(open_engine(model_dir=tiny)).paint(source, way.get("style"), **_without_style(way))
            same(found, expected, 1)


def _without_style(way):
    return {key: value for key, value in way.items() if key != "style"}


def same(file, expected, levels):
    found = picture.read(file)
    assert found.grey == expected.grey
    close(found.pixels, expected.pixels, levels)
    if expected.alpha is not None:
        close(found.alpha, expected.alpha, levels)
    assert (found.alpha is None) == (expected.alpha is None)


def test_pngs_are_read_as_stored(page):
    body = """
      const { read } = await load("files");
      const found = await read(new Blob([bytes(given)], { type: "image/png" }));
      const alpha = found.alpha && (await back(found.alpha));
      return [found.pixels.BYTES_PER_ELEMENT, found.grey, await back(found.pixels), alpha];
    """
    for mode, dtype in (("L", "u1"), ("LA", "u1"), ("RGB", "u1"), ("RGBA", "u1"), ("P", "u1"), ("1", "u1")):
        image = Image.fromarray(noise(31, 47, 4)).convert(mode)
        out = io.BytesIO()
        image.save(out, "PNG")
        width, grey, pixels, alpha = page.evaluate(script(body), text(out.getvalue()))
        expected = picture.read(out.getvalue())
        assert width == 1
        np.testing.assert_array_equal(array(pixels, dtype, 31, 47, 3), expected.pixels, mode)
        if expected.alpha is not None:
            np.testing.assert_array_equal(array(alpha, dtype, 31, 47), expected.alpha, mode)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_what_travels_beside_the_pixels_is_kept(page, tiny, format):
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a caption", 6
    exif.get_ifd(0x8769).update({0x9003: "2026:01:02 03:04:05", 0xA002: 43, 0xA003: 29, 0x829A: (1, 250)})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 30.5)})
    from PIL import ImageCms

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    out = io.BytesIO()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
    Image.fromarray(noise(29, 43)).save(out, format, exif=exif, icc_profile=icc, xmp=xmp, dpi=(240, 240), lossless=True)
    file, _ = painted(page, out.getvalue(), style="monet", strength=0.5, format=format, type=f"image/{format}")
    found, source = picture.read(file), picture.read(out.getvalue())
    assert (found.width, found.height) == (4 * source.width, 4 * source.height) == (116, 172)
    assert found.icc == source.icc
    assert found.xmp == source.xmp
    if format != "webp":
        assert found.dpi == pytest.approx(source.dpi, abs=0.1)
    tags = Image.open(io.BytesIO(file)).getexif()
    assert tags[0x010E] == "a caption"
    assert tags.get(0x0112, 1) == 1
    assert tags.get_ifd(0x8769)[0x9003] == "2026:01:02 03:04:05"
    assert tags.get_ifd(0x8769)[0xA002] == 116
    assert [float(part) for part in tags.get_ifd(0x8825)[2]] == [48.0, 12.0, 30.5]
    note = picture.read_note(file)
    assert (note["style"], note["strength"], note["fidelity"], note["model"]) == ("Monet", "0.5", "0.5", "tiny-0")


def test_a_stop_is_heard_between_tiles(page):
    body = """
      const { call, one } = worker();
      await call("open", { folder: new URL("model/", document.baseURI).href, gpu: false });
      const file = new Blob([bytes(given.file)]);
      one.addEventListener("message", ({ data }) => data.done === 1 && one.postMessage({ id: data.id, stop: true }));
      const knobs = { ...given.knobs };
      return call("paint", { file, knobs, format: "png", quality: 95 }).then(() => "done", (error) => error.message);
    """
    file = stored(picture.Picture(noise(300, 600)))
    assert "AbortError" in page.evaluate(script(body), {"file": text(file), "knobs": PLAIN})


def test_a_fitted_style_file_holds_the_same_numbers(page, tiny, tmp_path):
    rng = np.random.default_rng(8)
    mods = np.float32(np.float16(np.append(rng.normal(0, [0.1] * 40 + [1e-6] * 20 + [300] * 4), [0, -0.0, 65504])))
    styles.write(styles.Style("Mine", np.append(rng.normal(0, 1, 256), mods), "tiny-0"), tmp_path / "mine.style")
    body = """
      const { numbersOf } = await load("styles");
      return back(numbersOf(JSON.parse(given)));
    """
    found = array(page.evaluate(script(body), (tmp_path / "mine.style").read_text()), "<f4", 256 + len(mods))
    np.testing.assert_array_equal(found, styles.read(tmp_path / "mine.style").code)


def test_own_pictures_make_the_same_code(page, tiny):
    first, second = noise(80, 300), noise(300, 90, seed=5)
    body = """
      const { call } = worker();
      await call("open", { folder: new URL("model/", document.baseURI).href, gpu: false });
      return call("encode", { files: given.map((file) => new Blob([bytes(file)])) });
    """
    words = page.evaluate(script(body), [text(stored(picture.Picture(one))) for one in (first, second)])
    expected = styles.make([first, second], open_engine(model_dir=tiny), "both")
    np.testing.assert_allclose(array(words, "<f4", 256), expected.code, atol=1e-5)


def test_the_map_of_what_was_invented_is_the_same(page, tiny):
    source = picture.Picture(noise(21, 34), noise(21, 34, 1, seed=2)[..., 0] // 2)
    knobs = {"style": "klimt", "strength": 0.6, "fidelity": 0.3}
    file, answer = painted(page, stored(source), call="invented", **knobs)
    found, expected = examined(Painter(open_engine(model_dir=tiny)), source, knobs)
    assert answer["top"] == heat.fitting_top(expected.map)
    assert answer["share"] == pytest.approx(expected.share(8), abs=0.02)
    layer = picture.read(file)
    wanted = heat.colours(expected.map, answer["top"])
    close(layer.alpha, wanted[..., 3], 3)
    close(layer.pixels, wanted[..., :3], 3)


def examined(painter, source, knobs):
    def paint(one, picture, fidelity, told):
        words = {**knobs, "fidelity": fidelity, "style": style}
        return one.paint(picture, words.pop("style"), **words, progress=told)

    style = styles.resolve(knobs["style"], painter.engine)
    return invention.examine(painter, source, paint, knobs["fidelity"])


@pytest.fixture(scope="module")
def shipped(tmp_path_factory, browser):
    """A page with the shipped model."""
    folder = tmp_path_factory.mktemp("shipped") / "out"
    static.write(folder)
    with hosted(folder) as address:
        page = browser.new_page()
        page.goto(address)
        yield page


@pytest.mark.slow
@pytest.mark.skipif(not MODEL_IS_HERE, reason="the shipped model is not in src/upbrush/model")
@pytest.mark.parametrize(
    ("size", "knobs"),
    [
        ((48, 61), {}),
        ((61, 48), {"style": "random:7", "scale": 3}),
        ((33, 90), {"style": "random:3:0.4,random:4:0.6", "strength": 0.6, "keepColours": True, "size": "long:201"}),
        ((31, 300), {"style": "random:9", "fidelity": 0, "scale": 2}),  # two tiles
        ((20, 24), {"style": "random:11", "scale": 6}),  # two enlargements
        ((1, 30), {"style": "random:5"}),  # nothing to mirror beyond two borders
        ((30, 1), {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_pixels_of_the_shipped_model_are_the_servers(shipped, size, knobs, format):
    """Within 2 of 255, whatever the browser decoded: the promise of the studio."""
    file = stored(picture.Picture(photograph(*size)), format, quality=90)
    found, _ = painted(shipped, file, type=f"image/{format}", **knobs)
    words = {"keep_colours" if key == "keepColours" else key: value for key, value in knobs.items()}
    same(found, Painter().paint(picture.read(file), words.pop("style", None), **words), 2)


def photograph(height, width):
    """Something like a photograph: smooth, with edges, and a little noise."""
    rows, columns = np.mgrid[0:height, 0:width]
    shape = np.stack([np.sin(rows / 9) + columns / width, np.cos(columns / 7), (rows + columns) // 13 % 2], -1)
    shape = shape + np.random.default_rng(1).normal(0, 0.05, shape.shape)
    return np.clip(255 * (shape - shape.min()) / np.ptp(shape), 0, 255).astype(np.uint8)


@pytest.mark.slow
def test_a_graphics_processor_paints_the_same(tmp_path, tiny, browser):
    """WebGPU as Chromium imitates it on a CPU: the same binary, with promises."""
    static.write(tmp_path / "out", tiny)
    body = """
      const { call } = worker();
      const folder = new URL("model/", document.baseURI).href;
      const { provider } = await call("open", { folder, gpu: given.gpu });
      const file = new Blob([bytes(given.file)]);
      const done = await call("paint", { file, knobs: given.knobs, format: "png", quality: 95 });
      return [provider, await back(done.blob)];
    """
    given = {"file": text(stored(picture.Picture(noise(30, 41)))), "knobs": {**PLAIN, "style": "klimt"}}
    with hosted(tmp_path / "out") as address:
        page = browser.new_page()
        page.goto(address)
        (quick, one), (plain, other) = (
            page.evaluate(script(body), {**given, "gpu": gpu}) for gpu in ("imitated", False)
        )
    if quick != "webgpu":
        pytest.skip("this Chromium imitates no graphics processor")
    assert plain == "wasm"
    close(picture.read(base64.b64decode(one)).pixels, picture.read(base64.b64decode(other)).pixels, 1)
