"""How far weights are from a KKT point of  min ½‖w‖²  s.t.  m_n(w) ≥ 1,  in Lyu & Li's (ε, δ).

At w̃ = θ·γ^{−1/L} (unit margin) and multipliers λ ≥ 0,

    ε = ‖w̃ − Σ_n λ_n ∇m_n(w̃)‖₂,      δ = max_n λ_n (m_n(w̃) − 1).

By homogeneity ∇m_n(w̃) = γ^{−(L−1)/L} ∇m_n(θ) and ⟨w̃, ∇m_n(w̃)⟩ = L m_n(w̃), so everything is computed at the unit
vector θ. Any λ proves an upper bound; here they are proportional to given weights p (the flow's or a polished
point's multipliers) with the best factor, which loses nothing at a KKT point.

Reference: Lyu, Li (2020), Definition C.4 and Theorem 4.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from solvers.arrays import Array

if TYPE_CHECKING:
    from gd.flow.margin_map import MarginMap


ACTIVE = 1e-7
"""Loss weights above this, relative to the largest, mark the constraints of the KKT system. At the lowest temperature
1e-8 a margin that is not active to 1e-6 has a weight below e^{−100}."""


@dataclass(frozen=True)
class KKT:
    """The (ε, δ) of one direction."""

    epsilon: float
    delta: float
    norm: float
    """‖w̃‖, so that ε/‖w̃‖ is relative."""
    margin: float
    """γ of the unit-norm weights; ε, δ and ‖w̃‖ are inf when it is not positive."""

    @property
    def relative(self) -> float:
        """ε/‖w̃‖, dimensionless."""
        return self.epsilon / self.norm if np.isfinite(self.norm) else np.inf


@dataclass(frozen=True)
class StationaryPoint:
    """A KKT point near a direction of the flow, with what was found out about it."""

    theta: Tensor
    """The direction, (P,), of norm one."""
    multipliers: Array
    """(N,), nonnegative, up to a common factor."""
    kkt: KKT
    stable: bool
    """Whether there is no negative curvature along the active constraints (a local minimum, no saddle)."""
    isolated: bool
    """Whether no other solution shares its support."""
    best_of_its_cell: bool = False
    """Whether it has the largest margin of all networks with its activation pattern (`gd.flow.cell_program`)."""


def kkt(mapping: MarginMap, theta: Tensor, p: Array) -> KKT:
    """(ε, δ) at the direction θ (P,), any length, with multipliers proportional to p (N,) ≥ 0."""
    theta = theta / torch.linalg.vector_norm(theta)
    local = mapping.at(theta[None])
    force = local.pull(torch.as_tensor(p, dtype=torch.float64, device=theta.device)[None])[0]
    return kkt_of_force(theta, force, local.margins[0].cpu().numpy(), p, mapping.degree)


def kkt_of_force(theta: Tensor, force: Tensor, margins: Array, p: Array, degree: float) -> KKT:
    """The same from θ of norm one, a force Σ p_n g_n with g_n ∈ ∂m_n(θ), and the margins."""
    margin = float(margins.min())
    square = float(torch.vdot(force, force).real)
    if margin <= 0 or square == 0:
        return KKT(np.inf, np.inf, np.inf, margin)
    factor = max(float(torch.vdot(theta, force).real) / square, 0.0)  # minimizes ‖θ − s·force‖ over s ≥ 0
    residual = float(torch.linalg.vector_norm(theta - factor * force))
    norm = margin ** (-1.0 / degree)
    # λ_n ∇m_n(w̃) = λ_n γ^{−(L−1)/L} ∇m_n(θ)  must be  γ^{−1/L} s p_n ∇m_n(θ)
    multipliers = factor * p * margin ** ((degree - 2.0) / degree)
    delta = float((multipliers * (margins / margin - 1.0)).max())
    return KKT(norm * residual, delta, norm, margin)
