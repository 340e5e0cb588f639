"""From the end of an optimizer's run to a KKT point of the problem that it approaches, by Newton's method.

    min ‖θ‖  s.t.  m_n(θ) ≥ 1,      θ, α ≥ 0:   z = Σ_n α_n ∇m_n(θ) ∈ ∂‖θ‖,    α_n (m_n(θ) − 1) = 0,

in the optimizer's norm, for any network that is smooth and homogeneous of degree L near θ. As equations for (θ, α, t):

    optimality(θ, z, t) = 0,     α_n (m_n(θ) − 1)/t = 0,     L Σα/t = 1,       t = ‖θ‖ by the second and third.   (1)

They have no inequalities: which constraints are active, which entries of θ lie at the bound, is decided by the start
(θ scaled to unit margin, and a mean of the run's loss weights), and certified afterwards. Levenberg–Marquardt steps
stay near the start where solutions are not isolated.

Reference: Lyu, Li (2020), Definition C.4, with another norm; Tsilivis, Gronich, Vardi, Kempe (2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor

from gd.descent.objective import Objective
from gd.optimizers.weight_norm import WeightNorm
from solvers.arrays import Array

LARGEST = 1500
"""Unknowns up to which (1) is solved: the Jacobian is dense, and takes seconds there."""

RANK = 1e-9
"""Singular values below this part of the largest are zero: those of directions in which solutions extend come out
between 1e-17 and 1e-13, the others above 1e-5 on random data."""

EXTENDS = 1e-6
"""The same from a point that solves (1) to about this accuracy."""

ZERO = 1e-12
"""Entries of θ below this part of the largest are zero: (1) is solved to a few ε, and p < 1 would count them."""


@dataclass(frozen=True)
class KKTPoint:
    """A solution of (1)."""

    theta: Tensor
    """(P,), of unit margin."""
    multipliers: Array
    """α ≥ 0 (N,), negative ones set to zero, scaled to ‖Σα∇m‖° = 1."""
    residual: float
    """1 − LΣα/(‖θ‖‖Σα∇m‖°), nonnegative, zero exactly at KKT points; inf where a margin is not positive."""
    free: Array | None
    """An orthonormal basis (k, P) of the directions of θ in which solutions of (1) extend to first order; None: (1) was
    not solved."""


class KKTSystem:
    """The equations (1) of one network, an objective of one run on labelled data, in a norm of its weights."""

    def __init__(self, objective: Objective, norm: WeightNorm, degree: float) -> None:
        self.objective, self.norm, self.degree = objective, norm, degree
        self.labels = objective.y.flatten()
        """±1, or ones where the margins are differences of the outputs of classes: one a margin."""
        self.size = objective.start.shape[1]

    def margins(self, theta: Tensor) -> Tensor:
        """m (N,) at θ (P,), differentiable."""
        return self.objective.targets.margins(self.objective.outputs(theta[None])).flatten()

    def combined(self, theta: Tensor, alpha: Tensor) -> Tensor:
        """Σ α_n ∇m_n(θ), (P,)."""
        pull = torch.func.vjp(self.margins, theta)[1]
        (z,) = pull(alpha)
        return z  # type: ignore[no-any-return]

    def equations(self, unknowns: Tensor) -> Tensor:
        """The left sides of (1), (P + N + 1,)."""
        theta, alpha, t = unknowns[: self.size], unknowns[self.size : -1], unknowns[-1:]
        z = self.combined(theta, alpha)
        optimality = self.norm.optimality(theta[None], z[None], t[None], self.objective.layers)[0]
        slack = alpha / t * (self.margins(theta) - 1.0)
        return torch.cat([optimality, slack, self.degree * alpha.sum()[None] / t - 1.0])

    def solved(self, theta: Tensor, weights: Array) -> KKTPoint | None:
        """A solution near a direction θ (P,) with positive margins and loss weights (N,), by Levenberg–Marquardt.

        None where none is found, or there are more than `LARGEST` unknowns.
        """
        start = self._start(theta, weights)
        if start is None:
            return None
        found = least_squares(
            self._values, start, jac=self._jacobian, method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=100
        )
        return self._point(found.x)

    def polished(self, theta: Tensor, weights: Array, steps: int = 10) -> KKTPoint | None:
        """The solution next to a θ that is one to a few digits, by the shortest Newton steps.

        They do not move along directions in which solutions extend; from farther away they would not leave a wrong
        active set.
        """
        x = self._start(theta, weights)
        if x is None:
            return None
        for _ in range(steps):
            x = np.asarray(x - np.linalg.lstsq(self._jacobian(x), self._values(x), rcond=EXTENDS)[0])
            if not np.isfinite(x).all():
                return None
        return self._point(x)

    def _start(self, theta: Tensor, weights: Array) -> Array | None:
        """The unknowns at θ of unit margin, with multipliers proportional to the weights."""
        if self.size + self.labels.numel() + 1 > LARGEST:
            return None
        point = self.measured(theta, weights)
        value = self.norm.value(point.theta[None], self.objective.layers)
        start = np.concatenate([point.theta.cpu().numpy(), point.multipliers, value.cpu().numpy()])
        return start if np.isfinite(point.residual) and np.isfinite(start).all() else None

    def _values(self, x: Array) -> Array:
        return np.asarray(self.equations(torch.as_tensor(x).to(self.labels)).detach().cpu().numpy())

    def _jacobian(self, x: Array) -> Array:
        jacobian = torch.func.jacfwd(self.equations)(torch.as_tensor(x).to(self.labels))
        return np.asarray(jacobian.detach().cpu().numpy())

    def measured(self, theta: Tensor, weights: Array, free: Array | None = None) -> KKTPoint:
        """θ (P,) scaled to unit margin, with multipliers proportional to weights (N,), and its residual."""
        margin = float(self.margins(theta).min())
        alpha = np.maximum(weights, 0.0)
        dual = float(self._dual(theta, torch.as_tensor(alpha).to(theta)))
        if not (margin > 0 and dual > 0):
            return KKTPoint(theta, alpha, np.inf, free)
        scale = margin ** (-1.0 / self.degree)
        # ‖Σα∇m‖° is homogeneous of degree L − 1 in θ
        alpha = alpha / (dual * scale ** (self.degree - 1.0))
        norm = scale * float(self.norm.value(theta[None], self.objective.layers))
        return KKTPoint(scale * theta, alpha, 1.0 - self.degree * float(alpha.sum()) / norm, free)

    def _point(self, x: Array) -> KKTPoint | None:
        if not (np.isfinite(x).all() and x[-1] > 0):
            return None
        _, singular, rows = np.linalg.svd(self._jacobian(x))
        null = rows[singular <= RANK * singular[0]][:, : self.size]
        _, sizes, free = np.linalg.svd(null, full_matrices=False)
        solved = np.where(np.abs(x[: self.size]) > ZERO * np.abs(x[: self.size]).max(), x[: self.size], 0.0)
        theta = torch.as_tensor(solved).to(self.labels)
        return self.measured(theta, x[self.size : -1], free[sizes > 1e-6])

    def _dual(self, theta: Tensor, alpha: Tensor) -> Tensor:
        return self.norm.dual(self.combined(theta, alpha)[None], self.objective.layers)[0]
