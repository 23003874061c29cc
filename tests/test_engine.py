"""Engines: the three calls, files that do not fit, threads, and what happens when memory runs out."""

import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec

import numpy as np
import pytest
from tiny_model import CODE_SIZE, IDENTITY, write_model

from upbrush import engine as engines
from upbrush.engine import Engine, OnnxEngine, OpenVinoEngine, engines_here, open_engine
from upbrush.errors import ConfigError, OutOfMemoryError, StyleError, WeightsError
from upbrush.views import thumbnail

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
NAMES = ["onnxruntime", pytest.param("openvino", marks=needs_openvino)]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def low():
    return np.random.default_rng(0).random((1, 3, 7, 5), np.float32)


@pytest.fixture
def style():
    return np.full((20, 30, 3), (255, 51, 0), np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_the_three_calls(model_dir, low, style, name):
    engine = open_engine(name, model_dir)
    assert isinstance(engine, Engine)
    assert (engine.scale, engine.overlap_px, engine.code_size, engine.identity) == (4, 2, CODE_SIZE, IDENTITY)
    code = engine.encode(style)
    assert code.shape == (CODE_SIZE,)
    assert code.dtype == np.float32
    np.testing.assert_allclose(code[:3], [1, 0.2, 0], atol=1e-4)
    summary = thumbnail(low[0].transpose(1, 2, 0))
    mods = engine.modulate(summary, code, 0.5, 0.25)
    np.testing.assert_allclose(mods, [0.25, -0.15, -0.25, 0.25, summary.max()], atol=1e-4)
    high = engine.render(low, mods)
    assert high.shape == (1, 3, 28, 20)
    assert high.dtype == np.float32
    expected = low.repeat(4, 2).repeat(4, 3) + mods[:3].reshape(1, 3, 1, 1)
    np.testing.assert_allclose(high, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 1)])
def test_a_side_of_one_pixel_is_rendered_as_if_it_were_two(model_dir, monkeypatch, shape):
    """The Renderer mirrors what lies before a border; where there is nothing, it is never asked to."""
    engine, seen = OnnxEngine(model_dir), []
    really_run = engine._run
    monkeypatch.setattr(engine, "_run", lambda name, feed: seen.append(feed["low"].shape) or really_run(name, feed))
    low = np.random.default_rng(2).random((1, 3, *shape), np.float32)
    high = engine.render(low, np.zeros(5, np.float32))
    assert seen == [(1, 3, *(max(2, side) for side in shape))]
    np.testing.assert_allclose(high, low.repeat(4, 2).repeat(4, 3), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_the_callers_own(model_dir, low, name):
    engine = open_engine(name, model_dir)
    mods = np.zeros(5, np.float32)
    first = engine.render(low, mods)
    kept = first.copy()
    engine.render(1 - low, mods)
    np.testing.assert_array_equal(first, kept)


def test_no_code_restores_and_refuses_strength(model_dir, low):
    engine = OnnxEngine(model_dir)
    summary = thumbnail(low[0].transpose(1, 2, 0))
    assert not engine.modulate(summary, None, 0, 0.5)[:3].any()
    with pytest.raises(ConfigError, match="no style"):
        engine.modulate(summary, None, 0.3, 0.5)


def test_a_code_of_another_size_is_refused(model_dir):
    engine = OnnxEngine(model_dir)
    with pytest.raises(StyleError, match="shape"):
        engine.modulate(np.zeros((6, 32, 32), np.float32), np.zeros(100, np.float32), 1, 0.5)


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_a_style_picture_of_another_kind_is_refused(model_dir, picture):
    with pytest.raises(StyleError, match="expected"):
        OnnxEngine(model_dir).encode(picture)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (30000, 2), (20, 79), (20, 83)])
def test_a_style_picture_of_any_shape_is_encoded(model_dir, shape):
    style = np.zeros((*shape, 3), np.uint8)
    style[:, :, 0] = 255
    kept = engines._without_ends(style)
    assert max(kept.shape[:2]) <= 4 * min(shape)
    if max(shape) <= 4 * min(shape):
        assert kept.shape == style.shape
    np.testing.assert_allclose(OnnxEngine(model_dir).encode(style)[:3], [1, 0, 0], atol=1e-3)


def test_files_are_opened_when_first_needed(model_dir, low, monkeypatch):
    engine = OnnxEngine(model_dir)
    opened = []
    really_open = engine._open
    monkeypatch.setattr(engine, "_open", lambda path: opened.append(path.stem) or really_open(path))
    assert opened == []
    engine.render(low, np.zeros(5, np.float32))
    engine.render(low, np.zeros(5, np.float32))
    assert opened == ["renderer"]  # restoring never opens the encoder


