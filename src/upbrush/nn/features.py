"""VGG19 features for the losses (Simonyan & Zisserman, ICLR 2015)."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from upbrush.errors import WeightsError

CONVS = (2, 2, 4, 4, 1)  # convolutions of each block, up to relu5_1
LAYERS = tuple(f"relu{block}_1" for block in range(1, 6))
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
DOWNLOAD = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"


class Features(nn.Module):
    """The first convolution of each VGG19 block, after its rectifier: relu1_1 … relu5_1.

    Frozen. Keys are torchvision's, `features.N.weight` and `features.N.bias`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, state: dict[str, Tensor], mean: list[float], std: list[float]):
        super().__init__()
        self.convs = nn.ModuleList()
        self.blocks: list[int] = []
        index = 0
        for block, count in enumerate(CONVS, 1):
            for _ in range(count):
                if f"features.{index}.weight" not in state:
                    break  # a file cut after relu4_1 serves, too: the perceptual loss then lacks its deepest layer
                weight, bias = state[f"features.{index}.weight"].float(), state[f"features.{index}.bias"].float()
                conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, 1, 1)
                conv.load_state_dict({"weight": weight, "bias": bias})
                self.convs.append(conv)
                self.blocks.append(block)
                index += 2
            index += 1
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.unheard = self._look
        self.requires_grad_(False)
        self.eval()

    def compile_unheard(self) -> None:
        """Compile what is asked without gradients, of truths and styles; with them it is slower than as it is."""
        self.unheard = torch.compile(self._look, dynamic=False)

    def forward(self, x: Tensor, deepest: int = 4) -> list[Tensor]:
        """x: (B, 3, H, W) in [0, 1]. Returns the features of blocks 1 … deepest, (B, C, H / 2^k, W / 2^k)."""
        return (self._look if torch.is_grad_enabled() else self.unheard)(x, deepest)

    def _look(self, x: Tensor, deepest: int) -> list[Tensor]:
        x = (x - self.mean) / self.std
        features: list[Tensor] = []
        for conv, block in zip(self.convs, self.blocks, strict=True):
            if block > deepest:
                break
            if block == len(features) + 1:  # the first convolution of a block
                x = F.relu(conv(F.max_pool2d(x, 2) if features else x), inplace=True)
                features.append(x)
            elif block < deepest:  # behind the deepest layer asked for, nothing is needed
                x = F.relu(conv(x), inplace=True)
        return features


def load(path: Path | None) -> Features:
    """Read VGG19 from a safetensors file, or fetch torchvision's ImageNet weights where `path` is None.

    Raises WeightsError where the file is missing or of another network, or the download fails.
    """
    if path is None:
        try:
            state = torch.hub.load_state_dict_from_url(DOWNLOAD, map_location="cpu", weights_only=True)
        except OSError as error:
            raise WeightsError(
                f"VGG19 could not be downloaded ({error}); give a file with --features or UPBRUSH_FEATURES"
            ) from None
        return Features(state, **IMAGENET)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: VGG19 features cannot be read ({error}); expected a safetensors file") from None
    if "features.19.weight" not in state or state["features.0.weight"].shape != (64, 3, 3, 3):
        raise WeightsError(f"{path}: is not VGG19 down to relu4_1; expected keys features.0.weight to features.19.bias")
    return Features(state, **{key: json.loads(header[key]) if key in header else IMAGENET[key] for key in IMAGENET})
