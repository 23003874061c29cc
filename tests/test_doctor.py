"""The doctor: says what is here, what is not, and what to do about it."""

import pytest
from conftest import FakeEngine
from tiny_model import IDENTITY, write_library

from upbrush import doctor, engine
from upbrush.doctor import Speed
from upbrush.errors import ConfigError


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(doctor, "TILE_PX", 16)
    monkeypatch.setattr(doctor, "MOST_SECONDS", 0.01)


@pytest.fixture
def model_dir(tmp_path):
    return write_library(tmp_path / "model")


def test_a_whole_model_is_well(model_dir):
    health = doctor.examine(model_dir, threads=1)
    assert health.problem is None
    assert (health.identity, health.styles) == (IDENTITY, 3)
    assert all(size for size in health.files.values())
    assert [speed.engine for speed in health.speeds] == list(engine.engines_here())
    assert all(speed.megapixels > 0 for speed in health.speeds)
    assert health.parts.keys() == doctor.PARTS.keys()


def test_a_broken_model_is_told_not_raised(model_dir, tmp_path):
    (model_dir / "renderer.onnx").write_bytes(b"broken")
    health = doctor.examine(model_dir)
    assert "renderer.onnx: cannot be opened" in health.problem
    assert health.identity == IDENTITY
    (model_dir / "encoder.onnx").unlink()
    health = doctor.examine(model_dir)
    assert "encoder.onnx not found" in health.problem
    assert (health.files["encoder.onnx"], health.identity, health.speeds) == (None, None, ())


def test_an_engine_that_fails_does_not_hide_the_others(model_dir, monkeypatch):
    really_open = doctor.open_engine

    def sometimes(name, *rest):
        if name == "broken":
            raise ConfigError("no such instruction")
        return really_open(name, *rest)

    monkeypatch.setattr(doctor, "engines_here", lambda: {"broken": "0", "onnxruntime": "1"})
    monkeypatch.setattr(doctor, "open_engine", sometimes)
    broken, usual = doctor.examine(model_dir).speeds
    assert (broken.megapixels, broken.error) == (None, "no such instruction")
    assert usual.megapixels


def test_a_missing_part_has_no_version():
    assert doctor.metadata_version("surely-not-installed-anywhere") is None
    assert doctor.metadata_version("numpy")


def test_the_measure_counts_output(monkeypatch):
    clock = iter(range(100))  # every render takes a second
    monkeypatch.setattr(doctor.time, "perf_counter", lambda: float(next(clock)))
    assert doctor.measure(FakeEngine()) == pytest.approx((4 * 16) ** 2 / 1e6)


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({"onnxruntime": 1.0, "openvino": 1.1, "openvino-bf16": 2.0}, ["openvino-bf16 is 2.0 times as fast"]),
        ({"onnxruntime": 1.0, "openvino": 1.1}, []),
        ({"onnxruntime": 1.0}, ["pip install"]),
        ({"onnxruntime": None, "openvino": 1.0}, []),
    ],
)
def test_advice_follows_the_numbers(monkeypatch, rates, words):
    monkeypatch.setattr(doctor.platform, "machine", lambda: "x86_64")
    advice = list(doctor.advise(tuple(Speed(name, "1", "CPU", rate) for name, rate in rates.items())))
    assert len(advice) == len(words)
    assert all(word in sentence for word, sentence in zip(words, advice, strict=True))


def test_no_advice_to_install_where_it_would_not_help(monkeypatch):
    monkeypatch.setattr(doctor.platform, "machine", lambda: "arm64")
    assert not list(doctor.advise((Speed("onnxruntime", "1", "CPU", 1.0),)))
