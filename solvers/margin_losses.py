"""Losses of margins as the explicit problems need them: value, weights, curvature, and the conjugate that bounds them.

    logistic        L(m) = Σ ln(1 + e^{−m})
    cross entropy   L(m) = Σ_n ln(1 + Σ_j e^{−m_nj})      m_nj = f_{y_n} − f_k, one for each of K − 1 other classes
    exponential     L(m) = Σ e^{−m}

A margin of +inf is a constraint without loss. Weights are p = −∂L/∂m ≥ 0. For every p that is a vector of weights,

    L(m) ≥ −⟨p, m⟩ + E(p),      E(p) = −Σ_n [ Σ_j p_nj ln p_nj + p_n0 ln p_n0 ],  p_n0 = 1 − Σ_j p_nj    (the first two)
                                E(p) = Σ p (1 − ln p)                                                (exponential)

so that weights with Aᵀp = 0 prove inf_β L(Aβ) ≥ E(p).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from scipy.special import entr, expit, log_expit, logsumexp

from solvers.arrays import Array

if TYPE_CHECKING:
    from solvers.problem import MarginProblem

Loss = Literal["exponential", "logistic", "cross entropy"]
"""On ±1 the cross entropy is the logistic loss; of K classes it is one term a point, and the others are sums over every
difference."""


class MarginLoss(ABC):
    """A convex loss of margins m, shape (number of constraints,)."""

    infimum: ClassVar[float] = 0.0
    """Where all margins grow."""

    @abstractmethod
    def value(self, m: Array) -> float:
        """L(m)."""

    @abstractmethod
    def log_weights(self, m: Array) -> Array:
        """ln p, p = −∂L/∂m ≥ 0, the shape of m."""

    def weights(self, m: Array) -> Array:
        """p."""
        return np.asarray(np.exp(self.log_weights(m)))

    def log_value(self, m: Array) -> float:
        """ln L(m)."""
        return float(np.log(self.value(m)))

    @abstractmethod
    def curvature_rows(self, m: Array, A: Array) -> Array:
        """Rows R with RᵀR = Aᵀ ∇²L(m) A, (some number, D)."""

    def curvature_blocks(self, m: Array) -> Array:
        """∇²L(m) where it couples no two terms: blocks of one margin each, (number of constraints, 1, 1).

        Raises TypeError for a loss that couples all of them.
        """
        raise TypeError(f"{type(self).__name__} is no sum of terms")

    @abstractmethod
    def entropy(self, p: Array) -> float:
        """E(p)."""

    @abstractmethod
    def conic(self, cp: Any, m: Any) -> Any:
        """L(m) as an expression of the library `cp` (cvxpy), m in the shape of the labels."""

    def resolution(self, value: float, count: int) -> float:
        """What a tolerance is relative to, of a loss of this value with so many margins."""
        return max(value, 1e-3 * count)


@dataclass(frozen=True)
class LogisticLoss(MarginLoss):
    """Σ_n ln(1 + Σ_j e^{−m_nj}), m in the order (n, j).

    >>> round(LogisticLoss(2).value(np.zeros(4)), 6)
    2.197225
    """

    alternatives: int = 1
    """How many margins a point has: 1, or K − 1 for K classes."""

    def value(self, m: Array) -> float:
        if self.alternatives == 1:
            return float(np.logaddexp(0.0, -m).sum())
        return float(np.logaddexp(0.0, logsumexp(-m.reshape(-1, self.alternatives), axis=1)).sum())

    def log_weights(self, m: Array) -> Array:
        if self.alternatives == 1:
            return np.asarray(log_expit(-m))
        lost = -m.reshape(-1, self.alternatives)
        return np.asarray(lost - np.logaddexp(0.0, logsumexp(lost, axis=1))[:, None]).reshape(-1)

    def curvature_rows(self, m: Array, A: Array) -> Array:
        if self.alternatives == 1:
            return np.asarray(np.sqrt(expit(m) * expit(-m))[:, None] * A)
        # the covariance of 0 and the a_j, with probabilities p_0 and p_j
        p = self.weights(m).reshape(-1, self.alternatives)
        rows = A.reshape(*p.shape, -1)
        mean = np.einsum("nj,njd->nd", p, rows)
        rest = expit(-logsumexp(-m.reshape(p.shape), axis=1))
        around = np.sqrt(p)[:, :, None] * (rows - mean[:, None, :])
        return np.vstack([around.reshape(-1, A.shape[1]), np.sqrt(rest)[:, None] * mean])

    def curvature_blocks(self, m: Array) -> Array:
        """One block a point, (N, alternatives, alternatives)."""
        p = self.weights(m).reshape(-1, self.alternatives)
        return np.asarray(p[:, :, None] * np.eye(self.alternatives) - p[:, :, None] * p[:, None, :])

    def entropy(self, p: Array) -> float:
        table = p.reshape(-1, self.alternatives)
        left = 1.0 - table.sum(axis=1)  # entr(negative) = −inf: such p bound nothing
        return float(entr(table).sum() + entr(np.where(np.abs(left) < 1e-15, 0.0, left)).sum())

    def conic(self, cp: Any, m: Any) -> Any:
        if self.alternatives == 1:
            return cp.sum(cp.logistic(-m))
        return cp.sum(cp.log_sum_exp(cp.hstack([np.zeros((m.shape[0], 1)), -m]), axis=1))


@dataclass(frozen=True)
class ExponentialLoss(MarginLoss):
    """Σ e^{−m}, over all constraints."""

    def value(self, m: Array) -> float:
        return float(np.exp(-m).sum())

    def log_weights(self, m: Array) -> Array:
        return -m

    def log_value(self, m: Array) -> float:
        return float(logsumexp(-m))

    def curvature_rows(self, m: Array, A: Array) -> Array:
        return np.asarray(np.exp(-0.5 * m)[:, None] * A)

    def curvature_blocks(self, m: Array) -> Array:
        return np.asarray(np.exp(-m))[:, None, None]

    def entropy(self, p: Array) -> float:
        return float((entr(p) + p).sum())

    def conic(self, cp: Any, m: Any) -> Any:
        return cp.sum(cp.exp(-m))


@dataclass(frozen=True)
class LogExponentialLoss(MarginLoss):
    """ln Σ e^{−m}: it has the minimizers of Σ e^{−m}, and stays representable."""

    infimum: ClassVar[float] = -np.inf

    def value(self, m: Array) -> float:
        return float(logsumexp(-m))

    def log_weights(self, m: Array) -> Array:
        return np.asarray(-m - logsumexp(-m))

    def curvature_rows(self, m: Array, A: Array) -> Array:
        p = self.weights(m)
        return np.asarray(np.sqrt(p)[:, None] * (A - p @ A))

    def entropy(self, p: Array) -> float:
        return float(entr(p).sum())

    def conic(self, cp: Any, m: Any) -> Any:
        return cp.log_sum_exp(-m)

    def resolution(self, value: float, count: int) -> float:
        return 1.0


def loss_of(name: Loss | None, problem: MarginProblem) -> MarginLoss:
    """The loss of that name on a problem's constraints; None: the cross entropy of classes, else the logistic loss.

    Raises ValueError for another name, and for the cross entropy of labels (N, M), which are tasks of their own.
    """
    if name is None:
        return LogisticLoss(problem.alternatives)
    if name not in get_args(Loss):
        raise ValueError(f"loss must be one of {', '.join(map(repr, get_args(Loss)))}; got {name!r}")
    if name == "cross entropy" and problem.labels.ndim > 1:
        raise ValueError('labels (N, M) are M tasks of their own; "cross entropy" is a loss of classes, labels (N,)')
    if name == "exponential":
        return ExponentialLoss()
    return LogisticLoss(problem.alternatives if name == "cross entropy" else 1)
