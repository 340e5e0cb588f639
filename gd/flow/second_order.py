"""Second-order conditions at a limit: is it a strict local minimum of the weight-space problem, or a saddle?

    min ½‖w‖²   s.t.   m_n(w) ≥ 1,         H = I − Σ_n λ_n ∇²m_n(w),                                        (1)

with λ the limit's multipliers, w its direction scaled to margin one, and H the Hessian of the Lagrangian. S are the
directions along the constraints with multipliers, S₀ ⊆ S those along every active constraint.

    H > 0 on S                              strict local minimum (sufficient conditions)
    H > 0 on S across the symmetries        every point near the orbit of w that is not on it is worse: the network's
                                            rotations move w without changing margins or norm, and nothing else is flat
    vᵀHv < 0 for a v in S₀                  no local minimum, if the multipliers are unique

Anything else is left to higher orders, or, where the duality gap of the induced problem is closed, is a minimum by
that. Margins must be smooth in the weights: a network with kinks has no H. Every verdict is that of computed
eigenvalues, which count as zero up to `FLAT`; it is no proof in exact arithmetic.

Reference: Nocedal, Wright (2006), Theorems 12.5 and 12.6; Gunasekar et al. (2018), section 4, for the question.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gd.flow.weight_polish import gradients, hessian
from gd.gradient_mode import with_gradients
from gd.status import FlowStatus
from solvers.arrays import Array
from solvers.card import Card

if TYPE_CHECKING:
    from gd.flow.margin_map import MarginMap

FLAT = 1e-6
"""Curvature, the identity's being 1, that counts as zero. Measured at polished limits: 1e-12 where it is zero."""
WITH_MULTIPLIER = 1e-6  # of the largest multiplier
ACTIVE = 1e-7  # relative distance from the smallest margin, as `Limit.active`
DEPENDENT = 1e-8  # relative singular values of what spans no direction of its own
STATIONARY = 1e-5  # relative KKT residual above which there is no stationary point to speak of
LARGEST = 2000
"""Weights up to which H is formed. There its eigenvalues take 4 s."""


class PointKind(Enum):
    """What a stationary point of the weight-space problem is. The value is the sentence to read."""

    STRICT_MINIMUM = "A strict local minimum: the curvature is positive along the constraints."
    STRICT_BUT_FOR_SYMMETRY = (
        "A local minimum, strict but for the network's symmetries: the curvature is positive along the constraints, "
        "rotations between layers, phases and channels aside, which change neither margins nor norm."
    )
    GLOBAL_MINIMUM = (
        "A global minimum, because the duality gap of the induced problem is closed; it is not isolated to second "
        "order: some directions that are no symmetry are flat."
    )
    DEGENERATE = "Degenerate: some directions are flat or the multipliers are not unique; second order does not decide."
    SADDLE = "A saddle: along the active constraints some direction turns down, so it is no local minimum."
    UNKNOWN = (
        "Not known: no stationary point was reached, or the network has kinks or too many weights, or the limit was "
        "read from a file, without its network."
    )

    def __str__(self) -> str:
        return str(self.value)

    @property
    def minimum(self) -> bool:
        """Whether it is a local minimum."""
        return self in (PointKind.STRICT_MINIMUM, PointKind.STRICT_BUT_FOR_SYMMETRY, PointKind.GLOBAL_MINIMUM)


@dataclass(frozen=True, repr=False)
class SecondOrder(Card):
    """The second-order conditions at a limit; curvatures are relative to that of ½‖w‖², which is 1.

    Reference: Nocedal, Wright (2006), Theorems 12.5 and 12.6.

    >>> from gd import Convolutional, flow_limit
    >>> limit = flow_limit(Convolutional(3, 2, seed=0), [[2.0, 1.0, 0.0], [1.0, 3.0, 1.0]], [1, 1])
    >>> found = limit.second_order()
    >>> found.kind.minimum, found.kind.name
    (True, 'STRICT_MINIMUM')
    """

    kind: PointKind
    """What the point is; prints as a sentence."""
    smallest: float
    """Smallest eigenvalue of H along the constraints with multipliers, symmetries aside; nan where not known."""
    flat: int
    """How many directions are flat there, symmetries aside."""
    symmetries: int
    """How many directions the network's symmetries turn the weights in."""

    def in_short(self) -> str:
        """The kind and the number."""
        return f"{self.kind.name}, smallest curvature {self.smallest:.3g}"


