"""Faces before and after: who is kept, who is flagged. The laws by a stand-in, the networks where they can be had."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")

from upbrush.explain.identity import THRESHOLD, judge_faces, overlap
from upbrush.measure.faces import FILES, Face, Faces

FOLDER = os.environ.get("UPBRUSH_FACES")
HAS_FACES = FOLDER is not None and all((Path(FOLDER) / name).is_file() for name in FILES.values())
needs_faces = pytest.mark.skipif(not HAS_FACES, reason="UPBRUSH_FACES names no folder with the face networks")


class Squares:
    """Finds every square of one colour in a row of squares; a face is its colour."""

    def find(self, pixels):
        faces = []
        for left in range(0, pixels.shape[1], 20):
            if pixels[5, left + 5].any():
                box = np.array([left, 0, 20, 20], np.float32)
                faces.append(Face(box, np.zeros((5, 2), np.float32), 1.0))
        return faces

    def embed(self, pixels, face):
        colour = pixels[5, int(face.box[0]) + 5].astype(np.float32)
        return colour / max(np.linalg.norm(colour), 1e-9)


def row(*colours):
    return np.concatenate([np.full((20, 20, 3), colour, np.uint8) for colour in colours], axis=1)


RED, GREEN, NONE = (200, 0, 0), (0, 200, 0), (0, 0, 0)


def test_equal_pictures_have_identity_one():
    judged = judge_faces(Squares(), row(RED, GREEN, NONE), row(RED, GREEN, NONE))
    assert [(face.verdict, face.cosine, face.flagged) for face in judged] == [("kept", 1.0, False)] * 2


def test_a_swapped_face_raises_the_flag_and_only_that():
    judged = judge_faces(Squares(), row(RED, GREEN), row(RED, RED))
    assert [face.flagged for face in judged] == [False, True]
    assert (judged[1].verdict, judged[1].cosine) == ("doubtful", 0.0)
    assert judged[1].box == (20, 0, 20, 20)


def test_lost_and_new_faces_are_flagged():
    judged = judge_faces(Squares(), row(RED, NONE), row(NONE, GREEN))
    assert [(face.verdict, face.flagged) for face in judged] == [("lost", True), ("new", True)]
    assert judged[1].cosine is None
    assert judge_faces(Squares(), row(NONE), row(NONE)) == []


def test_overlap_of_boxes():
    def face(*box):
        return Face(np.array(box, np.float32), np.zeros((5, 2), np.float32), 1.0)

    assert overlap(face(0, 0, 10, 10), face(0, 0, 10, 10)) == 1
    assert overlap(face(0, 0, 10, 10), face(5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert overlap(face(0, 0, 10, 10), face(20, 0, 10, 10)) == 0


@needs_faces
def test_the_networks_know_the_astronaut_and_nobody_else():
    photographs = pytest.importorskip("upbrush.photographs")
    pytest.importorskip("skimage")
    faces = Faces(Path(FOLDER))
    astronaut = photographs.photograph("astronaut", 384)
    (same,) = judge_faces(faces, astronaut, astronaut)
    assert same.cosine == pytest.approx(1, abs=1e-5)
    small = Image.fromarray(astronaut).resize((96, 96), Image.Resampling.BICUBIC)
    blurred = np.asarray(small.resize((384, 384), Image.Resampling.BICUBIC))
    (again,) = judge_faces(faces, blurred, astronaut)
    assert again.verdict == "kept"
    assert again.cosine > 0.8
    assert [face.verdict for face in judge_faces(faces, astronaut, np.full_like(astronaut, 128))] == ["lost"]


@needs_faces
@pytest.mark.skipif("UPBRUSH_DATA" not in os.environ, reason="UPBRUSH_DATA is not set: there are no other faces")
def test_another_persons_face_raises_the_flag():
    faces = Faces(Path(FOLDER))
    paths = sorted((Path(os.environ["UPBRUSH_DATA"]) / "val" / "faces").glob("*.png"))[:6]
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    found = [faces.find(pixels) for pixels in pictures]
    vectors = np.stack([faces.embed(pixels, one[0]) for pixels, one in zip(pictures, found, strict=True)])
    cosines = vectors @ vectors.T
    assert (cosines[~np.eye(len(vectors), dtype=bool)] < THRESHOLD).mean() > 0.9
