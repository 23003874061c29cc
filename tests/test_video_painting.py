"""How frames are painted: one look a shot, styles along the clip, masks, a page to look at first."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import pictures_of, scene, shots, write_clip
from conftest import FakeEngine, PlainEngine
from PIL import Image
from test_video_work import job_of, paint
from tiny_model import write_library

from upbrush import Painter, styles
from upbrush.engine import open_engine
from upbrush.errors import ClipError, ConfigError, StyleError
from upbrush.knobs import Knobs
from upbrush.styles import Style
from upbrush.video import along, brush, masks
from upbrush.video.clip import Frame
from upbrush.video.preview import preview

FACES = os.environ.get("UPBRUSH_FACES")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return open_engine(model_dir=write_library(tmp_path_factory.mktemp("video") / "model"))


def coloured(red, name="plain"):
    code = np.zeros(256, np.float32)
    code[0] = red
    return Style(name, code, "fake")


def steps(frames, cuts=(0,)):
    return [brush.Step(Frame(index, 1, array), index in cuts) for index, array in enumerate(frames)]


def test_a_look_does_not_breathe():
    """Frames of a shot that get brighter are painted with the same mods, and not with each its own."""
    engine, frames = FakeEngine(), [np.full((20, 20, 3), 60 + 5 * index, np.uint8) for index in range(20)]
    out = list(brush.Brush(Painter(engine), Knobs(strength=0.0), Fraction(1, 25)).paint(steps(frames)))
    assert len(engine.modulated) == 1
    levels = [one.frame.pixels.mean() for one in out]
    np.testing.assert_allclose(np.diff(levels), np.diff(levels)[0], atol=1.0)


def test_a_shot_that_fades_in_is_summed_up_by_later_frames_too():
    black = [np.zeros((20, 20, 3), np.uint8)] * 2
    bright = [np.full((20, 20, 3), 200, np.uint8)] * 14
    out = next(brush.Brush(Painter(PlainEngine()), Knobs(strength=0.0), Fraction(1, 25)).paint(steps(black + bright)))
    later = next(
        brush.Brush(Painter(PlainEngine()), Knobs(strength=0.0), Fraction(1, 25)).paint(steps(black * 8, (0, 2)))
    )
    assert len(out.before.shot) == 0  # nothing was before the first frame
    seen = list(brush.Brush(Painter(PlainEngine()), Knobs(strength=0.0), Fraction(1, 25)).paint(steps(black + bright)))
    assert [array.mean() for array in seen[1].before.shot] == [0, 200, 200, 200]
    assert later is not None


def test_a_shot_is_not_summed_up_by_the_next_one():
    frames = [np.zeros((20, 20, 3), np.uint8)] * 3 + [np.full((20, 20, 3), 200, np.uint8)] * 5
    seen = list(brush.Brush(Painter(PlainEngine()), Knobs(strength=0.0), Fraction(1, 25)).paint(steps(frames, (0, 3))))
    assert [array.mean() for array in seen[2].before.shot] == [0]
    assert [array.mean() for array in seen[4].before.shot] == [200, 200]


def test_painting_goes_on_from_a_memory_as_if_it_had_never_stopped():
    frames = [scene(index) for index in range(20)]
    whole = list(brush.Brush(Painter(FakeEngine()), Knobs(strength=0.0), Fraction(1, 25)).paint(steps(frames)))
    memory, steady = brush.unpack(brush.pack(whole[9].before, b"hand"))
    assert steady == b"hand"
    rest = brush.Brush(Painter(FakeEngine()), Knobs(strength=0.0), Fraction(1, 25)).paint(steps(frames)[9:], memory)
    for one, other in zip(whole[9:], rest, strict=True):
        np.testing.assert_array_equal(one.frame.pixels, other.frame.pixels)


def test_styles_along_a_clip_are_blended_by_time(engine):
    timeline = along.read("0s:monet, 4s:klimt,6s:none", engine)
    monet, klimt = (styles.resolve(name, engine).code for name in ("monet", "klimt"))
    np.testing.assert_allclose(timeline.at(Fraction(1)).style.code, 0.75 * monet + 0.25 * klimt, atol=1e-6)
    np.testing.assert_array_equal(timeline.at(Fraction(0)).style.code, monet)
    np.testing.assert_array_equal(timeline.at(Fraction(4)).style.code, klimt)
    assert timeline.at(Fraction(5)).share == 0.5
    assert timeline.at(Fraction(9)).style is None
    assert timeline.at(Fraction(7)) is timeline.at(Fraction(8))  # nothing changes: nothing is made anew


def test_a_key_takes_a_blend_a_file_and_a_seed(engine, tmp_path):
    Image.fromarray(scene(0, 300, 300)).save(tmp_path / "ink.png")
    timeline = along.read(f"1.5s:monet:.7,klimt:.3,1m:{tmp_path}/ink.png,1h:random:7", engine)
    assert [key.seconds for key in timeline.keys] == [Fraction(3, 2), 60, 3600]
    assert timeline.keys[0].style.name == "Monet 70% + Klimt 30%"
    assert timeline.keys[2].style.name == "random:7"


@pytest.mark.parametrize("words", ["monet", "monet:.7,klimt:.3", "random:7", "a/2s.png", "C:\\a.png"])
def test_what_is_no_timeline_is_a_style(words):
    assert not along.is_timeline(words)


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        ("0s:monet,0s:klimt", ConfigError, "is not later than the one before it"),
        ("0s:,4s:klimt", ConfigError, "0s: has no style behind it|nothing stands behind 0s"),
        ("0s:monte", StyleError, "monet"),
    ],
)
def test_a_timeline_that_cannot_be_read_is_told(engine, words, error, told):
    with pytest.raises(error, match=told):
        along.read(words, engine)


def test_styles_change_while_a_clip_runs(engine, tmp_path):
    """The tiny model adds (colour - 1/2): from grey towards klimt's the picture moves steadily."""
    source = write_clip(tmp_path / "in.mkv", [np.full((24, 32, 3), 128, np.uint8)] * 26, codec="ffv1", pixels="bgr0")
    timeline = along.read("0s:none,1s:klimt", engine)
    job = job_of(source, tmp_path / "out.mkv", Knobs(timeline.keys[0].style), timeline=timeline, steady=False)
    from upbrush.video import work

    work.run(job, Painter(engine))
    blue = [array[..., 2].mean() for array in pictures_of(tmp_path / "out.mkv")]
    assert blue[0] == pytest.approx(128, abs=1)
    np.testing.assert_allclose(np.diff(blue)[:-1], (blue[25] - blue[0]) / 25, atol=1.1)
    assert abs(blue[25] - blue[0]) > 40


