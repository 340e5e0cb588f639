"""Diagonal AdaGrad."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gd.descent.objective import Gradient, Objective
from gd.optimizers.moments import fold_factors
from gd.optimizers.optimizer import Optimizer


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """u = ∇L/(√G + ε),  G ← G + ∇L², entrywise, and 0 where G is exactly zero.

    On separable data the loss is summable, so G converges and AdaGrad becomes descent with a fixed preconditioner: the
    limit is the max margin in the norm (βᵀQβ)^{1/2}, Q = diag(√G_∞ + ε). Q depends on the path, so this norm is read
    from the run (`Trajectory.preconditioner`) and is no prediction.

    Raises:
        ValueError: a negative ε or weight decay.

    Reference: Qian, Qian (2019), *The implicit bias of AdaGrad on separable data*.

    >>> AdaGrad().name, AdaGrad().norm((3,)) is None
    ('AdaGrad(ε=0)', True)
    """

    eps: float = 0.0
    """ε ≥ 0, in units of the gradient."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eps < math.inf:
            raise ValueError(f"AdaGrad: eps must be 0 or positive, got {self.eps!r}")

    @property
    def name(self) -> str:
        return f"AdaGrad(ε={self.eps:g})"

    def first_step(self, objective: Objective) -> tuple[float, float]:
        return super().first_step(objective)[0], 0.0  # its steps fall by themselves

    def direction(
        self, objective: Objective, t: int, W: Tensor, gradient: Gradient, state: Any
    ) -> tuple[Tensor, Tensor | None, Any]:
        root, scale = (torch.zeros_like(W), None) if state is None else state
        scale, old, new = fold_factors(scale, gradient.log_scale, 1.0)
        root = torch.hypot(old.unsqueeze(1) * root, new.unsqueeze(1) * gradient.direction)
        below = root + self.eps * torch.exp(-scale).unsqueeze(1) if self.eps else root
        direction = torch.where(root > 0, gradient.direction / below, 0.0)
        return direction, gradient.log_scale - scale, (root, scale)

    def preconditioner(self, state: Any) -> Tensor | None:
        if state is None:
            return None
        root, scale = state
        Q: Tensor = torch.exp(scale).unsqueeze(1) * root + self.eps
        return Q
