"""A model of three tiny ONNX graphs that keeps the laws: made in milliseconds, for tests of all that opens models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from upbrush import styles
from upbrush.engine import open_engine

CODE_SIZE = 256
IDENTITY = "tiny-0"
COLOURS = [
    ("Klimt", "Gustav Klimt", (220, 180, 60)),
    ("Monet", "Claude Monet", (120, 150, 200)),
    ("Van Gogh", "Vincent van Gogh", (40, 60, 160)),
]


def write_model(folder: Path, identity: str = IDENTITY, **facts: str) -> Path:
    """Write encoder, modulator and renderer into a folder, which is returned.

    A code repeats the style picture's mean colour; mods are strength * (that colour - 1/2) and the fidelity; a high
    picture is the low one, each pixel repeated, plus the mods' three colours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in (("encoder", encoder), ("modulator", modulator), ("renderer", renderer)):
        model = helper.make_model(make(), opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        stated = {
            "upbrush_format": "2",
            "identity": identity,
            "scale": "4",
            "overlap_px": "2",
            "code_size": str(CODE_SIZE),
        } | facts
        helper.set_model_props(model, {key: value for key, value in stated.items() if value})
        onnx.save(model, folder / f"{name}.onnx")
    return folder


def write_random(folder: Path, identity: str = IDENTITY, rank: int = 3) -> Path:
    """Write random.npz: the summary of codes that random styles are drawn from."""
    rng = np.random.default_rng(5)
    np.savez(
        folder / "random.npz",
        mean=rng.random(CODE_SIZE, np.float32),
        directions=rng.standard_normal((rank, CODE_SIZE)).astype(np.float32),
        spread=np.full(rank, 0.1, np.float32),
        identity=np.array(identity),
    )
    return folder / "random.npz"


def write_library(folder: Path) -> Path:
    """Write a model with random.npz and a library of three plain styles: klimt, monet, van-gogh."""
    engine = open_engine(model_dir=write_model(folder))
    write_random(folder)
    (folder / "library").mkdir()
    for name, artist, colour in COLOURS:
        style = styles.make([np.full((300, 260, 3), colour, np.uint8)], engine, name, artist=artist, licence="CC0-1.0")
        slug = name.lower().replace(" ", "-")
        styles.write(replace(style, preview=styles.preview(style, engine)), folder / "library" / f"{slug}.style")
    return folder


def encoder() -> onnx.GraphProto:
    repeat = np.zeros((3, CODE_SIZE), np.float32)
    repeat[np.arange(CODE_SIZE) % 3, np.arange(CODE_SIZE)] = 1
    nodes = [
        helper.make_node("ReduceMean", ["style", "sides"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "repeat"], ["code"]),
    ]
    return _graph(
        nodes,
        {"style": [1, 3, "H", "W"]},
        {"code": [1, CODE_SIZE]},
        {"repeat": repeat, "sides": np.array([2, 3], np.int64)},
    )


def modulator() -> onnx.GraphProto:
    pick = np.zeros((CODE_SIZE, 3), np.float32)
    pick[np.arange(3), np.arange(3)] = 1
    nodes = [
        helper.make_node("MatMul", ["code", "pick"], ["colour"]),
        helper.make_node("Sub", ["colour", "half"], ["about_grey"]),
        helper.make_node("Mul", ["about_grey", "strength"], ["shift"]),
        helper.make_node("ReduceMax", ["thumbnail", "all"], ["top"], keepdims=0),
        helper.make_node("Reshape", ["top", "row"], ["top_row"]),
        helper.make_node("Concat", ["shift", "fidelity", "top_row"], ["mods"], axis=1),
    ]
    inputs = {"thumbnail": [1, 6, 32, 32], "code": [1, CODE_SIZE], "strength": [1, 1], "fidelity": [1, 1]}
    constants = {
        "pick": pick,
        "half": np.full((1, 3), 0.5, np.float32),
        "all": np.array([0, 1, 2, 3], np.int64),
        "row": np.array([1, 1], np.int64),
    }
    return _graph(nodes, inputs, {"mods": [1, 5]}, constants)


def renderer() -> onnx.GraphProto:
    nodes = [
        helper.make_node("Resize", ["low", "", "scales"], ["large"], mode="nearest"),
        helper.make_node("Slice", ["mods", "zero", "three", "one"], ["shift"]),
        helper.make_node("Reshape", ["shift", "column"], ["shift4"]),
        helper.make_node("Add", ["large", "shift4"], ["high"]),
    ]
    constants = {
        "scales": np.array([1, 1, 4, 4], np.float32),
        "zero": np.array([0], np.int64),
        "three": np.array([3], np.int64),
        "one": np.array([1], np.int64),
        "column": np.array([1, 3, 1, 1], np.int64),
    }
    return _graph(nodes, {"low": [1, 3, "h", "w"], "mods": [1, 5]}, {"high": [1, 3, "H", "W"]}, constants)


def _graph(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str]],
    constants: dict[str, np.ndarray],
) -> onnx.GraphProto:
    def values(shapes: dict[str, list[int | str]]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_graph(nodes, "tiny", values(inputs), values(outputs), stored)
