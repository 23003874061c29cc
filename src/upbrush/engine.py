"""The model files behind three calls: encode, modulate, render.

An engine is anything with the attributes and calls of `Engine`: the two here, which read the same three ONNX files, or
a test's stand-in. The runtime is imported when an engine is opened, so importing this room costs nothing.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from upbrush.errors import ConfigError, OutOfMemoryError, StyleError, WeightsError
from upbrush.views import style_view

MODEL_DIR = Path(__file__).parent / "model"
FORMAT = "2"  # of the three files; a reader of another format refuses them
FILES = ("encoder", "modulator", "renderer")
ENGINES = ("onnxruntime", "cuda", "openvino", "openvino-bf16")
PRECISIONS = ("f32", "bf16")

Run = Callable[[dict[str, np.ndarray]], np.ndarray]


@runtime_checkable
class Engine(Protocol):
    """What the Painter asks of a model."""

    @property
    def scale(self) -> int:
        """How many times larger a picture comes out, per side."""
        ...

    @property
    def overlap_px(self) -> int:
        """How far the Renderer sees, in low pixels; tiles overlap by as much."""
        ...

    @property
    def code_size(self) -> int:
        """Numbers in a style code."""
        ...

    @property
    def identity(self) -> str:
        """Names the weights; a style code belongs to one identity."""
        ...

    def encode(self, style: np.ndarray) -> np.ndarray:
        """Sum a style picture up: (H, W, 3) uint8 RGB of any size -> (code_size,) float32."""
        ...

    def modulate(self, thumbnail: np.ndarray, code: np.ndarray | None, strength: float, fidelity: float) -> np.ndarray:
        """Turn the whole picture's thumbnail, the style code and the knobs into the Renderer's mods.

        thumbnail: (6, 32, 32) float32 of `views.thumbnail`. code: (code_size,) float32, or (code_size + K,) of a fitted
        style: behind the code, what strength 1 adds to its mods. None for restoring, which goes with strength 0 only.
        strength, fidelity: in [0, 1]. Returns (K,) float32.
        """
        ...

    def render(self, low: np.ndarray, mods: np.ndarray) -> np.ndarray:
        """Enlarge one tile: (1, 3, h, w) float32 in [0, 1] -> (1, 3, scale*h, scale*w) float32, not clipped."""
        ...


@dataclass(frozen=True)
class Graph:
    """One opened model file."""

    run: Run
    facts: Mapping[str, str]  # the file's metadata


class _FileEngine:
    """What the engines share: three files that must belong together, each opened when first needed.

    The modulator is opened at once, because every use needs it and it tells the model's identity.
    """

    def __init__(self, model_dir: Path | str | None, threads: int | None) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"threads is {threads}, expected 1 or more; leave it out to use all cores")
        self.model_dir = Path(model_dir) if model_dir is not None else MODEL_DIR
        self.threads = threads
        missing = [f"{name}.onnx" for name in FILES if not (self.model_dir / f"{name}.onnx").is_file()]
        if missing:
            raise WeightsError(
                f"{self.model_dir}: {', '.join(missing)} not found; a model is encoder.onnx, modulator.onnx and "
                "renderer.onnx in one folder: reinstall upbrush, or make them with `upbrush export`"
            )
        self._graphs: dict[str, Graph] = {}
        self._lock = threading.Lock()
        facts = self._open_checked("modulator")
        self.identity = facts["identity"]
        self.scale = self._number(facts, "scale")
        self.overlap_px = self._number(facts, "overlap_px", least=0)
        self.code_size = self._number(facts, "code_size")

    def encode(self, style: np.ndarray) -> np.ndarray:
        """Sum a style picture up: (H, W, 3) uint8 RGB of any size -> (code_size,) float32.

        Raises StyleError for an array of another kind.
        """
        if style.ndim != 3 or style.shape[2] != 3 or style.dtype != np.uint8 or 0 in style.shape:
            raise StyleError(f"a style picture is {style.shape} {style.dtype}, expected (H, W, 3) uint8 RGB")
        view = style_view(_without_ends(style)).astype(np.float32) / 255
        code: np.ndarray = self._run("encoder", {"style": view.transpose(2, 0, 1)[None]})[0]
        return code

    def modulate(self, thumbnail: np.ndarray, code: np.ndarray | None, strength: float, fidelity: float) -> np.ndarray:
        """Turn thumbnail, code and knobs into mods: see `Engine.modulate`.

        Raises ConfigError for a strength without a code, StyleError for a code of another size.
        """
        if code is None:
            if strength:
                raise ConfigError(f"strength is {strength} and there is no style; give a style, or strength 0")
            code = np.zeros(self.code_size, np.float32)
        own, fitted = code[: self.code_size], code[self.code_size :]
        if own.shape != (self.code_size,):
            raise StyleError(f"the style code is of shape {code.shape}, expected ({self.code_size},); make it again")
        feed = {
            "thumbnail": thumbnail[None],
            "code": own[None],
            "strength": np.full((1, 1), strength),
            "fidelity": np.full((1, 1), fidelity),
        }
        mods: np.ndarray = self._run("modulator", feed)[0]
        if fitted.size not in (0, mods.size):
            raise StyleError(
                f"the style was fitted to a model of {fitted.size} mods, this one has {mods.size}; make it again"
            )
        return mods + np.float32(strength) * fitted if fitted.size else mods

    def render(self, low: np.ndarray, mods: np.ndarray) -> np.ndarray:
        """Enlarge one tile: (1, 3, h, w) float32 in [0, 1] -> (1, 3, scale*h, scale*w) float32, not clipped.

        Raises OutOfMemoryError where the runtime cannot have the memory it needs.
        """
        height, width = low.shape[2:]
        for axis in (2, 3):
            if low.shape[axis] == 1:  # the Renderer mirrors what lies before a border, and here is nothing
                low = np.repeat(low, 2, axis)
        high = self._run("renderer", {"low": low, "mods": mods[None]})
        return high[..., : self.scale * height, : self.scale * width]

    def _open(self, path: Path) -> Graph:
        raise NotImplementedError

    def _run(self, name: str, feed: dict[str, np.ndarray]) -> np.ndarray:
        graph = self._graphs.get(name)
        if graph is None:
            self._open_checked(name)
            graph = self._graphs[name]
        return graph.run({key: np.ascontiguousarray(value, np.float32) for key, value in feed.items()})

    def _open_checked(self, name: str) -> Mapping[str, str]:
        """Open a file once, whichever thread comes first, and see that it belongs to the others."""
        with self._lock:
            if name not in self._graphs:
                path = self.model_dir / f"{name}.onnx"
                graph = self._open(path)
                found = graph.facts.get("upbrush_format")
                if found != FORMAT:
                    raise WeightsError(
                        f"{path}: format is {found or 'not stated'}, expected {FORMAT}; export the model anew with "
                        "this version of upbrush"
                    )
                identity = graph.facts.get("identity")
                if not identity:
                    raise WeightsError(f"{path}: no identity is stored in it; export the model anew")
                if name != "modulator" and identity != self.identity:
                    raise WeightsError(
                        f"{path}: belongs to model {identity}, modulator.onnx beside it to {self.identity}; keep the "
                        "three files of one export together"
                    )
                self._graphs[name] = graph
            return self._graphs[name].facts

    def _number(self, facts: Mapping[str, str], key: str, least: int = 1) -> int:
        text = facts.get(key, "")
        if not text.isdecimal() or int(text) < least:
            raise WeightsError(
                f"{self.model_dir / 'modulator.onnx'}: {key} is {text or 'missing'}, expected a whole number from "
                f"{least}; export the model anew"
            )
        return int(text)


class OnnxEngine(_FileEngine):
    """The model run by onnxruntime. Safe to call from several threads.

    model_dir: the folder of the three files, by default the shipped model. threads: of one call; None leaves it to
    the runtime. providers: onnxruntime's execution providers in order of preference, by default the CPU alone, which
    is where the model is tested.
    """

    name = "onnxruntime"

    def __init__(
        self,
        model_dir: Path | str | None = None,
        threads: int | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        import onnxruntime

        onnxruntime.disable_telemetry_events()  # Windows builds send them by default
        unknown = [name for name in providers if name not in onnxruntime.get_available_providers()]
        if unknown:
            raise ConfigError(
                f"onnxruntime has no {', '.join(unknown)} here; it has "
                f"{', '.join(onnxruntime.get_available_providers())}"
            )
        self._providers = tuple(providers)
        super().__init__(model_dir, threads)

    @property
    def provider(self) -> str:
        """Where it runs."""
        return self._providers[0].removesuffix("ExecutionProvider")

    def _open(self, path: Path) -> Graph:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        # onnxruntime's errors share no parent but Exception.
        failures = (
            *(state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NoSuchFile),
            *(state.NotImplemented, state.RuntimeException, state.NoModel),
        )
        # The memory arena stays on: without it a tile of 512 pixels takes 1.5 times as long, as every layer's memory
        # comes fresh from the system, to save a quarter of the peak (2.4 instead of 3.3 KB for each low pixel).
        options = onnxruntime.SessionOptions()
        # Each session has threads of its own, which go on spinning when it is done: beside two cores' worth of the
        # modulator's, the Renderer took 88 ms instead of 55. One thread is enough for a network of no size.
        options.intra_op_num_threads = 1 if path.stem == "modulator" else self.threads or 0
        if path.stem == "encoder":
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.inter_op_num_threads = 1  # the graphs are chains
        options.log_severity_level = 4  # what matters comes as an error
        try:
            session = onnxruntime.InferenceSession(path, options, providers=list(self._providers))
        except failures as error:
            raise WeightsError(_damaged(path, error)) from None

        if session.get_providers()[0] != self._providers[0]:  # onnxruntime would go on without it, many times slower
            raise ConfigError(
                f"onnxruntime cannot use {self.provider} here; see its drivers and libraries, or use the CPU"
            )

        def run(feed: dict[str, np.ndarray]) -> np.ndarray:
            try:
                return np.asarray(session.run(None, feed)[0], np.float32)
            except (*failures, MemoryError) as error:
                raise _failed_run(path, error) from None

        return Graph(run, session.get_modelmeta().custom_metadata_map)


class OpenVinoEngine(_FileEngine):
    """The same files run by OpenVINO, an optional extra. Safe to call from several threads.

    precision: "f32", or "bf16", which CPUs with the instructions for it run faster; only the Renderer takes it, and
    other CPUs compute in f32 whatever is asked.
    """

    def __init__(self, model_dir: Path | str | None = None, threads: int | None = None, precision: str = "f32") -> None:
        if precision not in PRECISIONS:
            raise ConfigError(f"precision is {precision!r}, expected {' or '.join(PRECISIONS)}")
        if find_spec("openvino") is None:
            raise ConfigError('engine openvino: not installed; pip install "upbrush[openvino]"')
        self.precision = precision
        self.name = "openvino" if precision == "f32" else f"openvino-{precision}"
        self._core = _openvino_core()
        super().__init__(model_dir, threads)

    @property
    def provider(self) -> str:
        """Where it runs."""
        return "CPU"

    def _open(self, path: Path) -> Graph:
        precision = self.precision if path.stem == "renderer" else "f32"
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if self.threads:
            settings["INFERENCE_NUM_THREADS"] = self.threads
        try:
            model = self._core.read_model(path)
            compiled = self._core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise WeightsError(_damaged(path, error)) from None
        facts = dict(model.rt_info.items()).get("framework", {})
        own = threading.local()  # a request holds one call's tensors, so each thread has its own

        def run(feed: dict[str, np.ndarray]) -> np.ndarray:
            if not hasattr(own, "request"):
                own.request = compiled.create_infer_request()
            try:
                return np.asarray(own.request.infer(feed)[0], np.float32)
            except (RuntimeError, MemoryError) as error:
                raise _failed_run(path, error) from None

        return Graph(run, {key: str(getattr(value, "value", value)) for key, value in facts.items()})


@cache
def _openvino_core() -> Any:
    """One for the whole process, never freed.

    OpenVINO's CPU plugin gives the thread an alternate signal stack and frees it with its last core, but leaves it in
    use: the next signal that Python handles, such as the end of a child process, is then a segmentation fault.
    """
    import openvino

    return openvino.Core()


def open_engine(name: str = "auto", model_dir: Path | str | None = None, threads: int | None = None) -> Engine:
    """Open a model with the engine of that name.

    name: "onnxruntime", "cuda" (onnxruntime-gpu on a GPU), "openvino" or "openvino-bf16"; "auto" takes the first, which
    is always there. model_dir and threads as in OnnxEngine. Raises ConfigError for an unknown or missing engine,
    WeightsError for files that are missing, damaged or do not belong together.
    """
    if name in ("auto", "onnxruntime"):
        return OnnxEngine(model_dir, threads)
    if name == "cuda":
        return OnnxEngine(model_dir, threads, ("CUDAExecutionProvider", "CPUExecutionProvider"))
    if name in ENGINES:
        return OpenVinoEngine(model_dir, threads, precision="bf16" if name.endswith("bf16") else "f32")
    raise ConfigError(f"engine {name!r} is unknown; expected auto, {', '.join(ENGINES)}")


def engines_here() -> dict[str, str]:
    """The engines that can be opened on this machine, each with the runtime's version."""
    here = {"onnxruntime": metadata.version("onnxruntime")}
    if find_spec("openvino") is not None:
        version = metadata.version("openvino")
        here |= {"openvino": version, "openvino-bf16": version}
    return here


def _without_ends(style: np.ndarray) -> np.ndarray:
    """The middle of a very long picture: the view keeps two short sides of it, and would enlarge all of it first."""
    most = 4 * min(style.shape[:2])
    starts = [max(0, side - most) // 2 for side in style.shape[:2]]
    return style[starts[0] : starts[0] + most, starts[1] : starts[1] + most]


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _damaged(path: Path, error: BaseException) -> str:
    return f"{path}: cannot be opened ({_first_line(error)}); reinstall upbrush, or make it with `upbrush export`"


def _failed_run(path: Path, error: BaseException) -> OutOfMemoryError | WeightsError:
    text = str(error).lower()
    if isinstance(error, MemoryError) or "allocat" in text or "bad_alloc" in text:
        return OutOfMemoryError("the tile needs more memory than there is; lower the budget, as with --memory 300MB")
    return WeightsError(f"{path}: failed while running ({_first_line(error)}); make the model anew")
