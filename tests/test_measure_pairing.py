"""Which files belong together, what is wrong with them, all told at once; and pictures that are refused."""

import cv2
import numpy as np
import pytest
from measuring import picture, save, sets
from PIL import Image

from upbrush.errors import ConfigError, DataError, PictureError
from upbrush.measure import pairing, pixels


@pytest.fixture
def made(tmp_path):
    return sets(tmp_path, 3)


def test_pairs_by_name_whatever_the_suffix_and_folder(tmp_path):
    save(picture(0), tmp_path / "truth" / "trip" / "a.png")
    save(picture(0), tmp_path / "mine" / "trip" / "a.webp")
    (tmp_path / "mine" / "notes.txt").write_text("no picture")
    (case,) = pairing.pair({"mine": tmp_path / "mine"}, tmp_path / "truth")
    assert case.name == "trip/a"
    assert case.outputs["mine"].suffix == ".webp"


def test_every_method_and_its_low_picture_are_found(made):
    cases = pairing.pair({"a": made["sharp"], "b": made["blurred"]}, made["truth"], low=made["low"])
    assert [case.name for case in cases] == ["000", "001", "002"]
    assert all(path.stem == case.name for case in cases for path in (*case.outputs.values(), case.truth, case.low))


def test_one_picture_against_one_need_not_share_a_name(made):
    (case,) = pairing.pair({"mine": made["sharp"] / "001.png"}, made["truth"] / "002.png")
    assert (case.outputs["mine"].name, case.truth.name) == ("001.png", "002.png")
    with pytest.raises(DataError, match="and the truth is one"):
        pairing.pair({"mine": made["sharp"]}, made["truth"] / "002.png")


def test_everything_that_is_wrong_is_told_at_once(made):
    (made["sharp"] / "000.png").unlink()
    save(picture(0, 60, 64), made["sharp"] / "001.png")
    save(picture(0), made["sharp"] / "extra.png")
    (made["blurred"] / "002.png").write_bytes(b"no picture at all")
    save(picture(0, 40, 16), made["low"] / "001.png")
    with pytest.raises(DataError) as error:
        pairing.pair({"a": made["sharp"], "b": made["blurred"]}, made["truth"], low=made["low"])
    told = str(error.value)
    for wrong in ("sharp/000: missing", "64x60, but the truth is 64x64", "without a truth: extra",
                  "002.png: is not a picture", "16x40 is no smaller 64x64"):  # fmt: skip
        assert wrong in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda made: made["truth"] / "nothing", "not found"),
        (lambda made: (made["truth"] / "sub").mkdir() or made["truth"] / "sub", "no pictures"),
    ],
)
def test_folders_that_are_no_good(made, wrong, told):
    with pytest.raises(DataError, match=told):
        pairing.pair({"a": wrong(made)}, made["truth"])


def test_two_pictures_of_one_name_are_refused(made):
    save(picture(0), made["sharp"] / "000.webp")
    with pytest.raises(DataError, match="two pictures of one name"):
        pairing.pair({"a": made["sharp"]}, made["truth"])


def test_small_pictures_cannot_be_measured(tmp_path):
    save(picture(0, 20, 64), tmp_path / "a" / "x.png")
    with pytest.raises(DataError, match="too small"):
        pairing.pair({"m": tmp_path / "a"}, tmp_path / "a")


def manifest(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_manifest_says_which_repaint_is_of_what(made, tmp_path):
    for name in ("000_002", "001_002"):
        save(picture(9), tmp_path / "repaints" / f"{name}.png")
    rows = manifest(tmp_path / "pairs.csv", "content,style\n000,002\n001.png,002\n")
    cases = pairing.pair(
        {"m": tmp_path / "repaints"}, made["truth"], style=made["sharp"], manifest=rows, low=made["low"]
    )
    assert [case.name for case in cases] == ["000_002", "001_002"]
    assert [case.truth.stem for case in cases] == [case.low.stem for case in cases] == ["000", "001"]
    assert {case.style for case in cases} == {made["sharp"] / "002.png"}


def test_a_manifest_may_name_outputs_and_choose_some(made, tmp_path):
    rows = manifest(tmp_path / "pairs.csv", "output,truth\n002,000\n")
    (case,) = pairing.pair({"m": made["sharp"]}, made["truth"], manifest=rows)
    assert (case.outputs["m"].stem, case.truth.stem) == ("002", "000")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n", "no column truth"),
        ("", "no column truth"),
        ("truth\n000\n", "no column style"),
        ("truth,style\n000,\n", "line 2 has no style"),
        ("truth,style\n000,1\n000,1\n", "named twice: 000_1"),
    ],
)
def test_manifests_that_are_no_good(made, tmp_path, text, told):
    rows = manifest(tmp_path / "pairs.csv", text)
    with pytest.raises(ConfigError, match=told):
        pairing.pair({"m": made["sharp"]}, made["truth"], style=made["truth"], manifest=rows)


