"""The rivals' networks, from spandrel's architecture classes, with random weights, as ONNX files.

Speed does not depend on what the weights are, so none are needed. They are exported exactly as our own model is: by the
same exporter, with dynamic sizes.
"""

import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

NAMES = ("SRVGG 64x16", "SRVGG 64x32", "RRDB 23")


@contextmanager
def stand_in_for_torchvision() -> Iterator[None]:
    """Let spandrel be imported without torchvision.

    spandrel imports every architecture it knows when it is imported. Two of them, LaMa and RestoreFormer, take three
    names from torchvision; the two measured here take none. There is not a torchvision for every build of torch, and a
    mismatched one breaks the import of both, so where there is none these empty names stand in, for the import only.
    Whoever calls one of them gets an error, not a wrong answer.
    """
    if importlib.util.find_spec("torchvision") is not None:
        yield
        return

    def absent(*args: object, **kwargs: object) -> None:
        raise RuntimeError("torchvision is not installed; this is the benchmark's stand-in for its name")

    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    modules = {name: ModuleType(name) for name in names}
    for name in ("InterpolationMode", "rotate", "normalize"):
        setattr(modules[names[-1]], name, absent)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def networks() -> dict[str, Callable[[], nn.Module]]:
    """Each rival's network by name: SRVGG in both published sizes of Real-ESRGAN, and the RRDB of its x4plus."""
    with stand_in_for_torchvision():
        from spandrel.architectures.Compact import Compact
        from spandrel.architectures.ESRGAN import ESRGAN
    return {
        "SRVGG 64x16": lambda: Compact(num_feat=64, num_conv=16, upscale=4),
        "SRVGG 64x32": lambda: Compact(num_feat=64, num_conv=32, upscale=4),
        "RRDB 23": lambda: ESRGAN(num_filters=64, num_blocks=23, scale=4),
    }


def export(folder: Path, names: Sequence[str] = NAMES) -> dict[str, Path]:
    """Write the named rivals into a folder, but for those that lie there. Input "low", output "high", sizes dynamic."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name.replace(' ', '-')}.onnx" for name in names}
    makers = networks() if not all(path.is_file() for path in paths.values()) else {}
    # The exporter looks for torchvision's operators and says at length that there are none.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    for name in names:
        if paths[name].is_file():
            continue
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own deprecations
            torch.onnx.export(
                makers[name]().eval(),
                (torch.rand(1, 3, 64, 48),),
                paths[name],
                input_names=["low"],
                output_names=["high"],
                dynamic_shapes=({2: torch.export.Dim("height"), 3: torch.export.Dim("width")},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    return paths
