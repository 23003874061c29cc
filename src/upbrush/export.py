"""Weights to the three ONNX files that the light half runs, checked against torch or not written."""

import logging
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from upbrush import saving, styles, weights
from upbrush.config import ModelConfig
from upbrush.engine import MODEL_DIR
from upbrush.errors import WeightsError
from upbrush.nn.generator import SCALE, Generator, thumbnails

OPSET = 18
HALVED = 1024  # numbers from which an array of weights is stored in half precision
TOLERANCE = 2e-3  # half an 8-bit level; measured differences are a hundred times smaller
ODD_SIZES = ((2, 2), (7, 13), (33, 20), (64, 65))  # of low pictures, rows and columns
log = logging.getLogger(__name__)


def export(source: Path, folder: Path) -> list[Path]:
    """Write encoder.onnx, modulator.onnx, renderer.onnx and half-precision weights.safetensors into `folder`.

    The files are those of the weights rounded to half precision, and hold them so: what ships in ONNX is what ships as
    weights, at half the size. Weights whose StyleEncoder is the package's, as after tuning, get its built-in and random
    styles, too. Existing files are replaced, each in one step. Raises WeightsError where onnxruntime and torch differ.
    """
    generator, config, header = weights.load(source)
    generator.half().float()
    folder.mkdir(parents=True, exist_ok=True)
    note = {key: value for key, value in header.items() if key not in ("upbrush_format", "config", "identity")}
    weights.save(folder / "weights.safetensors", generator, config, note, half=True)
    facts = {
        "upbrush_format": weights.FORMAT,
        "identity": weights.identity(generator.state_dict()),
        "scale": str(SCALE),
        "overlap_px": str(generator.renderer.overlap_px),
        "code_size": str(config.model.code_size),
    }
    written = []
    for name, (net, inputs, sizes) in parts(generator).items():
        path = folder / f"{name}.onnx"
        temporary = folder / f".{name}.{os.getpid()}.tmp"
        try:
            _write(net, inputs, sizes, OUTPUTS[name], temporary, facts)
            difference = max(_disagreement(net, temporary, feeds) for feeds in _trials(inputs, sizes))
            if not difference < TOLERANCE:
                raise WeightsError(f"{name}: onnxruntime and torch differ by {difference:.2g}, expected < {TOLERANCE}")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        log.info("%s: %.2f MB, differs from torch by %.1e at most", path, path.stat().st_size / 1e6, difference)
        written.append(path)
    written.append(folder / "weights.safetensors")
    if folder.resolve() != MODEL_DIR.resolve() and _reads_alike(generator, config.model):
        written.append(_carry_over(MODEL_DIR, folder, facts["identity"]))
    return written


def _reads_alike(generator: Generator, sizes: ModelConfig) -> bool:
    """Whether codes of the package's model are this one's, too, and fitted mods fit."""
    theirs, config, _ = weights.load(MODEL_DIR / "weights.safetensors")
    pairs = zip(generator.encoder.parameters(), theirs.encoder.parameters(), strict=False)
    return config.model == sizes and all(torch.equal(ours, other) for ours, other in pairs)


def _carry_over(source: Path, folder: Path, identity: str) -> Path:
    """Give one model's library and random.npz to another that makes the same codes; returns the latter's path."""
    (folder / "library").mkdir(exist_ok=True)
    for name, style in styles.library(source).items():
        styles.write(replace(style, model=identity), folder / "library" / f"{name}{styles.SUFFIX}", overwrite=True)
    with np.load(source / "random.npz", allow_pickle=False) as stored:
        summary: dict[str, Any] = {**stored, "identity": np.array(identity)}
    path = folder / "random.npz"
    saving.store(path, lambda file: np.savez(file, **summary), overwrite=True)
    return path


Dynamic = dict[str, dict[int, str]]
OUTPUTS = {"encoder": "code", "modulator": "mods", "renderer": "high"}


def parts(generator: Generator) -> dict[str, tuple[nn.Module, dict[str, Tensor], Dynamic]]:
    """The three graphs: name → (network, example inputs by name, names of the free sizes by input and axis)."""
    random = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random)

    code_size = generator.encoder.code_size
    knobs = {"strength": draw(1, 1), "fidelity": draw(1, 1)}
    modulator = {"thumbnail": draw(1, 6, 32, 32), "code": draw(1, code_size) - 0.5, **knobs}
    # Mods that the model makes: under others a trained Renderer's values leave every range, and rounding with them.
    low = draw(1, 3, 24, 36)
    with torch.no_grad():
        code = generator.encoder(draw(1, 3, 256, 320))
        renderer = {"low": low, "mods": generator.modulator(thumbnails(low), code, *knobs.values())}
    return {
        "encoder": (generator.encoder, {"style": draw(1, 3, 256, 320)}, {"style": {2: "height", 3: "width"}}),
        "modulator": (generator.modulator, modulator, {}),
        "renderer": (generator.renderer, renderer, {"low": {2: "height", 3: "width"}}),
    }


def _write(
    net: nn.Module, inputs: dict[str, Tensor], sizes: Dynamic, output: str, path: Path, facts: dict[str, str]
) -> None:
    shapes = {
        name: {axis: torch.export.Dim(label, min=2, max=65536) for axis, label in sizes.get(name, {}).items()} or None
        for name in inputs
    }
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here is made of
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, of its exporter
        program = torch.onnx.export(
            net.eval(),
            tuple(inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=tuple(shapes.values()),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:  # torch notes there where each was called from: paths of this machine
        del node.metadata_props[:]
    _halve(model.graph)
    for key, value in facts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _halve(graph: onnx.GraphProto) -> None:
    """Store weights in half precision; a Cast makes them float32 again, once, when a runtime folds constants."""
    casts = []
    for array in graph.initializer:
        values = onnx.numpy_helper.to_array(array)
        if values.dtype == np.float32 and values.size >= HALVED:
            name = array.name
            array.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            casts.append(onnx.helper.make_node("Cast", [array.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _trials(inputs: dict[str, Tensor], sizes: Dynamic) -> list[dict[str, Tensor]]:
    name = next(iter(sizes), None)
    if name is None:
        return [inputs]
    random = torch.Generator().manual_seed(1)
    shapes = [(256, 256), (256, 391), (512, 256)] if name == "style" else ODD_SIZES
    return [inputs | {name: torch.rand(1, 3, *shape, generator=random)} for shape in shapes]


@torch.no_grad()
def _disagreement(net: nn.Module, path: Path, feeds: dict[str, Tensor]) -> float:
    """The largest absolute difference between onnxruntime and torch on one set of inputs."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in feeds.items()})[0]
    expected = net(*feeds.values()).numpy()
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max())
