"""Muon for wide layers, Adam for everything else: the optimiser of the generator.

A wide layer's step is its momentum with all singular values set to about one, so that directions with small gradients
are learnt as fast as those with large ones (Jordan et al., "Muon: An optimizer for hidden layers in neural networks",
2024). `torch.optim.Muon` takes matrices only, and a network's convolutions cannot be given to it as views.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of the quintic iteration, by Jordan et al.
ITERATIONS = 5
SMALLEST = 32  # channels in and out from which a layer is a matrix worth orthogonalising
LIKE_ADAM = 0.2  # makes a step's root mean square that of Adam (Liu et al., "Muon is scalable for LLM training", 2025)


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for wide layers, Adam for all other parameters, at one learning rate.

    params: parameters, or groups of them. lr: of both, in Adam's units. betas: of Adam. momentum: of Muon (Nesterov).
    weight_decay: of wide convolutions, times lr, apart from the gradient. Steps as long in all directions let weights
    grow in those that no picture asks for (docs/log.md, 53).
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ):
        defaults = {"lr": lr, "betas": betas, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Also of runs that were saved before weights decayed."""
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("weight_decay", 0.0)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients; closures are not supported."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            learning = [parameter for parameter in group["params"] if parameter.grad is not None]
            if narrow := [parameter for parameter in learning if not _is_wide(parameter)]:
                _adam(narrow, [self.state[parameter] for parameter in narrow], group["lr"], group["betas"])
            for parameter in filter(_is_wide, learning):
                update = _nesterov(parameter.grad, self.state[parameter], group["momentum"]).flatten(1)
                alike[update.shape[0], update.shape[1]].append((parameter, update))
            for (rows, columns), pairs in alike.items():  # layers of one shape in one product
                updates = orthogonalised(torch.stack([update for _, update in pairs]))
                length = group["lr"] * LIKE_ADAM * max(rows, columns) ** 0.5
                for (parameter, _), update in zip(pairs, updates, strict=True):
                    if parameter.ndim == 4:
                        parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(update.view(parameter.shape), alpha=length)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Set the singular values of each matrix to about one, in [0.7, 1.2]. matrices: (N, rows, columns) float32."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-12)
    a, b, c = NEWTON_SCHULZ
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    result: Tensor = x.mT if tall else x
    return result


def _is_wide(parameter: Tensor) -> bool:
    return parameter.ndim in (2, 4) and min(parameter.shape[:2]) >= SMALLEST


def _nesterov(gradient: Tensor, state: dict[str, Any], momentum: float) -> Tensor:
    gradient = gradient.float()
    if "momentum" not in state:
        state["momentum"] = torch.zeros_like(gradient)
    state["momentum"].lerp_(gradient, 1 - momentum)
    ahead: Tensor = gradient.lerp(state["momentum"], momentum)
    return ahead


def _adam(parameters: list[Tensor], states: list[dict[str, Any]], lr: float, betas: tuple[float, float]) -> None:
    """One step of all of them at once: on a GPU, starting kernels takes longer than they do."""
    gradients = [parameter.grad.float() for parameter in parameters]  # type: ignore[union-attr]
    for parameter, state in zip(parameters, states, strict=True):
        if "step" not in state:
            zeros = torch.zeros_like(parameter, dtype=torch.float32)
            state |= {"step": 0, "mean": zeros, "square": zeros.clone()}
        state["step"] += 1
    means, squares = ([state[name] for state in states] for name in ("mean", "square"))
    torch._foreach_lerp_(means, gradients, 1 - betas[0])
    torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - betas[1])
    scales = torch._foreach_div(squares, [1 - betas[1] ** state["step"] for state in states])
    torch._foreach_sqrt_(scales)
    torch._foreach_add_(scales, 1e-8)
    torch._foreach_addcdiv_(parameters, means, scales, [-lr / (1 - betas[0] ** state["step"]) for state in states])