def test_a_mask_paints_where_it_is_white(tmp_path):
    source = write_clip(tmp_path / "in.mkv", [np.full((24, 32, 3), 128, np.uint8)] * 3, codec="ffv1", pixels="bgr0")
    half = np.zeros((24, 32), np.uint8)
    half[:, 16:] = 255
    Image.fromarray(half).save(tmp_path / "mask.png")
    mask = masks.open_mask(tmp_path / "mask.png", None, None)
    _, plain = paint(source, tmp_path / "plain.mkv", engine=FakeEngine())
    knobs = Knobs(coloured(1.0))
    _, full = paint(source, tmp_path / "full.mkv", knobs, engine=FakeEngine(), steady=False)
    _, out = paint(source, tmp_path / "out.mkv", knobs, engine=FakeEngine(), mask=mask, steady=False)
    restored, repainted, mixed = (pictures_of(path)[0].astype(int) for path in (plain, full, out))
    assert np.abs(restored - repainted).max() > 20
    np.testing.assert_array_equal(mixed[:, :56], restored[:, :56])
    np.testing.assert_array_equal(mixed[:, 72:], repainted[:, 72:])
    inverse = masks.open_mask(tmp_path / "mask.png", "background", None)
    np.testing.assert_allclose(inverse.at(Fraction(0), half, True), 1 - mask.at(Fraction(0), half, True))


def test_a_mask_may_be_a_clip(tmp_path):
    frames = [np.full((24, 32, 3), 255 * (index >= 5), np.uint8) for index in range(10)]
    mask = masks.open_mask(write_clip(tmp_path / "mask.mkv", frames, codec="ffv1", pixels="bgr0"), None, None)
    levels = [mask.at(Fraction(index, 50), frames[0], False).mean() for index in range(24)]
    assert levels == [0.0] * 10 + [1.0] * 14  # twice as many frames; the last one stays


def test_masks_that_cannot_be_had_are_told(tmp_path):
    with pytest.raises(
        ConfigError, match="--only faces needs a face detector; give yunet.*by --faces or UPBRUSH_FACES"
    ):
        masks.open_mask(None, "faces", None)
    with pytest.raises(ConfigError, match="yunet_n_640_640.onnx: not found"):
        masks.open_mask(None, "background", tmp_path)
    with pytest.raises(ConfigError, match="--only hands: is neither faces nor background"):
        masks.open_mask(None, "hands", None)
    (tmp_path / "mask.txt").write_text("no mask")
    with pytest.raises(ClipError, match="--mask takes a picture or a clip"):
        masks.open_mask(tmp_path / "mask.txt", None, None)


@pytest.mark.skipif(not FACES, reason="UPBRUSH_FACES names no folder with a face detector")
def test_faces_are_found_and_come_and_go_softly():
    astronaut = pytest.importorskip("skimage.data").astronaut()[:256, 100:356]
    mask = masks.FaceMask(Path(FACES))
    found = mask.at(Fraction(0), astronaut, True)
    assert found[110, 125] > 0.9  # between the eyes
    assert found[:20].max() < 0.1
    empty = mask.at(Fraction(1), np.zeros_like(astronaut), False)
    assert found.max() - empty.max() == pytest.approx(masks.STEP, abs=1e-6)
    assert mask.at(Fraction(2), np.zeros_like(astronaut), True).max() == 0


def test_a_preview_shows_frames_from_all_over(tmp_path):
    source = write_clip(tmp_path / "in.mp4", shots(20, 20))
    counts = []
    page = preview(job_of(source, tmp_path / "out.mp4"), Painter(PlainEngine()), 4, lambda *told: counts.append(told))
    assert counts[-1] == (4, 4)
    assert page.width > 2 * 128
    assert len(page.getcolors(1 << 20)) > 50
    assert not (tmp_path / "out.mp4").exists()


def test_a_clip_with_two_eyes_keeps_them_apart(tmp_path):
    frame = np.concatenate([np.full((24, 32, 3), 20, np.uint8), np.full((24, 32, 3), 220, np.uint8)], axis=1)
    source = write_clip(tmp_path / "in.mkv", [frame] * 2, codec="ffv1", pixels="bgr0")
    _, out = paint(source, tmp_path / "out.mkv", Knobs(strength=0.0, stereo="side"), engine=FakeEngine())
    high = pictures_of(out)[0].astype(int)
    assert np.abs(high[:, :128] - high[0, 0]).max() == 0  # nothing of the other eye has bled over
    assert np.abs(high[:, 128:] - high[0, -1]).max() == 0


def test_a_frame_that_fits_the_memory_is_not_cut():
    """Several frames at once share the memory: what holds no square of the longer side may still hold the frame."""
    engine = FakeEngine()
    Painter(engine, memory="400MB").paint(np.zeros((36, 320, 3), np.uint8))
    assert len(engine.shapes) == 1
