"""Weights (a generator in safetensors, which rebuilds itself) and state (all that a run needs to go on)."""

import hashlib
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from upbrush.config import Config, check
from upbrush.errors import WeightsError
from upbrush.nn.generator import Generator

FORMAT = "2"


def identity(state: Mapping[str, Tensor]) -> str:
    """A name for these weights, 12 hexadecimal digits: the hash of their half-precision values, in order of key."""
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(state[key].detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def save(path: Path, generator: Generator, config: Config, note: Mapping[str, str], *, half: bool = False) -> None:
    """Write weights, with the resolved settings in the header; `note` adds lines of its own (command, measurements).

    half: store 16-bit floats, as shipped weights are. Written to a temporary name, then renamed.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in generator.state_dict().items()}
    header = {"upbrush_format": FORMAT, "config": config.model_dump_json(), "identity": identity(state), **note}
    if half:
        state = {key: value.half() for key, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(state, temporary, metadata=header)
        temporary.chmod(0o644)  # safetensors makes files that only their owner reads, and these are to be shipped
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def handed_down(header: Mapping[str, str], origin: str) -> dict[str, str]:
    """What weights that are made of others without training tell in their header: `note` for `save`.

    header: of the others: their data, steps and seconds stay. origin: how the new ones were made, as `from`.
    """
    return {key: header[key] for key in ("data", "step", "seconds") if key in header} | {"from": origin}


def load(path: Path) -> tuple[Generator, Config, dict[str, str]]:
    """Rebuild a generator from its file: the generator in float32 on the CPU, its settings, its header.

    Raises WeightsError where the file is missing, damaged, of a newer format, or does not fit its own settings.
    """
    try:
        with safe_open(path, "pt") as file:
            header = dict(file.metadata() or {})
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read as weights ({error}); expected a .safetensors of upbrush") from None
    if header.get("upbrush_format") != FORMAT:
        found = header.get("upbrush_format", "none")
        raise WeightsError(f"{path}: weights of format {found}, expected {FORMAT}; use the upbrush that wrote them")
    config = check(json.loads(header["config"]), str(path))
    generator = Generator(config.model)
    try:
        generator.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(
            f"{path}: does not fit its own settings ({reason}); damaged, or of another upbrush"
        ) from None
    return generator.eval(), config, header


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a run's state: plain tensors and numbers, temporary name first."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        torch.save(state, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_state(path: Path) -> dict[str, Any]:
    """Read a run's state back. Raises WeightsError where it is damaged."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path}: the run's state cannot be read ({error}); start again in another folder") from None
    return state
