"""Weights on disk, and weights as ONNX: the same numbers, or a refusal."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from tiny_nets import tiny_config, tiny_generator

from upbrush import export, styles, weights
from upbrush.engine import MODEL_DIR
from upbrush.errors import StyleError, WeightsError

pytestmark = [  # torch's exporter itself, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    weights.save(path, tiny_generator(), tiny_config(), {"step": "3"})
    return path


@pytest.fixture(scope="module")
def exported(saved, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return folder, export.export(saved, folder)


def test_weights_rebuild_themselves(saved):
    generator, config, header = weights.load(saved)
    assert config == tiny_config()
    assert header["step"] == "3"
    assert saved.stat().st_mode & 0o777 == 0o644
    expected = tiny_generator().state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in generator.state_dict().items())


def test_identity_names_the_values_not_their_precision(saved):
    generator = weights.load(saved)[0]
    name = weights.identity(generator.state_dict())
    assert len(name) == 12
    assert weights.identity(generator.half().state_dict()) == name
    with torch.no_grad():
        generator.renderer.head.bias[0] += 1
    assert weights.identity(generator.state_dict()) != name


def test_unusable_weights_are_said(tmp_path, saved):
    (tmp_path / "text.safetensors").write_text("no tensors")
    (tmp_path / "cut.safetensors").write_bytes(saved.read_bytes()[:-100])
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    state = {key: value.clone() for key, value in tiny_generator().state_dict().items()}
    state["renderer.head.weight"] = torch.zeros(9, 3, 3, 3)
    header = {"upbrush_format": "2", "config": tiny_config().model_dump_json()}
    save_file(state, tmp_path / "shape.safetensors", header)
    save_file(state, tmp_path / "newer.safetensors", header | {"upbrush_format": "3"})
    cases = {"text": "cannot be read", "cut": "cannot be read", "none": "cannot be read", "other": "format none"}
    for name, words in (cases | {"shape": "does not fit", "newer": "format 3"}).items():
        with pytest.raises(WeightsError, match=words) as error:
            weights.load(tmp_path / f"{name}.safetensors")
        assert "\n" not in str(error.value)


def test_export_writes_three_graphs_and_the_weights(exported):
    folder, paths = exported
    assert sorted(p.name for p in folder.iterdir()) == [
        "encoder.onnx",
        "modulator.onnx",
        "renderer.onnx",
        "weights.safetensors",
    ]
    assert sorted(paths) == sorted(folder.iterdir())
    facts = [{p.key: p.value for p in onnx.load(folder / f"{n}.onnx").metadata_props} for n in export.OUTPUTS]
    assert facts[0] == facts[1] == facts[2]
    generator, _, header = weights.load(folder / "weights.safetensors")
    assert facts[0]["identity"] == header["identity"] == weights.identity(generator.state_dict())
    assert facts[0]["overlap_px"] == str(generator.renderer.overlap_px)


def test_graphs_hold_large_arrays_in_half_precision_and_lose_nothing_by_it(exported):
    folder, _ = exported
    state = weights.load(folder / "weights.safetensors")[0].state_dict()
    graph = onnx.load(folder / "modulator.onnx").graph
    arrays = {array.name: onnx.numpy_helper.to_array(array) for array in graph.initializer}
    large = {key: value for key, value in arrays.items() if value.size >= export.HALVED}
    assert large
    assert {value.dtype for value in large.values()} == {np.dtype(np.float16)}
    assert np.dtype(np.float32) in {value.dtype for value in arrays.values()}, "small ones are no matter of size"
    last = state["modulator.repaint.4.weight"].numpy()
    assert any(
        np.array_equal(value.astype(np.float32), weight) for value in large.values() for weight in (last, last.T)
    )


def test_tuned_weights_keep_the_packages_styles(tmp_path, exported, monkeypatch):
    monkeypatch.setattr(export, "_write", lambda net, inputs, sizes, output, path, facts: path.write_bytes(b""))
    monkeypatch.setattr(export, "_disagreement", lambda *_: 0.0)
    generator, config, _ = weights.load(MODEL_DIR / "weights.safetensors")
    with torch.no_grad():
        generator.modulator.repaint[4].bias += 0.01
    weights.save(tmp_path / "tuned.safetensors", generator, config, {})
    export.export(tmp_path / "tuned.safetensors", tmp_path / "model")
    identity = weights.load(tmp_path / "model" / "weights.safetensors")[2]["identity"]
    shipped, carried = styles.library(MODEL_DIR), styles.library(tmp_path / "model")
    assert carried.keys() == shipped.keys()
    assert {style.model for style in carried.values()} == {identity} != {shipped["monet"].model}
    assert np.array_equal(carried["monet"].code, shipped["monet"].code)
    drawn = styles.random(7, tmp_path / "model")
    assert drawn.model == identity
    assert np.array_equal(drawn.code, styles.random(7).code)
    with pytest.raises(StyleError, match="no random styles"):  # another StyleEncoder's codes are no use to it
        styles.random(7, exported[0])


@torch.no_grad()
@pytest.mark.parametrize("size", [(2, 2), (5, 19), (40, 23)])
def test_onnx_equals_torch_at_odd_sizes(exported, size):
    folder, _ = exported
    generator = weights.load(folder / "weights.safetensors")[0]
    low = torch.rand(1, 3, *size)
    mods = torch.randn(1, generator.renderer.mods) * 0.2
    session = onnxruntime.InferenceSession(str(folder / "renderer.onnx"), providers=["CPUExecutionProvider"])
    high = session.run(None, {"low": low.numpy(), "mods": mods.numpy()})[0]
    assert np.abs(high - generator.renderer(low, mods).numpy()).max() < 1e-4


def test_a_disagreement_is_refused_and_leaves_nothing(saved, exported, tmp_path, monkeypatch):
    graph = (exported[0] / "encoder.onnx").read_bytes()  # which need not be traced again
    monkeypatch.setattr(export, "_write", lambda net, inputs, sizes, output, path, facts: path.write_bytes(graph))
    monkeypatch.setattr(export, "_disagreement", lambda *_: float("nan"))
    with pytest.raises(WeightsError, match="differ by nan"):
        export.export(saved, tmp_path / "model")
    assert not list((tmp_path / "model").glob("*.onnx"))
    assert not list((tmp_path / "model").glob(".*"))