NOT_KNOWN = SecondOrder(PointKind.UNKNOWN, float("nan"), 0, 0)


@dataclass(frozen=True)
class WeightSpacePoint:
    """A direction with multipliers, and the margins that it is a point of. It does not travel with a pickled limit."""

    mapping: MarginMap = field(repr=False)
    theta: Tensor = field(repr=False)
    """(P,), of norm one."""
    multipliers: Array = field(repr=False)
    """(N,), nonnegative, up to a common factor."""
    residual: float
    """The relative KKT residual."""
    status: FlowStatus
    """What is known of the limit."""

    def __str__(self) -> str:
        return f"{self.theta.numel()} weights"

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()

    @with_gradients
    def second_order(self) -> SecondOrder:
        """The conditions, from all eigenvalues of H along the constraints."""
        theta = self.mapping.real_coordinates(self.theta)
        if (
            not (self.status.converged and self.mapping.smooth and theta.numel() <= LARGEST)
            or self.residual > STATIONARY
        ):
            return NOT_KNOWN
        p = torch.as_tensor(self.multipliers, dtype=torch.float64, device=theta.device)

        def margins(real: Tensor) -> Tensor:
            return self.mapping.smooth_margins(self.mapping.from_real_coordinates(real))

        pulls = gradients(margins, theta)
        rate = float(theta @ (p @ pulls))
        H = np.eye(theta.numel()) - (hessian(lambda t: p @ margins(t), theta) / rate).cpu().numpy()
        values = margins(theta).detach().cpu().numpy()
        J, weights = pulls.detach().cpu().numpy(), self.multipliers
        active = values <= values.min() + ACTIVE * abs(values.min())
        along = complement(J[weights > WITH_MULTIPLIER * weights.max()])
        turns = span(self.mapping.symmetries(self.theta).cpu().numpy() @ along)
        across = along @ complement(turns)
        curvature = np.linalg.eigvalsh(across.T @ H @ across)
        flat = int((np.abs(curvature) <= FLAT).sum())
        smallest = float(curvature[0]) if curvature.size else np.inf
        kind = self._kind(smallest, len(turns), H, J[active])
        return SecondOrder(kind, smallest, flat, len(turns))

    def _kind(self, smallest: float, symmetries: int, H: Array, active: Array) -> PointKind:
        if smallest > FLAT:
            return PointKind.STRICT_BUT_FOR_SYMMETRY if symmetries else PointKind.STRICT_MINIMUM
        inside = complement(active)
        turning = inside.shape[1] and np.linalg.eigvalsh(inside.T @ H @ inside)[0] < -FLAT
        if turning and len(span(active)) == len(active):
            return PointKind.SADDLE
        return PointKind.GLOBAL_MINIMUM if self.status is FlowStatus.OPTIMAL else PointKind.DEGENERATE


def span(rows: Array) -> Array:
    """Orthonormal rows with the span of these."""
    if rows.shape[0] == 0:
        return rows
    _, sizes, V = np.linalg.svd(rows, full_matrices=False)
    return np.asarray(V[sizes > DEPENDENT * max(float(sizes[0]), 1e-300)])


def complement(rows: Array) -> Array:
    """Orthonormal columns that span what is orthogonal to these rows."""
    basis = span(rows)
    if basis.shape[0] == 0:
        return np.eye(rows.shape[1])
    return np.linalg.qr(basis.T, mode="complete")[0][:, basis.shape[0] :]
