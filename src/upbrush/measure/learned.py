"""Metrics whose weights other people trained: LPIPS, DISTS and ARNIQA by torchmetrics, Inception for FID and ArtFID.

None of their weights is ours to ship. Each is opened where its parts are on this machine, or may be downloaded;
otherwise the reason is told, and the report shows it instead of a number.
"""

import contextlib
import importlib
import io
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from upbrush.errors import WeightsError
from upbrush.measure.distributions import LEAST_FOR_FRECHET
from upbrush.measure.pixels import eight_bits, read

Array = NDArray[np.float64]
Judge = Callable[[Array, Array], float]  # output and truth, (H, W, 3) in 0…255
Describe = Callable[[Array], Array]  # (H, W, 3) in 0…255 -> (2048,)

# What torch.hub calls the downloads that each needs beside what torchmetrics brings.
CHECKPOINTS = {
    "lpips": ("alexnet-owt-7be5be79.pth",),
    "dists": ("vgg16-397923af.pth",),
    "arniqa": ("ARNIQA.pth", "regressor_koniq10k.pth"),
}
VGG19 = "vgg19-dcbb9e9d.pth"


def missing_checkpoints(*names: str) -> list[str]:
    """Which of torch.hub's downloads are not on this machine yet."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return [name for name in names if not (folder / name).is_file()]


def open_judges(download: bool) -> tuple[dict[str, Judge], dict[str, str]]:
    """The metrics that can be computed here, and why the others cannot. download: fetch weights that are missing."""
    judges: dict[str, Judge] = {}
    missing: dict[str, str] = {}
    for name, files in CHECKPOINTS.items():
        absent = missing_checkpoints(*files)
        if find_spec("torchvision") is None:
            missing[name] = "needs weights: its backbone comes with torchvision, which is not installed"
        elif absent and not download:
            missing[name] = f"needs weights: {', '.join(absent)} not in torch's cache; --download fetches it"
        else:
            try:
                judges[name] = _judge(name)
            except (OSError, RuntimeError, ModuleNotFoundError) as error:
                missing[name] = f"needs weights: could not be opened ({' '.join(str(error).split())})"
    return judges, missing


def _judge(name: str) -> Judge:
    """A metric of torchmetrics as a plain function of two pictures."""
    # From their modules: where torchvision is missing torchmetrics.image does not have these names.
    if name == "arniqa":
        from torchmetrics.image.arniqa import ARNIQA

        blind = ARNIQA(regressor_dataset="koniq10k", normalize=True, autocast=False)
        return lambda output, truth: _once(blind, tensor(output))
    if name == "lpips":
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        lpips = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
        return lambda output, truth: _once(lpips, tensor(output), tensor(truth))
    from torchmetrics.functional.image.dists import DISTSNetwork

    dists = DISTSNetwork().eval()  # the metric around it would read its weights anew for every picture
    return lambda output, truth: float(dists(tensor(output), tensor(truth)))


def _once(metric: torch.nn.Module, *pictures: torch.Tensor) -> float:
    """One picture's value: a metric object sums up over all that it has seen, so it is emptied."""
    with torch.inference_mode():
        value = float(metric(*pictures))
    metric.reset()  # type: ignore[operator]
    return value


def tensor(picture: Array) -> torch.Tensor:
    """(H, W, 3) float64 in 0…255 -> (1, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32))[None] / 255


def open_inception(path: Path) -> Describe:
    """Inception's 2048 features by torch-fidelity, from a weights file of its format: the real FID and KID.

    Raises WeightsError where torch-fidelity is not installed or the file is of another kind.
    """
    if find_spec("torch_fidelity") is None:
        raise WeightsError(f"{path}: Inception features need torch-fidelity, which is not installed; pip install it")
    from torchmetrics.image.fid import NoTrainInceptionV3

    try:
        net = NoTrainInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path}: is not Inception as torch-fidelity keeps it ({reason}); give its file") from None

    def describe(picture: Array) -> Array:
        with torch.inference_mode():
            pixels = (tensor(picture) * 255).round().to(torch.uint8)
            found: Array = net(pixels)[0].double().numpy()
        return found

    return describe


def art_fid(outputs: Sequence[Path], styles: Sequence[Path], truths: Sequence[Path]) -> float:
    """ArtFID (Wright & Ommer, GCPR 2022) by its authors' package art-fid, which brings its own weights.

    Three lists of one length: the package pairs files by their order. Raises ImportError where it is not installed.
    """
    package = importlib.import_module("art_fid.art_fid")
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        folders = []
        for kind, files in (("outputs", outputs), ("styles", styles), ("truths", truths)):
            folders.append(Path(name) / kind)
            folders[-1].mkdir()
            for number, file in enumerate(files):  # it reads PNG and JPEG only
                Image.fromarray(eight_bits(read(file))).save(folders[-1] / f"{number:06}.png")
        return float(package.compute_art_fid(*map(str, folders), 8, "cpu", mode="art_fid", num_workers=0))


def art_fid_missing(pictures: int, download: bool) -> str | None:
    """Why ArtFID cannot be told, or None where it can."""
    if pictures < LEAST_FOR_FRECHET:
        return f"a Fréchet distance is in it, and {pictures} pictures are under {LEAST_FOR_FRECHET}"
    if find_spec("art_fid") is None:
        return "needs weights: an Inception trained on art, which comes with the package art-fid, not installed"
    return None if download else "needs weights: art-fid fetches its Inception itself; --download allows it"
