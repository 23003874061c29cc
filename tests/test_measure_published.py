"""Numbers that others have published, and real faces: where the data and the networks are on this machine."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from upbrush.measure import distortion
from upbrush.measure.pixels import read
from upbrush.photographs import are_here

DATA, FACES = os.environ.get("UPBRUSH_DATA"), os.environ.get("UPBRUSH_FACES")


@pytest.mark.parametrize(
    ("name", "least", "most"), [("Set5", 28.41, 28.44), ("Set14", 26.0, 26.1), ("B100", 25.955, 25.965)]
)
def test_bicubic_is_what_everybody_publishes(name, least, most):
    folder = Path(DATA or "") / "test" / name
    if not DATA or not folder.is_dir():
        pytest.skip("UPBRUSH_DATA names no folder with test/")
    found = []
    for path in sorted((folder / "high").iterdir()):
        truth = read(path)
        with Image.open(folder / "low-bicubic" / path.name) as low:
            large = low.convert("RGB").resize(truth.shape[1::-1], Image.Resampling.BICUBIC)
        found.append(distortion.psnr(distortion.luma(np.asarray(large, np.float64)), distortion.luma(truth), 4))
    assert least <= np.mean(found) <= most


@pytest.fixture(scope="module")
def faces():
    if not FACES:
        pytest.skip("UPBRUSH_FACES names no folder with the face networks")
    from upbrush.measure.faces import Faces

    return Faces(Path(FACES))


@pytest.fixture(scope="module")
def astronaut():
    if not are_here():
        pytest.skip("scikit-image is not installed: its astronaut is looked at here")
    from skimage import data

    return data.astronaut()


def test_a_face_is_found_where_it_is(faces, astronaut):
    (face, *_) = faces.find(astronaut)
    left, top, width, height = face.box
    assert 150 < left < left + width < 320
    assert 20 < top < top + height < 220
    eyes, nose = face.landmarks[:2].mean(0), face.landmarks[2]
    assert eyes[1] < nose[1]
    twice = np.asarray(Image.fromarray(astronaut).resize((1024, 1024), Image.Resampling.BICUBIC))
    assert np.allclose(faces.find(twice)[0].box, 2 * face.box, atol=12)


def test_a_person_stays_the_same_through_a_blur_and_is_not_somebody_else(faces, astronaut):
    face = faces.find(astronaut)[0]
    own = faces.embed(astronaut, face)
    assert np.linalg.norm(own) == pytest.approx(1, abs=1e-5)
    blurred = np.asarray(Image.fromarray(astronaut).filter(ImageFilter.GaussianBlur(1.5)))
    strong = np.asarray(Image.fromarray(astronaut).filter(ImageFilter.GaussianBlur(6)))
    near, far = (float(own @ faces.embed(x, face)) for x in (blurred, strong))
    assert near > 0.7 > 0.5 > far


def test_where_there_is_no_face_none_is_found(faces):
    assert faces.find(np.full((200, 300, 3), 128, np.uint8)) == []
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    assert faces.find(noise) == []
