"""The laws of the architecture on the model that ships, and on photographs that scikit-image bundles."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from upbrush import Painter, styles
from upbrush.engine import FILES, MODEL_DIR, open_engine
from upbrush.photographs import are_here
from upbrush.views import thumbnail

pytestmark = pytest.mark.skipif(
    not are_here(), reason="scikit-image is not installed: its photographs are painted here"
)
SOME_STYLES = ("monet", "hokusai", "munch", "kandinsky")


def photograph(name: str, box: tuple[int, int, int, int]) -> Image.Image:
    from skimage import data

    return Image.fromarray(getattr(data, name)()).convert("RGB").crop(box)


def luma(pixels: np.ndarray) -> np.ndarray:
    return 16 + pixels.astype(np.float64) @ [65.481, 128.553, 24.966] / 255


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b)[4:-4, 4:-4] ** 2)))


def grid(pixels: np.ndarray) -> float:
    """Energy at the frequencies k/4 over their neighbours', of what a 5×5 median takes away; 1 is no grid."""
    y = luma(pixels)
    flat = Image.fromarray(y.clip(0, 255).astype(np.uint8)).filter(ImageFilter.MedianFilter(5))
    rest = y - np.asarray(flat, np.float64)
    power = np.abs(np.fft.fft2(rest * np.outer(np.hanning(len(rest)), np.hanning(rest.shape[1])))) ** 2
    height, width = power.shape
    peaks, near = [], []
    for i in (0, height // 4, height // 2):
        for j in (0, width // 4, width // 2):
            if i or j:
                block = power.take(range(i - 6, i + 7), 0, mode="wrap").take(range(j - 6, j + 7), 1, mode="wrap")
                core = block[5:8, 5:8].sum()
                peaks.append(core / 9)
                near.append((block.sum() - core) / 160)
    return float(np.mean(peaks) / np.mean(near))


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter(threads=2)


@pytest.fixture(scope="module")
def face() -> Image.Image:
    """256 pixels a side, the truth."""
    return photograph("astronaut", (96, 0, 352, 256))


@pytest.fixture(scope="module")
def low(face) -> Image.Image:
    return face.resize((64, 64), Image.Resampling.BICUBIC)


def test_the_files_keep_their_budget():
    size = sum(path.stat().st_size for path in MODEL_DIR.rglob("*") if path.is_file())
    assert size <= 12e6
    assert {f"{name}.onnx" for name in FILES} <= {path.name for path in MODEL_DIR.iterdir()}


def test_the_files_tell_no_paths():
    for name in FILES:
        content = (MODEL_DIR / f"{name}.onnx").read_bytes()
        assert b"stack_trace" not in content
        assert b".py" not in content


def test_the_library_belongs_to_the_model(painter):
    library = styles.library()
    assert len(library) >= 24
    for style in library.values():
        assert style.model == painter.engine.identity
        assert style.artist
        assert style.licence
        with Image.open(io.BytesIO(style.preview)) as preview:
            assert preview.size == (128, 128)


@pytest.mark.parametrize(
    ("name", "box", "least"),
    [
        ("astronaut", (96, 0, 352, 256), 0.7),
        ("cat", (60, 20, 316, 276), 0.4),  # a soft photograph: bicubic loses little
        ("coffee", (100, 60, 420, 380), 0.7),
    ],
)
def test_restoring_beats_bicubic_and_keeps_the_content(painter, name, box, least):
    """Fidelity 1 is nearer to the truth than bicubic by far, and made small again it is what came in."""
    truth = photograph(name, box)
    small = truth.resize((truth.width // 4, truth.height // 4), Image.Resampling.BICUBIC)
    high = painter.paint(small, fidelity=1.0)
    assert high.size == truth.size
    plain = small.resize(truth.size, Image.Resampling.BICUBIC)
    gain = psnr(luma(np.asarray(high)), luma(np.asarray(truth))) - psnr(
        luma(np.asarray(plain)), luma(np.asarray(truth))
    )
    assert gain > least
    again = np.asarray(high.resize(small.size, Image.Resampling.BICUBIC))
    assert psnr(again, np.asarray(small)) > 36
    assert np.abs(again.mean((0, 1)) - np.asarray(small).mean((0, 1))).max() < 1.5


@pytest.mark.parametrize("style", [None, *SOME_STYLES])
def test_tiled_equals_whole(face, style):
    source = face.crop((0, 0, 192, 160))
    whole = np.asarray(Painter(memory="4GB").paint(source, style), np.int16)
    tiles = []
    tiled = Painter(memory="40MB").paint(source, style, progress=lambda done, total: tiles.append(total))
    assert tiles[-1] > 3
    assert np.abs(np.asarray(tiled, np.int16) - whole).max() <= 1


@pytest.mark.parametrize("style", SOME_STYLES)
def test_strength_grows_from_restored_to_repainted(painter, low, style):
    restored = np.asarray(painter.paint(low), np.float64)
    assert np.array_equal(np.asarray(painter.paint(low, style, strength=0.0)), restored)
    distance = [
        np.abs(np.asarray(painter.paint(low, style, strength=s), np.float64) - restored).mean()
        for s in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert all(a < b for a, b in zip(distance, distance[1:], strict=False))
    assert distance[-1] > 8  # of 255: a repaint is another picture


def test_styles_differ_from_one_another(painter, low):
    painted = [np.asarray(painter.paint(low, style), np.float64) for style in SOME_STYLES]
    gaps = [np.abs(a - b).mean() for i, a in enumerate(painted) for b in painted[:i]]
    assert min(gaps) > 8


@pytest.mark.parametrize("style", [None, *SOME_STYLES])
def test_no_dot_grid(painter, low, style):
    assert grid(np.asarray(painter.paint(low, style))) <= 3


@pytest.mark.parametrize("style", [None, *SOME_STYLES])
def test_no_frame_along_the_borders(painter, low, style):
    """A flat picture is flat when painted, to its borders."""
    high = np.asarray(painter.paint(Image.new("RGB", (48, 48), (150, 120, 90)), style), np.int16)
    assert np.ptp(high, (0, 1)).max() <= 1


@pytest.mark.parametrize("style", ["monet", "filonov", "cezanne"])
def test_no_halo_round_what_is_dark(painter, style):
    """A plain wall has one colour, up to 16 pixels from a dark head before it."""
    wall = Image.new("RGB", (384, 384), (235, 235, 238))
    ImageDraw.Draw(wall).ellipse((132, 132, 252, 252), fill=(40, 30, 28))
    high = np.asarray(painter.paint(wall.resize((96, 96), Image.Resampling.BICUBIC), style), np.float64)
    y, x = np.mgrid[:384, :384] + 0.5 - 192
    away = np.hypot(x, y) - 60  # pixels from the head
    far = high[(away > 80) & (away < 120)].mean(0)
    rings = [high[(away > at) & (away < at + 8)].mean(0) for at in range(16, 80, 8)]
    assert np.abs(rings - far).max() < 4  # of 255


def test_random_styles_are_given_by_their_seed(painter, low):
    one, again, other = (np.asarray(painter.paint(low, f"random:{seed}"), np.float64) for seed in (7, 7, 8))
    assert np.array_equal(one, again)
    assert np.abs(one - other).mean() > 4


def test_the_weights_are_those_of_the_onnx_files(low):
    """The safetensors in the package give what onnxruntime gives, at an odd size."""
    torch = pytest.importorskip("torch")
    from upbrush import weights

    engine = open_engine()
    generator, _, header = weights.load(MODEL_DIR / "weights.safetensors")
    assert header["identity"] == engine.identity
    picture = np.asarray(low.crop((0, 0, 47, 31)), np.float32).transpose(2, 0, 1)[None] / 255
    mods = engine.modulate(np.full((6, 32, 32), 0.3, np.float32), styles.library()["monet"].code, 1.0, 0.5)
    with torch.no_grad():
        expected = generator.renderer(torch.from_numpy(picture), torch.from_numpy(mods)[None]).numpy()
    assert np.abs(engine.render(picture, mods) - expected).max() < 2e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (70, 1)])
def test_a_side_of_one_pixel_is_painted(painter, size):
    pixels = np.random.default_rng(0).integers(60, 180, (*size, 3), np.uint8)
    for style in (None, "monet"):
        assert painter.paint(pixels, style).shape == (4 * size[0], 4 * size[1], 3)


@pytest.mark.parametrize(("kind", "least"), [("faces", 1.0), ("photos", 0.8), ("art", 0.7)])
def test_unseen_pictures_of_each_kind_are_restored(painter, kind, least):
    """Paintings too: a model that knew only photographs would give an artwork another style."""
    data = Path(os.environ.get("UPBRUSH_DATA", ""))
    truths = sorted((data / "val" / kind).glob("*.png"))[:6]
    if not os.environ.get("UPBRUSH_DATA") or not truths:
        pytest.skip("UPBRUSH_DATA names no folder with val/")
    gains = []
    for path in truths:
        with Image.open(path) as opened:
            truth = opened.convert("RGB")
        small = truth.resize((truth.width // 4, truth.height // 4), Image.Resampling.BICUBIC)
        plain = small.resize(truth.size, Image.Resampling.BICUBIC)
        high = painter.paint(small, fidelity=1.0)
        gains.append(
            psnr(luma(np.asarray(high)), luma(np.asarray(truth)))
            - psnr(luma(np.asarray(plain)), luma(np.asarray(truth)))
        )
        assert np.abs(np.asarray(high).mean((0, 1)) - np.asarray(truth).mean((0, 1))).max() < 1.5
    assert np.mean(gains) > least


def odd(name: str, side: int) -> np.ndarray:
    """Pictures unlike any photograph: (side, side, 3) uint8."""
    rows, columns = np.mgrid[:side, :side]
    planes = {
        "noise": np.random.default_rng(0).integers(0, 256, (side, side)),
        "black": rows * 0,
        "white": rows * 0 + 255,
        "checks of 1": (rows + columns) % 2 * 255,
        "checks of 8": (rows // 8 + columns // 8) % 2 * 255,
        "stripes of 3": columns // 3 % 2 * 255,
        "diagonals of 5": (rows + columns) // 5 % 2 * 255,
        "spots of 8": ((rows % 8 < 4) & (columns % 8 < 4)) * 255,
        "slope": columns * 255 // side,
    }
    return planes[name].astype(np.uint8)[..., None].repeat(3, 2)


ODD = ["noise", "black", "white", "checks of 1", "checks of 8", "stripes of 3", "diagonals of 5", "spots of 8", "slope"]


@pytest.mark.parametrize("fidelity", [0, 0.5, 1])
@pytest.mark.parametrize("name", ["black", "white", "checks of 8", "stripes of 3", "spots of 8", "slope"])
def test_patterns_are_restored_as_themselves(painter, name, fidelity):
    """Layers that answer in step with what repeats leave specks of it."""
    pattern = odd(name, 96)
    distance = np.abs(painter.paint(pattern, fidelity=fidelity) - np.kron(pattern, np.ones((4, 4, 1)))).mean()
    assert distance < 20


@pytest.mark.parametrize("name", ODD)
def test_no_picture_and_no_style_sends_values_far_out(painter, low, name):
    """The Renderer takes no statistics that would bound its values: it must have learnt to stay in range anywhere."""
    engine = painter.engine
    small, strange = np.asarray(low, np.uint8), odd(name, 96)
    codes = engine.encode(odd(name, 256)), styles.library()["monet"].code
    for source, code, strength in ((strange, codes[1], 0.0), (strange, codes[1], 1.0), (small, codes[0], 1.0)):
        mods = engine.modulate(thumbnail(source), code, strength, 0.5)
        high = engine.render(source.astype(np.float32).transpose(2, 0, 1)[None] / 255, mods)
        assert high.min() > -3
        assert high.max() < 4
