"""What measuring is done with: networks opened once, and why those that could not be opened are missing."""

from dataclasses import dataclass, field
from pathlib import Path

from upbrush.errors import WeightsError
from upbrush.measure.faces import FILES, Faces, fingerprint
from upbrush.measure.learned import VGG19, Describe, Judge, missing_checkpoints, open_inception, open_judges
from upbrush.measure.perceptual import Eye

VGG_METRICS = ("vgg", "texture", "style", "content")
FACE_METRICS = ("identity", "lost", "accepted")


@dataclass(frozen=True)
class Settings:
    """What numbers depend on beside the pictures.

    crop: border in pixels that PSNR and SSIM leave out. features: VGG19 as safetensors. faces: folder of the face
    networks. inception: weights as torch-fidelity keeps them. download: whether missing weights may be fetched.
    false_accepts: the face verifier's share of impostors let through. seed: of the bootstrap.
    """

    crop: int = 4
    features: Path | None = None
    faces: Path | None = None
    inception: Path | None = None
    download: bool = False
    false_accepts: float = 0.01
    seed: int = 0


@dataclass
class Instruments:
    """Opened networks. missing: metric -> reason. identities: weights -> fingerprint of their file."""

    eye: Eye | None = None
    faces: Faces | None = None
    inception: Describe | None = None
    judges: dict[str, Judge] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)

    @property
    def set_features(self) -> str:
        """The name of the features that distances between sets are taken in; empty where there are none."""
        return "Inception" if self.inception else "VGG19 relu5_1" if self.eye else ""


def open_all(settings: Settings) -> Instruments:
    """Open what the settings name.

    Raises WeightsError for a file that was named and cannot be used; what was not named and is not here is missing.
    """
    judges, missing = open_judges(settings.download)
    found = Instruments(judges=judges, missing=missing)
    found.identities |= {name: "torchmetrics" for name in judges}
    if settings.features is None and missing_checkpoints(VGG19) and not settings.download:
        reason = "needs weights: VGG19; name a file with --features or UPBRUSH_FEATURES, or --download"
        found.missing |= dict.fromkeys(VGG_METRICS, reason)
    else:
        found.eye = Eye(settings.features)
        found.identities["vgg19"] = fingerprint(settings.features) if settings.features else VGG19
    if settings.faces is None:
        reason = f"needs weights: a folder with {' and '.join(FILES.values())}, named with --faces or UPBRUSH_FACES"
        found.missing |= dict.fromkeys(FACE_METRICS, reason)
    else:
        found.faces = Faces(settings.faces)
        found.identities |= found.faces.identities
    if settings.inception is not None:
        if not settings.inception.is_file():
            raise WeightsError(f"{settings.inception}: not found; expected Inception as torch-fidelity keeps it")
        found.inception = open_inception(settings.inception)
        found.identities["inception"] = fingerprint(settings.inception)
    return found