@pytest.mark.parametrize("name", ["encoder", "modulator", "renderer"])
def test_a_missing_file_is_told_at_once(model_dir, tmp_path, name):
    folder = shutil.copytree(model_dir, tmp_path / "model")
    (folder / f"{name}.onnx").unlink()
    with pytest.raises(WeightsError, match=rf"{name}\.onnx not found"):
        OnnxEngine(folder)


@pytest.mark.parametrize("content", [b"", b"not a model at all", "cut"])
def test_a_damaged_file_is_named(model_dir, tmp_path, content, low):
    folder = shutil.copytree(model_dir, tmp_path / "model")
    path = folder / "renderer.onnx"
    path.write_bytes(path.read_bytes()[:100] if content == "cut" else content)
    engine = OnnxEngine(folder)
    with pytest.raises(WeightsError, match=r"renderer\.onnx: cannot be opened"):
        engine.render(low, np.zeros(5, np.float32))


def test_files_of_two_models_are_refused(model_dir, tmp_path, low):
    folder = write_model(tmp_path / "model", identity="tiny-1")
    shutil.copy(model_dir / "renderer.onnx", folder)
    engine = OnnxEngine(folder)
    with pytest.raises(WeightsError, match="belongs to model tiny-0"):
        engine.render(low, np.zeros(5, np.float32))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"upbrush_format": "3"}, "format is 3, expected 2"),
        ({"upbrush_format": ""}, "format is not stated"),
        ({"identity": ""}, "no identity"),
        ({"scale": "many"}, "scale is many"),
        ({"code_size": ""}, "code_size is missing"),
    ],
)
def test_facts_that_do_not_fit_are_refused(tmp_path, facts, words):
    with pytest.raises(WeightsError, match=words):
        OnnxEngine(write_model(tmp_path, **facts))


def test_a_model_that_fails_while_running_is_named(model_dir):
    with pytest.raises(WeightsError, match=r"renderer\.onnx: failed while running"):
        OnnxEngine(model_dir).render(np.zeros((1, 5, 4, 4), np.float32), np.zeros(5, np.float32))


def test_memory_that_runs_out_is_named_by_every_runtime():
    words = [
        "Failed to allocate memory for requested buffer",
        "std::bad_alloc",
        "Check 'ptr' failed\nFailed to allocate 8 bytes",
    ]
    for text in words:
        assert isinstance(engines._failed_run(engines.MODEL_DIR, RuntimeError(text)), OutOfMemoryError)
    assert isinstance(engines._failed_run(engines.MODEL_DIR, MemoryError()), OutOfMemoryError)
    assert isinstance(engines._failed_run(engines.MODEL_DIR, RuntimeError("bad node")), WeightsError)


@pytest.mark.parametrize("name", NAMES)
def test_threads_share_an_engine(model_dir, name):
    engine = open_engine(name, model_dir, threads=1)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(10):
            low = rng.random((1, 3, int(rng.integers(2, 30)), 9), np.float32)
            if not np.allclose(engine.render(low, np.zeros(5, np.float32))[..., ::4, ::4], low, atol=1e-6):
                wrong.append(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.parametrize("threads", [0, -2])
def test_threads_out_of_range(model_dir, threads):
    with pytest.raises(ConfigError, match="threads"):
        OnnxEngine(model_dir, threads=threads)


def test_unknown_engines_and_options_are_refused(model_dir, monkeypatch):
    with pytest.raises(ConfigError, match="expected auto, onnxruntime"):
        open_engine("tensorflow", model_dir)
    with pytest.raises(ConfigError, match="expected f32 or bf16"):
        OpenVinoEngine(model_dir, precision="fp8")
    with pytest.raises(ConfigError, match="onnxruntime has no MagicExecutionProvider"):
        OnnxEngine(model_dir, providers=["MagicExecutionProvider"])
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install \"upbrush\[openvino\]\""):
        open_engine("openvino", model_dir)
    assert list(engines_here()) == ["onnxruntime"]


@needs_openvino
def test_openvino_refuses_what_onnxruntime_refuses(model_dir, tmp_path, low):
    folder = write_model(tmp_path / "model", identity="tiny-1")
    shutil.copy(model_dir / "renderer.onnx", folder)
    engine = OpenVinoEngine(folder)
    with pytest.raises(WeightsError, match="belongs to model tiny-0"):
        engine.render(low, np.zeros(5, np.float32))
    (folder / "renderer.onnx").write_bytes(b"")
    with pytest.raises(WeightsError, match="cannot be opened"):
        engine.render(low, np.zeros(5, np.float32))


@needs_openvino
def test_bf16_stays_close(model_dir, low):
    engine = open_engine("openvino-bf16", model_dir)
    assert engine.name == "openvino-bf16"
    np.testing.assert_allclose(engine.render(low, np.zeros(5, np.float32))[..., ::4, ::4], low, atol=0.01)


def test_importing_the_room_loads_no_runtime():
    code = "import sys, upbrush.engine; print([m for m in ('onnxruntime', 'openvino', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
