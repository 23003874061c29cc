"""Which parts of a style's picture drive the painting: integrated gradients, by captum.

After "Axiomatic Attribution for Deep Networks" (Sundararajan, Taly & Yan, ICML 2017): gradients with respect to the
reference's pixels, integrated on the straight path from a plain grey picture to the reference. Two targets: the code,
as far as it moves from that of plain grey towards that of the reference; and the painting, likewise.
"""

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from upbrush.explain.findings import StyleSource
from upbrush.explain.scene import Scene
from upbrush.tiles import Box
from upbrush.views import style_view

STEPS, AT_ONCE = 32, 8  # points of the path, by Gauss and Legendre; how many are rendered together
PART_PX = 64  # low pixels a side of the part of the painting that is looked at: gradients of it take 1 GB
CELL_PX = 8  # reference pixels a side over which attributions are summed up: single ones mean nothing
GREY = 0.5


def trace_style(scene: Scene, reference: np.ndarray, part: Box) -> StyleSource:
    """Trace a painting back to the picture its style was taken from.

    reference: (H, W, 3) uint8 RGB of any size. part: the part of the low picture whose painting is looked at.
    """
    view = style_view(reference)
    style = torch.from_numpy(view.copy()).permute(2, 0, 1)[None].float() / 255
    plain = torch.full_like(style, GREY)
    low = scene.crop(part)

    def code_of(x: Tensor) -> Tensor:
        code: Tensor = scene.generator.encoder(x).float()
        return code

    def painting_of(x: Tensor) -> Tensor:
        mods = scene.mods(code=code_of(x))
        painting: Tensor = scene.generator.renderer(low.expand(len(x), -1, -1, -1), mods)
        return painting

    with torch.no_grad():
        ends = [(code_of(x), painting_of(x)) for x in (plain, style)]
    code_way, painting_way = ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]
    code_moved = float(code_way.norm())
    painting_moved = float(255 * painting_way.square().mean().sqrt())

    def along_code(x: Tensor) -> Tensor:
        return ((code_of(x) - ends[0][0]) * code_way).sum(1) / max(code_moved, 1e-12)

    def along_painting(x: Tensor) -> Tensor:
        towards = ((painting_of(x) - ends[0][1]) * painting_way).mean((1, 2, 3))
        return 255**2 * towards / max(painting_moved, 1e-12)

    def traced(target: object) -> np.ndarray:
        method = IntegratedGradients(target, multiply_by_inputs=True)
        found = method.attribute(style, plain, n_steps=STEPS, method="gausslegendre", internal_batch_size=AT_ONCE)
        return in_cells(found[0].sum(0).numpy(), CELL_PX)

    return StyleSource(view, traced(along_code), traced(along_painting), code_moved, painting_moved, part)


def in_cells(values: np.ndarray, cell_px: int) -> np.ndarray:
    """Sums over square cells, the last of each axis as large as what is left: (H, W) -> (h, w)."""
    starts = [np.arange(0, length, cell_px) for length in values.shape]
    sums: np.ndarray = np.add.reduceat(np.add.reduceat(values, starts[0], axis=0), starts[1], axis=1)
    return sums
