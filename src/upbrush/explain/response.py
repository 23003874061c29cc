"""Which layers of the Renderer obey a knob, and what each of them does to the picture."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from upbrush.explain.findings import Response
from upbrush.explain.scene import Scene
from upbrush.nn.generator import COLOUR_MODS, Renderer
from upbrush.tiles import Box

SETTINGS = (0.0, 0.25, 0.5, 0.75, 1.0)


def respond(scene: Scene, part: Box) -> Response:
    """Turn strength from 0 to 1 (without a style: fidelity) and see what each layer does about it."""
    renderer, low = scene.generator.renderer, scene.crop(part)
    knob = "fidelity" if scene.code is None else "strength"
    with torch.no_grad():
        settings = [scene.mods(strength=v) if knob == "strength" else scene.mods(fidelity=v) for v in SETTINGS]
        outputs = [layer_outputs(renderer, low, mods) for mods in settings]
        first, last = settings[0], settings[-1]
        start, end = (renderer(low, mods) for mods in (first, last))
        alone, without = [], []
        for own in mod_slices(renderer):
            only, others = first.clone(), last.clone()
            only[:, own], others[:, own] = last[:, own], first[:, own]
            alone.append(_gap(renderer(low, only), start))
            without.append(_gap(renderer(low, others), start))
    activations = [[_relative(one, zero) for one, zero in zip(found, outputs[0], strict=True)] for found in outputs]
    scales = [slice(own.start, (own.start + own.stop) // 2) for own in mod_slices(renderer)[:-1]]
    scaled = [float((last[:, own] - first[:, own]).abs().mean()) for own in scales]
    return Response(
        knob, layer_names(renderer), SETTINGS, np.array(activations), np.array(scaled), np.array(alone),
        np.array(without), _gap(end, start), part,
    )  # fmt: skip


def convolutions(renderer: Renderer) -> list[nn.Module]:
    """The layers that mods steer, in their order."""
    return [renderer.head, *renderer.body, renderer.up, *renderer.fine, renderer.out]


def layer_names(renderer: Renderer) -> tuple[str, ...]:
    """What the layers are called, in their order."""
    body = (f"body {number}" for number in range(1, len(renderer.body) + 1))
    fine = (f"fine {number}" for number in range(1, len(renderer.fine) + 1))
    return ("head", *body, "up", *fine, "out")


def mod_slices(renderer: Renderer) -> list[slice]:
    """Where in the mods each layer's numbers are, its scales and then as many shifts; the colour matrix comes last."""
    ends = np.cumsum([2 * width for width in renderer.widths])
    starts = [0, *ends[:-1]]
    own = [slice(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]
    return [*own, slice(int(ends[-1]), int(ends[-1]) + COLOUR_MODS)]


def layer_outputs(renderer: Renderer, low: Tensor, mods: Tensor) -> list[Tensor]:
    """What each layer gives after its scale and shift: (1, C, h, w) each."""
    with _listening(convolutions(renderer)) as heard:
        renderer(low, mods)
    outputs = []
    for raw, own in zip(heard, mod_slices(renderer)[:-1], strict=True):
        scale, shift = mods[:, own].chunk(2, 1)
        outputs.append(raw * (1 + scale)[..., None, None] + shift[..., None, None])
    return outputs


@contextmanager
def _listening(modules: list[nn.Module]) -> Iterator[list[Tensor]]:
    heard: list[Tensor] = []
    hooks = [module.register_forward_hook(lambda _, __, output: heard.append(output)) for module in modules]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).square().mean().sqrt() / other.square().mean().sqrt().clamp_min(1e-12))


def _gap(one: Tensor, other: Tensor) -> float:
    return float(255 * (one.clamp(0, 1) - other.clamp(0, 1)).square().mean().sqrt())
