"""What is measured: each metric's name, unit, direction and meaning, in the words that reports show."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "zero"]
Group = Literal["distortion", "perception", "repaint", "faces", "artefacts", "sets"]


@dataclass(frozen=True)
class Metric:
    """One column of a report.

    better: which way is good; "zero" is a deviation with a sign. share: each picture's value is 0 or 1. repaint:
    whether it judges repaints, too, which are meant to differ from the truth.
    """

    key: str
    title: str
    unit: str
    better: Better
    group: Group
    digits: int
    meaning: str
    share: bool = False
    repaint: bool = True


METRICS = (
    Metric("psnr_y", "PSNR-Y", "dB", "higher", "distortion", 2, repaint=False, meaning=(
        "10 log10(255² / mean squared error) of Y, BT.601 in studio range as MATLAB's rgb2ycbcr has it, after the "
        "border stated as crop is cut off; equal pictures give 148."
    )),
    Metric("psnr_rgb", "PSNR-RGB", "dB", "higher", "distortion", 2, repaint=False, meaning=(
        "The same of red, green and blue together: about 2 dB below PSNR-Y for the same picture."
    )),
    Metric("ssim_y", "SSIM-Y", "", "higher", "distortion", 4, repaint=False, meaning=(
        "Structural similarity (Wang et al., 2004) of Y: 11×11 Gaussian window of deviation 1.5, no padding, data "
        "range 255, after the crop."
    )),
    Metric("ssim_rgb", "SSIM-RGB", "", "higher", "distortion", 4, repaint=False, meaning=(
        "The same, mean of the three channels."
    )),
    Metric("ms_ssim_y", "MS-SSIM-Y", "", "higher", "distortion", 4, repaint=False, meaning=(
        "Multi-scale SSIM (Wang et al., 2003) of Y at five sizes; pictures whose short side after the crop is below "
        "176 pixels have none."
    )),
    Metric("down", "down(out) against in", "dB", "higher", "distortion", 2, repaint=False, meaning=(
        "PSNR-RGB of the output, reduced by Pillow's bicubic with antialiasing to the low picture's size, against the "
        "low picture; 1 pixel cropped. Says whether the output contradicts what was given, whatever the truth."
    )),
    Metric("vgg", "VGG distance", "", "lower", "perception", 4, repaint=False, meaning=(
        "VGG19 features at relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1, each position scaled to unit length; "
        "squared difference summed over channels, mean over positions, then over layers. LPIPS's idea without its "
        "learnt weights, so it is not LPIPS and not comparable with it."
    )),
    Metric("texture", "texture distance", "", "lower", "perception", 4, repaint=False, meaning=(
        "Style error of the output to the truth, at their own size: is it as smooth and as rough, wherever things lie? "
        "What is missing costs as much as what is too much; a line in the wrong place costs nothing."
    )),
    Metric("lpips", "LPIPS (AlexNet)", "", "lower", "perception", 4, repaint=False, meaning=(
        "Zhang et al., CVPR 2018, version 0.1, by torchmetrics."
    )),
    Metric("dists", "DISTS", "", "lower", "perception", 4, repaint=False, meaning=(
        "Ding et al., 2020, by torchmetrics."
    )),
    Metric("arniqa", "ARNIQA (KonIQ-10k)", "", "higher", "perception", 3, meaning=(
        "Quality without a reference (Agnolucci et al., WACV 2024), by torchmetrics; stands for the NIQE kind."
    )),
    Metric("style", "style error at 256 px", "", "lower", "repaint", 4, meaning=(
        "Per-channel mean and standard deviation of VGG19 features at relu1_1 to relu4_1, output against style: "
        "squared distance over the style's own squared size, mean over layers. Both brought to 256×256 by Lanczos."
    )),
    Metric("content", "content error at 256 px", "", "lower", "repaint", 4, meaning=(
        "Squared distance of VGG19 features at relu4_1 between output and truth over the truth's own squared size. "
        "Both brought to 256×256 by Lanczos."
    )),
    Metric("identity", "identity", "", "higher", "faces", 3, meaning=(
        "Cosine of MobileFaceNet embeddings of the largest face, found by YuNet in the truth and aligned in both by "
        "the truth's five landmarks. Pictures in whose truth no face is found do not count."
    )),
    Metric("lost", "faces lost", "%", "lower", "faces", 1, share=True, meaning=(
        "Share of truths with a face in whose output the detector finds none."
    )),
    Metric("accepted", "faces verified", "%", "higher", "faces", 1, share=True, meaning=(
        "Share of truths with a face whose output a face verifier still accepts as the same person, at the "
        "false-accept rate stated. The threshold comes from pairs of different truths; a lost face is not accepted."
    )),
    Metric("grid", "grid energy", "", "lower", "artefacts", 2, meaning=(
        "Energy of the residual (Y minus its 5×5 median) at the frequencies k/4 cycles per pixel over that of their "
        "neighbours. 1 is no dot grid."
    )),
    Metric("sharpness", "sharpness", "dB", "zero", "artefacts", 2, repaint=False, meaning=(
        "Spectral power of Y between 1/4 and 1/2 cycles per pixel, output over truth. 0 is as sharp as the truth, "
        "below is blurred, above is noisy or sharpened too much."
    )),
    Metric("grain", "grain", "grey levels", "lower", "artefacts", 3, repaint=False, meaning=(
        "Texture where the truth is smooth, such as noise leaves: deviation of Y about its 5×5 mean in cells of 8×8 "
        "pixels, beyond that of the truth, times how smooth the truth is there (1 at 0, 0 from 6 grey levels on); mean "
        "over cells. Texture distance and sharpness take it for detail."
    )),
    Metric("colour", "colour shift", "ΔE", "lower", "artefacts", 2, repaint=False, meaning=(
        "CIE76 difference between the mean colours of output and truth in CIELAB (sRGB, D65): a cast, not an error of "
        "detail."
    )),
)  # fmt: skip
BY_KEY = {metric.key: metric for metric in METRICS}


def features_title(name: str, features: str) -> str:
    """A distance between sets, named after the features that it is taken in: never FID unless they are Inception's."""
    if features == "Inception":
        return {"kid": "KID", "frechet": "FID"}[name]
    return {"kid": f"KID ({features})", "frechet": f"Fréchet distance ({features})"}[name]


def shown(metric: Metric, value: float | None) -> str:
    """A value as tables show it."""
    if value is None:
        return "–"
    return f"{100 * value if metric.share else value:.{metric.digits}f}"


def signed(metric: Metric, value: float | None) -> str:
    """A difference as tables show it; one that rounds to nothing has no sign."""
    text = shown(metric, value)
    if value is None or not text.strip("-0."):
        return text.lstrip("-")
    return text if text.startswith("-") else f"+{text}"


def badness(metric: Metric, value: float) -> float:
    """A number that is smaller where the picture is better."""
    return {"higher": -value, "lower": value, "zero": abs(value)}[metric.better]
