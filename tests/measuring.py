"""What the tests of measuring share: a small VGG19 of random weights, and folders of drawn pictures."""

from pathlib import Path

import numpy as np
import torch
from conftest import draw
from PIL import Image, ImageFilter
from safetensors.torch import save_file

from upbrush.nn.features import CONVS


def write_vgg(path: Path, channels: int = 8) -> Path:
    """VGG19's shape with fewer channels after the first layer, random weights."""
    generator = torch.Generator().manual_seed(3)
    state, width, index = {}, 3, 0
    for count in CONVS:
        for _ in range(count):
            out = 64 if index == 0 else channels
            weight = torch.randn(out, width, 3, 3, generator=generator) * (2 / (9 * width)) ** 0.5
            state |= {f"features.{index}.weight": weight, f"features.{index}.bias": torch.zeros(out)}
            width, index = out, index + 2
        index += 1
    save_file(state, path)
    return path


def picture(seed: int, height: int = 64, width: int = 64) -> np.ndarray:
    """(H, W, 3) float64 in 0…255, different for every seed."""
    rng = np.random.default_rng(seed)
    turned = np.rot90(draw(max(height, width), max(height, width), seed=seed), seed % 4)[:height, :width]
    return (turned * rng.uniform(0.6, 1) + rng.uniform(0, 40)).round().clip(0, 255)


def save(pixels: np.ndarray, path: Path) -> Path:
    """Write (H, W, 3) in 0…255 as a file of 8 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)).save(path)
    return path


def sets(folder: Path, count: int = 12, height: int = 64, width: int = 64) -> dict[str, Path]:
    """Folders truth, low, sharp and blurred: of two methods the first is nearer to the truth in every picture."""
    rng = np.random.default_rng(0)
    for number in range(count):
        truth, name = picture(number, height, width), f"{number:03}.png"
        image = Image.open(save(truth, folder / "truth" / name))
        low = image.resize((width // 4, height // 4), Image.Resampling.BICUBIC)
        save(np.asarray(low, np.float64), folder / "low" / name)
        save(truth + rng.normal(0, 3, truth.shape), folder / "sharp" / name)
        save(np.asarray(image.filter(ImageFilter.GaussianBlur(2)), np.float64), folder / "blurred" / name)
    return {name: folder / name for name in ("truth", "low", "sharp", "blurred")}
