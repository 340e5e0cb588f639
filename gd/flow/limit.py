"""What `flow_limit` hands back: where gradient flow ends, and one sentence on what has been proved about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.solution import Certificate

Array = NDArray[np.float64]


class FlowStatus(Enum):
    """What is known about a limit. The value is the sentence to read."""

    OPTIMAL = (
        "Proved optimal: the duality gap of the induced problem is closed, no predictor is better. The flow's own "
        "direction proves it, or the flow was near it or had a margin within 0.1 %; stats['arrival'] says which."
    )
    STATIONARY = (
        "Stationary: a KKT point of min ‖w‖² s.t. margins ≥ 1, with no negative curvature along its constraints, that "
        "the flow lay beside or kept approaching (stats['arrival']); the problem is nonconvex, so no more is claimed."
    )
    LOCKED = (
        "Stationary, but not the induced problem's solution: this initialization keeps coefficients of the predictor "
        "from changing sign, so the theorem's assumption fails and the max-margin prediction does not apply."
    )
    SADDLE = (
        "Not proved: the weights are nearly stationary, but the induced problem's duality gap is open, as at a saddle "
        "that the flow had not left within the steps allowed."
    )
    UNFINISHED = (
        "Not converged: the residuals stayed above the tolerance within the steps allowed; read them, not the limit."
    )
    NOT_SEPARATED = (
        "Not separated: the smallest margin did not become positive within the steps allowed, so the loss was not "
        "shown to tend to zero and no theorem on the limit applies."
    )

    def __str__(self) -> str:
        return self.value

    @property
    def converged(self) -> bool:
        """Whether the limit itself was found (rather than a point on the way)."""
        return self in (FlowStatus.OPTIMAL, FlowStatus.STATIONARY, FlowStatus.LOCKED)


@dataclass(frozen=True)
class FlowPath:
    """The flow at K log-spaced values of τ; dτ = loss·‖w‖^{L−2} dt, dimensionless where the data are.

    Two runs, or a run and plain gradient descent, are compared at equal `log_norm` or equal `log_loss`, not at equal τ.
    """

    tau: Array
    """τ, shape (K,)."""
    elapsed: Array
    """Wall-clock seconds at the snapshots, of the whole batch, shape (K,)."""
    log_norm: Array
    """ln‖w‖, shape (K,)."""
    log_loss: Array
    """ln Σ_n ℓ(m_n), shape (K,); −inf where it is below −10^308."""
    margins: Array
    """m_n(θ) = y_n f(x_n; w/‖w‖), shape (K, constraints)."""
    residual: Array
    """Sine of the angle between w and the force Σ p_n ∇m_n: 0 at stationary directions. Shape (K,)."""
    predictors: Array | None
    """β of the unit-norm weights w/‖w‖, shape (K, *shape of β); None when the network is not a linear predictor."""


@dataclass(frozen=True)
class Limit:
    """Where gradient flow ends, w(t)/‖w(t)‖ → `weights`, and the evidence.

    The KKT conditions are those of  min ½‖w‖²  s.t.  m_n(w) = y_n f(x_n; w) ≥ 1,  at w̃ = weights·(min_n m_n)^{−1/L}:
    an (ε, δ)-KKT point in the sense of Lyu & Li (2020, Definition C.4) has λ ≥ 0 with

        ‖w̃ − Σ_n λ_n ∇m_n(w̃)‖₂ ≤ ε,      λ_n (m_n(w̃) − 1) ≤ δ  for every n.
    """

    weights: Mapping[str, Array] = field(repr=False)
    """The limit direction: named parameters of joint Euclidean norm 1."""
    predictor: Array | None = field(repr=False)
    """β scaled to unit margin, min_n y_n⟨x_n, β⟩ = 1; None where the network is not a linear predictor or no margin."""
    log_norm: float
    """ln‖w‖ that the integration reached before the limit was identified."""
    log_log_loss: float
    """ln(−ln loss) there; −inf where the loss is not below 1."""
    kkt_epsilon: float
    """ε above, in units of ‖w̃‖'s (absolute, as Lyu & Li define it)."""
    kkt_delta: float
    """δ above."""
    norm_at_unit_margin: float
    """‖w̃‖ = γ^{−1/L}; ε divided by it is the relative residual."""
    margin: float
    """γ = min_n m_n of the unit-norm weights: the normalized margin."""
    active: NDArray[np.bool_] = field(repr=False)
    """Which constraints have the smallest margin (relative 1e-7), shape of y."""
    dual: Array = field(repr=False)
    """Limit of the loss weights p (shape of y): p ≥ 0, Σp = 1, proportional to the KKT multipliers."""
    path: FlowPath = field(repr=False)
    status: FlowStatus
    certificate: Certificate | None
    """The induced problem's certificate of `predictor`, where the architecture has a known regularizer."""
    stats: Mapping[str, Any] = field(default_factory=dict)
    """`steps`, `rejected`, `tightened` (bool), `tightening_angle` (radians between the flow's last direction and the
    limit, in weight space), `arrival` (what ties the flow to the limit: "beside", "approaching", "margin", or "none"
    where no limit was found; `gd.flow.arrival` defines them), `degree`, `flow_residual`, …"""

    @property
    def direction(self) -> Array:
        """The limit direction as one vector of norm 1, parameters in their order."""
        return np.concatenate([np.ravel(w) for w in self.weights.values()])
