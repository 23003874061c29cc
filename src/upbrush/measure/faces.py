"""Faces: found by YuNet, aligned by five landmarks, summed up by MobileFaceNet; is it still the same person?

Two networks from a folder: yunet_n_640_640.onnx (libfacedetection) and mobilefacenet.onnx (foamliu/MobileFaceNet).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upbrush.errors import WeightsError

FILES = {"detector": "yunet_n_640_640.onnx", "embedding": "mobilefacenet.onnx"}
DETECT_PX = 640  # the longer side that the detector sees
LEAST_SCORE = 0.6
CROP_PX = 112
# Where eyes, nose and corners of the mouth lie in an aligned face: the template that such embeddings are trained with.
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Face:
    """A face found. box: left, top, width, height; landmarks: (5, 2), x and y; both in pixels. score: in [0, 1]."""

    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    score: float

    @property
    def to_crop(self) -> NDArray[np.float64]:
        """The similarity, (2, 3), that takes the picture to the aligned crop."""
        import cv2

        found = cv2.estimateAffinePartial2D(self.landmarks, TEMPLATE)[0]
        matrix: NDArray[np.float64] = np.zeros((2, 3)) if found is None else np.asarray(found, np.float64)
        return matrix


class Detector:
    """Finds faces. Not for several threads at once.

    folder: where FILES lie. longest_px: the longer side that the detector sees. Raises WeightsError where a file is
    missing or cannot be opened.
    """

    def __init__(self, folder: Path, longest_px: int = DETECT_PX):
        import cv2

        for name in FILES.values():
            if not (folder / name).is_file():
                raise WeightsError(f"{folder / name}: not found; give the folder of {' and '.join(FILES.values())}")
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # it warns of targets that nobody asked for
        self._longest_px = longest_px
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(folder / FILES["detector"]), "", (longest_px, longest_px), LEAST_SCORE
            )
        except cv2.error as error:
            raise WeightsError(f"{folder}: a face network cannot be opened ({error}); get the files anew") from None

    def find(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """Every face, the largest first. pixels: (H, W, 3) uint8 RGB of any size."""
        import cv2

        scale = self._longest_px / max(pixels.shape[:2])
        # The detector was trained on blue, green, red.
        seen = cv2.resize(np.ascontiguousarray(pixels[..., ::-1]), None, fx=scale, fy=scale)
        self._detector.setInputSize((seen.shape[1], seen.shape[0]))
        found: Any = self._detector.detect(seen)[1]  # None where there is no face, whatever its types say
        if found is None:
            return []
        faces = [Face(row[:4] / scale, row[4:14].reshape(5, 2) / scale, float(row[14])) for row in found]
        return sorted(faces, key=lambda face: float(face.box[2] * face.box[3]), reverse=True)


class Faces:
    """Detector and embedding. Not for several threads at once.

    folder: where FILES lie. Raises WeightsError where one is missing or cannot be opened.
    """

    def __init__(self, folder: Path):
        import onnxruntime

        self.find = Detector(folder).find
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # idle threads that spin slow VGG19 down
        options.log_severity_level = 4
        try:
            self._embedding = onnxruntime.InferenceSession(
                folder / FILES["embedding"], options, providers=["CPUExecutionProvider"]
            )
        except (RuntimeError, ValueError) as error:
            raise WeightsError(f"{folder}: a face network cannot be opened ({error}); get the files anew") from None
        self.identities = {name: fingerprint(folder / file) for name, file in FILES.items()}

    def embed(self, pixels: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        """What a face looks like, (128,), of length 1: the cosine of two is their product.

        face: found in this picture, or in another one of the same person at the same place.
        """
        import cv2

        crop = cv2.warpAffine(pixels, face.to_crop, (CROP_PX, CROP_PX)).astype(np.float32) / 255
        fed = ((crop - MEAN) / DEVIATION).astype(np.float32).transpose(2, 0, 1)[None]
        vector = np.asarray(self._embedding.run(None, {"input0": fed})[0], np.float32)[0]
        unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
        return unit


def fingerprint(path: Path) -> str:
    """The first 12 digits of a file's SHA-256: which weights they were."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


@dataclass(frozen=True)
class Verification:
    """A face verifier's threshold. impostors: pairs of different truths that it comes from; false_accepts: the share
    of them that it accepts.
    """  # noqa: D205

    threshold: float
    impostors: int
    false_accepts: float


def verification(truths: NDArray[np.float32], false_accepts: float) -> Verification | None:
    """The lowest threshold on the cosine that accepts at most this share of impostor pairs.

    truths: (N, 128) embeddings of different people. Returns None for fewer than two. Where there are fewer pairs than
    1 / false_accepts none is accepted, and the rate is only known to be below 1 / pairs.
    """
    if len(truths) < 2:
        return None
    cosines = np.sort((truths @ truths.T)[np.triu_indices(len(truths), 1)].astype(np.float64))[::-1]
    allowed = int(false_accepts * len(cosines))
    threshold = float(cosines[min(allowed, len(cosines) - 1)])
    return Verification(threshold, len(cosines), float((cosines > threshold).mean()))
