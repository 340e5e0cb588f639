"""Adam with moments in the log domain, so that ε = 0 is meant literally at any loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gd.descent.objective import Gradient, Objective
from gd.optimizers.moments import fold_factors
from gd.optimizers.optimizer import Optimizer
from gd.optimizers.weight_norm import EntrywiseNorm, WeightNorm


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (AdamW with `weight_decay`):

        m ← β₁m + (1−β₁)∇L,    v ← β₂v + (1−β₂)∇L²,    u = m̂ / (√v̂ + ε),    m̂ = m/(1−β₁^t),  v̂ = v/(1−β₂^t),

    and u = 0 in an entry where v is exactly zero. With ε = 0 a linear predictor ends at the ℓ∞ max margin. With ε > 0
    and gradients that are not divided by the loss, √v̂ falls below ε in the end, and the limit is that of gradient
    descent, ℓ2; gradients divided by the loss make a fixed ε vanish, and the limit is ℓ∞ again. With minibatches
    neither need hold (Baek, Song, Yun 2025), and no norm is known.

    Raises:
        ValueError: β₁, β₂ outside [0, 1), β₁² > β₂ (the ratio m/√v may then grow without bound), a negative ε or weight
            decay.

    Reference: Kingma, Ba (2015); Zhang, Zou, Cao (2024), *The implicit bias of Adam on separable data*, ε = 0; Wang,
    Meng, Chen, Liu (2021) for ε > 0.

    >>> Adam().norm((3,)), Adam(eps=1e-8).norm((3,))
    (Bridge(p=inf), L2())
    """

    beta1: float = 0.9
    """β₁ in [0, 1)."""
    beta2: float = 0.999
    """β₂ in [0, 1)."""
    eps: float = 0.0
    """ε ≥ 0, in units of the gradient."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and self.beta1**2 <= self.beta2):
            raise ValueError(
                "Adam: beta1 and beta2 must lie in [0, 1) with beta1² ≤ beta2, got "
                f"beta1={self.beta1!r}, beta2={self.beta2!r}"
            )
        if not 0 <= self.eps < math.inf:
            raise ValueError(f"Adam: eps must be 0 or positive, got {self.eps!r}")

    @property
    def name(self) -> str:
        return f"Adam(β₁={self.beta1:g}, β₂={self.beta2:g}, ε={self.eps:g})"

    @property
    def weight_norm(self) -> WeightNorm:
        return EntrywiseNorm(2.0 if self.eps else math.inf)

    @property
    def bounded(self) -> bool:
        return True  # |u| → at most 1 where gradients settle (Xie, Li 2024, AdamW's ball)

    def direction(
        self, objective: Objective, t: int, W: Tensor, gradient: Gradient, state: Any
    ) -> tuple[Tensor, Tensor | None, Any]:
        first, root, scale = (torch.zeros_like(W), torch.zeros_like(W), None) if state is None else state
        slow = math.sqrt(self.beta2)
        scale, old, new = fold_factors(scale, gradient.log_scale, max(self.beta1, slow))
        old, scaled = old.unsqueeze(1), new.unsqueeze(1) * gradient.direction
        first = torch.lerp(scaled, old * first, self.beta1)
        # √v, not v: the square of an entry 1e-160 below the largest is zero
        root = torch.hypot(slow * old * root, math.sqrt(1.0 - self.beta2) * scaled)
        bias = math.sqrt(1.0 - self.beta2 ** (t + 1)), 1.0 - self.beta1 ** (t + 1)
        below = root if not self.eps else root + (self.eps * bias[0]) * torch.exp(-scale).unsqueeze(1)
        direction = torch.where(root > 0, (bias[0] / bias[1]) * first / below, 0.0)
        return direction, None, (first, root, scale)
