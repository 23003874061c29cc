"""The face embedding as a loss: the same numbers as the one that measures, and gradients through it."""

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("cv2")


from PIL import Image  # noqa: E402
from tiny_nets import tiny_config  # noqa: E402

from upbrush import train  # noqa: E402
from upbrush.dataset import Batches, scan  # noqa: E402
from upbrush.errors import ConfigError, WeightsError  # noqa: E402
from upbrush.measure.faces import CROP_PX, FILES, Detector, Faces  # noqa: E402
from upbrush.nn import embedding  # noqa: E402

FOLDER = os.environ.get("UPBRUSH_FACES")
HAS_FACES = FOLDER is not None and all((Path(FOLDER) / name).is_file() for name in FILES.values())
needs_faces = pytest.mark.skipif(not HAS_FACES, reason="UPBRUSH_FACES names no folder with the face networks")


def network(path, last="Clip"):
    """A small network of the same operations: two convolutions, a sum, a rectifier, a vector."""
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    shapes = {"a": (8, 3, 3, 3), "b": (8, 1, 3, 3), "c": (128, 8, 7, 7)}
    stored = [numpy_helper.from_array(rng.normal(0, 0.2, s).astype(np.float32), n) for n, s in shapes.items()]
    stored += [numpy_helper.from_array(rng.normal(0, 0.1, s[0]).astype(np.float32), n + "0") for n, s in shapes.items()]
    stored += [numpy_helper.from_array(np.float32(x), n) for n, x in (("zero", 0), ("six", 6))]

    def conv(x, name, y, stride, pad, group):
        return helper.make_node("Conv", [x, name, name + "0"], [y], strides=[stride] * 2, pads=[pad] * 4, group=group,
                                kernel_shape=list(shapes[name][2:]), dilations=[1, 1])  # fmt: skip

    bounds = ["zero", "six"] if last == "Clip" else []
    nodes = [
        conv("input0", "a", "x.1", 8, 1, 1),
        helper.make_node("Clip", ["x.1", "zero", "six"], ["x.2"]),
        conv("x.2", "b", "x.3", 1, 1, 8),
        helper.make_node("Add", ["x.2", "x.3"], ["x.4"]),
        helper.make_node(last, ["x.4", *bounds], ["x.5"]),
        conv("x.5", "c", "x.6", 7, 0, 1),
        helper.make_node("GlobalAveragePool", ["x.6"], ["output0"]) if last == "Tanh" else
        helper.make_node("Relu", ["x.6"], ["output0"]),
    ]  # fmt: skip
    values = [helper.make_tensor_value_info("input0", 1, [1, 3, CROP_PX, CROP_PX])]
    graph = helper.make_graph(nodes, "small", values, [helper.make_tensor_value_info("output0", 1, None)], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path / FILES["embedding"]))


WHOLE = torch.eye(2, 3)[None]


def test_the_networks_numbers_are_onnxruntimes(tmp_path):
    import onnxruntime

    network(tmp_path)
    net = embedding.load(tmp_path)
    pictures = torch.rand(2, 3, CROP_PX, CROP_PX)
    session = onnxruntime.InferenceSession(tmp_path / FILES["embedding"], providers=["CPUExecutionProvider"])
    fed = ((pictures - net.mean) / net.deviation).numpy()
    theirs = np.stack([session.run(None, {"input0": one[None]})[0].mean((0, 2, 3)) for one in fed])
    ours = net(pictures, WHOLE.expand(2, 2, 3)).view(2, 128, -1).mean(2).numpy()
    ours, theirs = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (ours, theirs))
    assert np.abs(ours - theirs).max() < 1e-3
    assert net(pictures[:0], WHOLE[:0]).shape == (0, 128)


def test_another_kind_of_network_is_refused(tmp_path):
    network(tmp_path, last="Tanh")
    with pytest.raises(WeightsError, match="has a Tanh"):
        embedding.load(tmp_path)
    with pytest.raises(WeightsError, match="cannot be read"):
        embedding.load(tmp_path / "nowhere")


def test_a_recipe_that_compares_faces_asks_for_the_networks(tmp_path):
    config = tiny_config(loss={"identity": 1.0}, data={"sharp": 0, "repaint": 0})
    with pytest.raises(ConfigError, match=r"--faces, or --set loss\.identity=0"):
        train.run(config, [tmp_path], tmp_path / "run")


@pytest.fixture
def astronaut(tmp_path):
    photographs = pytest.importorskip("upbrush.photographs")
    pytest.importorskip("skimage")
    folder = tmp_path / "face"
    folder.mkdir()
    Image.fromarray(photographs.photograph("astronaut", 320)).save(folder / "astronaut.png")
    return folder


@needs_faces
def test_what_is_trained_on_is_what_is_measured(astronaut):
    """The batch's faces, cut and embedded, are those that Faces would find and embed."""
    data = {"crop_px": 160, "restore": 1, "sharp": 2, "repaint": 1, "zoom": 0.5, "workers": 0}
    drawn = Batches(scan([astronaut]), tiny_config(data=data), faces=Path(FOLDER))
    net, judge, finder, seen = embedding.load(Path(FOLDER)), Faces(Path(FOLDER)), Detector(Path(FOLDER), 160), 0
    kinds = set()  # places in a batch: at fidelity 1, below it twice, a repaint
    for step in range(12):
        batch = drawn[step]
        kinds |= set(batch.faces.flatten(1).any(1).nonzero()[:, 0].tolist())
        for picture, face in zip(batch.high, batch.faces, strict=True):
            pixels = (picture.permute(1, 2, 0) * 255).round().byte().numpy()
            if not face.any():
                continue
            found = finder.find(pixels)
            ours = net(picture[None], face[None])[0].numpy()
            assert float(ours @ judge.embed(pixels, found[0])) > 0.999
            seen += 1
    assert seen > 3
    assert kinds == {0, 1, 2, 3}


@needs_faces
def test_a_blurred_face_finds_its_way_back(astronaut):
    data = {"crop_px": 160, "restore": 0, "sharp": 2, "repaint": 0, "zoom": 0.5, "workers": 0}
    drawn = Batches(scan([astronaut]), tiny_config(data=data), faces=Path(FOLDER))
    batch = next(batch for batch in map(drawn.__getitem__, range(20)) if batch.faces.any())
    rows = batch.faces.any(2).any(1)
    net = embedding.load(Path(FOLDER))
    truth, faces = batch.high[rows], batch.faces[rows]
    known = net(truth, faces)
    picture = torch.nn.functional.avg_pool2d(truth, 9, 1, 4).requires_grad_(True)
    before = (net(picture, faces) * known).sum()
    (gradient,) = torch.autograd.grad(before, picture)
    after = (net(picture + 2 * gradient / gradient.norm(), faces) * known).sum()
    assert after > before + 0.01