def test_one_style_may_serve_all(made, tmp_path):
    for rows in (None, manifest(tmp_path / "pairs.csv", "truth\n000\n001\n002\n")):
        style = made["blurred"] / "001.png"
        cases = pairing.pair({"m": made["sharp"]}, made["truth"], style=style, manifest=rows)
        assert [case.style.name for case in cases] == ["001.png"] * 3


def test_methods_are_called_by_what_tells_them_apart(tmp_path):
    for name in ("rfdn/faces", "imdn/faces"):
        (tmp_path / name).mkdir(parents=True)
    words = [str(tmp_path / "rfdn" / "faces"), str(tmp_path / "imdn" / "faces")]
    assert list(pairing.methods(words)) == ["rfdn", "imdn"]
    assert pairing.methods([f"ours={words[0]}"])["ours"] == tmp_path / "rfdn" / "faces"
    assert list(pairing.methods(words[:1])) == ["faces"]
    with pytest.raises(ConfigError, match="two outputs are called 'a'"):
        pairing.methods([f"a={words[0]}", f"a={words[1]}"])


def test_an_eight_bit_picture_is_read_as_it_is(tmp_path):
    drawn = picture(3)
    assert np.array_equal(pixels.read(save(drawn, tmp_path / "a.png")), drawn)
    assert pixels.size(tmp_path / "a.png") == (64, 64)


def test_sixteen_bits_are_not_rounded(tmp_path):
    deep = (np.arange(64 * 64, dtype=np.uint16) * 15).reshape(64, 64)
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert np.allclose(pixels.read(tmp_path / "a.png")[..., 1], deep / 257)


def test_transparency_is_laid_on_white(tmp_path):
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[:20, :, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    values = pixels.read(tmp_path / "a.png")
    assert (values[0, 0, 0], values[-1, 0, 0]) == (0, 255)


def test_a_turned_photograph_has_its_size_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(picture(0, 40, 64).astype(np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert pixels.size(tmp_path / "a.jpg") == (40, 64) == pixels.read(tmp_path / "a.jpg").shape[1::-1]


@pytest.mark.parametrize("channels", [1, 3])
def test_floats_are_read_with_one_as_white(tmp_path, channels):
    values = np.linspace(0, 1, 64 * 64 * channels, dtype=np.float32).reshape(64, 64, channels)
    cv2.imwrite(str(tmp_path / "a.tiff"), values[..., ::-1].squeeze())
    assert pixels.size(tmp_path / "a.tiff") == (64, 64)
    assert np.allclose(pixels.read(tmp_path / "a.tiff"), 255 * np.broadcast_to(values, (64, 64, 3)), atol=1e-4)


@pytest.mark.parametrize(("value", "told"), [(np.nan, "1 of its numbers are NaN"), (255, "floats from 0 to 255")])
@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_that_are_no_pixels_are_refused(tmp_path, value, told, channels):
    values = np.zeros((64, 64, channels), np.float32)
    values[5, 5, 0] = value
    cv2.imwrite(str(tmp_path / "a.tif"), values.squeeze())
    with pytest.raises(PictureError, match=told):
        pixels.read(tmp_path / "a.tif")
    save(picture(0), tmp_path / "truth" / "a.png")
    with pytest.raises(DataError, match=told):
        pairing.pair({"m": tmp_path / "a.tif"}, tmp_path / "truth" / "a.png")
