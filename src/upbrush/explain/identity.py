"""Is it still the same person? Each face before and after, by the cosine of two embeddings.

Before is the truth where there is one, otherwise the low picture enlarged by bicubic, which invents nothing. A cosine
is no probability: the threshold is where, of pairs of different people, one in a thousand would pass for the same.
"""

import numpy as np

from upbrush.explain.findings import JudgedFace
from upbrush.measure.faces import Face, Faces

# Measured by `benchmarks/explaining.py faces`: docs/explaining.md says on whom, and how sure it is.
# 269,880 pairs of different people: one in a thousand came above the threshold, and none as high as SUREST.
THRESHOLD, FALSE_ACCEPTS, SUREST = 0.39, 0.001, 0.58
LEAST_OVERLAP = 0.3  # of two boxes that are the same face: intersection over union
MOST_FACES = 24


def judge_faces(faces: Faces, before: np.ndarray, after: np.ndarray, threshold: float = THRESHOLD) -> list[JudgedFace]:
    """Judge every face of a painting, the largest first.

    before, after: (H, W, 3) uint8 RGB of one size. A face is aligned in both by the landmarks of before, so one that
    has moved counts as changed.
    """
    known, shown = faces.find(before)[:MOST_FACES], faces.find(after)[:MOST_FACES]
    judged = []
    for face in known:
        cosine = float(faces.embed(before, face) @ faces.embed(after, face))
        found = any(overlap(face, other) >= LEAST_OVERLAP for other in shown)
        passes = "doubtful" if cosine < threshold else "barely" if cosine < SUREST else "kept"
        verdict = passes if found else "lost"
        judged.append(JudgedFace(_box(face), verdict, cosine))
    for other in shown:
        if all(overlap(face, other) < LEAST_OVERLAP for face in known):
            judged.append(JudgedFace(_box(other), "new", None))
    return judged


def overlap(one: Face, other: Face) -> float:
    """Intersection over union of two faces' boxes."""
    first, second = one.box.astype(float), other.box.astype(float)
    sides = np.minimum(first[:2] + first[2:], second[:2] + second[2:]) - np.maximum(first[:2], second[:2])
    common = float(np.prod(np.clip(sides, 0, None)))
    return common / max(float(first[2] * first[3] + second[2] * second[3]) - common, 1e-9)


def _box(face: Face) -> tuple[float, float, float, float]:
    left, top, width, height = (float(number) for number in face.box)
    return left, top, width, height
