"""The kinks that a piecewise smooth network slides along, and the scalar products of its gradients along them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gd.piecewise.module import Derivatives
from gd.piecewise.rows import KinkGram

RIDGE = 1e-13  # relative to the trace of ZZᵀ: samples may be duplicated, and a unit pinned on D samples is zero
PINNED = 1e-10  # of its gradient's square: what rounding leaves along the kinks of a gradient that is across them


@dataclass(frozen=True)
class Gates:
    """The state of every kink: sliding, or on, or off."""

    sliding: Tensor
    on: Tensor

    @property
    def open(self) -> Tensor:
        """γ in {0, 1} as floats: on and not sliding."""
        return (self.on & ~self.sliding).to(torch.float64)

    @property
    def kinks(self) -> Tensor:
        """The numbers of the sliding kinks, (K,)."""
        return torch.nonzero(self.sliding)[:, 0]


@dataclass(frozen=True)
class Metric:
    """M = (1 + hλ)I − hA and the force −hλθ of a fully implicit step; the identity and none of a plain one."""

    matrix: Tensor | None = None
    drift: Tensor | None = None
    growth: float = 0.0
    """hλ: the part of the growth of ln‖w‖ that is not left in the length of θ."""
    ties: Tensor | None = None
    """The numbers of the tied margins."""


@dataclass(frozen=True)
class AlongKinks:
    """M where it counts in a step: along the kinks.

    A step moves across the kinks by what takes z back to zero, Zv = −z, whatever M is there. So M is replaced by
    PMP + QQᵀ, Q an orthonormal basis of the span of Z, P = I − QQᵀ, and the force by what M Z⁺z adds to it along the
    kinks. Across tied margins, too, the step is given: there the weights p hold it. So M need not be positive definite
    but along the kinks and the ties; across them A has eigenvalues of (L − 1)λ, of θ itself, and more.
    """

    M: Tensor
    factors: tuple[Tensor, Tensor]
    """LU of PMP + QQᵀ."""
    drift: Tensor
    """(PMP + QQᵀ)^{−1} (PMZ⁺z − hλθ)."""

    @classmethod
    def of(cls, metric: Metric, Z: Tensor, z: Tensor, ties: Tensor) -> AlongKinks | None:
        """For kinks with gradients Z (K, P) and values z (K,); None where it is not definite along kinks and ties."""
        M, force = metric.matrix, metric.drift
        assert M is not None
        assert force is not None
        Q, back_to = _basis(Z, Z)
        replaced = _replaced_across(M, Q)
        across_ties = _basis(ties - (ties @ Q.T) @ Q, ties)[0]
        if int(torch.linalg.cholesky_ex(_replaced_across(replaced, across_ties))[1]):
            return None
        factors = torch.linalg.lu_factor(replaced)
        back = M @ (back_to @ z)
        force = force + back - Q.T @ (Q @ back)
        return cls(M, factors, torch.linalg.lu_solve(*factors, force[:, None])[:, 0])

    def inverse(self, columns: Tensor) -> Tensor:
        """(PMP + QQᵀ)^{−1} times columns (P, n)."""
        solved: Tensor = torch.linalg.lu_solve(*self.factors, columns)
        return solved


def _basis(rows: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
    """An orthonormal basis Q (r, P) of the span of rows (R, P) on the scale of `whole`, and the pseudoinverse."""
    U, singular, V = torch.linalg.svd(rows, full_matrices=False)
    kept = singular**2 > RIDGE * (whole**2).sum()
    return V[kept], (V[kept].T / singular[kept]) @ U[:, kept].T


def _replaced_across(M: Tensor, Q: Tensor) -> Tensor:
    """PMP + QQᵀ, symmetric as M is."""
    MQ = M @ Q.T
    half = (MQ - 0.5 * Q.T @ (Q @ MQ + torch.eye(len(Q)).to(M))) @ Q
    return M - half - half.T


@dataclass(frozen=True)
class Tangent:
    """Margins, kinks and gradients at one θ for one set of gates, with the rows' scalar products in one metric."""

    gates: Gates
    local: Derivatives
    gram: Tensor
    """J M^{−1} Jᵀ (C, C)."""
    cross: Tensor
    """ZJᵀ (K, C): the metric is the identity across the kinks."""
    across: KinkGram
    """ZZᵀ."""
    metric: AlongKinks | None
    solvable: bool
    """Whether the metric is positive definite along kinks and ties; if not, the step is too long."""

    @classmethod
    def of(cls, gates: Gates, local: Derivatives, metric: Metric) -> Tangent:
        rows, C = local.rows, local.margins.shape[0]
        J, Z = rows.select(slice(C)), rows.select(slice(C, None))
        gram, along = J.gram(), None
        if metric.matrix is not None:
            dense = J.dense
            along = AlongKinks.of(metric, Z.dense, local.z[gates.kinks], dense[metric.ties])
            if along is not None:
                gram = dense @ along.inverse(dense.T)
        across = KinkGram(Z.gram, Z.separate() if len(Z) else None, RIDGE)
        return cls(gates, local, gram, Z.cross(J), across, along, along is not None or metric.matrix is None)

    def combine(self, c: Tensor) -> Tensor:
        """M^{−1} rowsᵀ c, and the drift."""
        moved = self.local.rows.combine(c)
        if self.metric is not None:
            moved = self.metric.inverse(moved[:, None])[:, 0] + self.metric.drift
        return moved

    def drift(self) -> Tensor:
        """The scalar products of the rows with the drift, (C + K,)."""
        rows = self.local.rows
        return torch.zeros(len(rows)).to(self.gram) if self.metric is None else rows.dot(self.metric.drift)

    def holding(self, kappa: Tensor, move: Tensor) -> Tensor:
        """The multipliers that hold the kinks on a move found with κ, M taken as it is: Mv + Zᵀκ is the force."""
        if self.metric is None:
            return kappa
        return kappa + self.across.solve(self.local.rows.dot(move - self.metric.M @ move)[self.C :, None])[:, 0]

    @property
    def C(self) -> int:
        return int(self.local.margins.shape[0])

    def along_kinks(self, c: Tensor) -> Tensor:
        """(ZZᵀ)^{−1}ZJᵀ c for columns c (C, n)."""
        return self.across.solve(self.cross @ c)

    def projected_gram(self) -> Tensor:
        """JJᵀ along the kinks, (C, C)."""
        projected = self.gram - self.cross.T @ self.across.solve(self.cross)
        moves = projected.diagonal().abs() > PINNED * self.gram.diagonal().abs()
        return torch.where(moves[:, None] & moves, projected, 0.0)

    def pull(self, p: Tensor) -> Tensor:
        """Jᵀp along the kinks, (P,)."""
        return self.local.rows.combine(torch.cat([p, -self.along_kinks(p[:, None])[:, 0]]))
