"""Logistic regression without a finite minimizer: the curve that gradient descent ends on, for any data.

    min_w Σ_n ℓ(⟨a_n, w⟩),      a_n = y_n x_n,      ℓ(m) = ln(1 + e^{−m})  or  e^{−m}

Gradient flow, and descent with a small constant step, from any start. The rows split in one way into a part S that can
be separated strictly while the rest C is kept at zero, and that rest (`solvers.separable_part`). With V = span{a_n : C}

    w_t / ln t  →  argmin { ‖β‖₂ : β ∈ V^⊥,  ⟨a_n, β⟩ ≥ 1 for n in S },                      (1)  the direction
    P_V w_t     →  argmin { Σ_{n in C} ℓ(⟨a_n, v⟩) : v ∈ V },                                 (2)  the finite part

P_V the orthogonal projection. In (1) the rows of S act by their parts in V^⊥. The direction is zero where S is empty,
and the finite part where C is: then (1) is the ℓ2 max margin.

For several classes the rows are the differences (e_{y_n} − e_k) ⊗ x_n and the loss is the cross entropy; in (2) it has
the rows of C only. The theorem is about two classes; for more the statement is by analogy.

Reference: Ji, Telgarsky (2019), "The implicit bias of gradient descent on nonseparable data", main theorem: the
direction at the rate O(ln ln t / ln t), the offset at O((ln t)²/√t); Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018),
for S alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.algorithms.finite_minimum import FiniteMinimum, finite_minimum
from solvers.arrays import Array
from solvers.card import Card
from solvers.margin_losses import Loss, MarginLoss, loss_of
from solvers.max_margin import max_margin
from solvers.problem import MarginProblem
from solvers.regularizers.l2 import L2
from solvers.search import Progress, deadline_after, untold
from solvers.separable_part import SeparablePart, SplitProof, separable_part
from solvers.solution import Certificate
from solvers.validation import check_problem, finite_array


@dataclass(frozen=True, repr=False)
class LimitCertificate(Card):
    """The evidence for each of the three parts of a `LogisticLimit`."""

    split: SeparablePart = field(repr=False)
    """The split with u and α, and what they prove."""
    proof: SplitProof
    """`split.proof`: whether the split is proved for these very numbers."""
    direction: Certificate | None
    """Of the max margin (1), as in `max_margin`, its multipliers for the rows of S; None where S is empty."""
    loss_gap: float
    """The loss at the finite part less a proved lower bound on it, relative to max(1, loss)."""

    def in_short(self) -> str:
        """What is proved of the split, and how far the loss may be from its least."""
        return f"split {self.proof.name}, loss gap {self.loss_gap:.2g}"


@dataclass(frozen=True, repr=False)
class LogisticLimit(Card):
    """Where gradient descent on the logistic or the exponential loss goes, separable data or not."""

    separable: NDArray[np.bool_]
    """Which constraints are the separable part S, in the shape of y: (N,), or (N, M) for M outputs; (N, K − 1) for K
    classes, the other classes of each point in order."""
    direction: Array
    """lim w_t / ln t, in the shape of a predictor; its smallest margin on S is one. Zero where S is empty."""
    finite_part: Array
    """lim P_V w_t, in the shape of a predictor. Zero where every row is in S."""
    subspace: Array = field(repr=False)
    """An orthonormal basis of V, shape (r, *shape of a predictor); r is the rank of the rows that do not separate."""
    loss: float
    """inf_w Σ ℓ(⟨a_n, w⟩), approached and not attained unless S is empty."""
    certificate: LimitCertificate
    """What is proved about each part."""

    def predictor(self, log_time: float) -> Array:
        """direction · ln t + finite part: w_t up to a bounded vector of V^⊥."""
        return np.asarray(self.direction * log_time + self.finite_part)

    def project(self, predictor: ArrayLike) -> Array:
        """P_V of a predictor: the part of it that stays finite."""
        basis = self.subspace.reshape(-1, self.direction.size)
        return np.asarray(basis.T @ (basis @ finite_array("predictor", predictor).reshape(-1))).reshape(
            self.direction.shape
        )


def logistic_limit(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: Loss | None = None,
    time_limit: float = math.inf,
    progress: Progress | None = None,
) -> LogisticLimit:
    """Where gradient descent on Σ_n ℓ(y_n⟨x_n, w⟩) goes, for data that need not separate:

        w_t = direction · ln t + finite part + a bounded vector orthogonal to all rows that do not separate.

    Args:
        X: points, shape (N, D), or images (N, H, W); converted to float64. A linear predictor without an offset:
            append a column of ones for one.
        y: labels ±1, shape (N,), or (N, M) for M tasks of their own; or three classes and more, shape (N,).
        loss: "logistic", "exponential", or "cross entropy" of classes, as in `regularization_path`. Unless given, the
            logistic loss, and of classes the cross entropy. The split and the direction are the same for all.
        time_limit: seconds after which the finite part takes no further step of Newton's; `certificate.loss_gap` says
            how far it came. The split and the direction are not cut short.
        progress: called with (parts done, 3): the split, the direction, the finite part.

    Returns:
        LogisticLimit. `certificate.proof` says whether the split is proved in exact arithmetic.

    Raises:
        IllConditionedError: float64 does not resolve which rows separate.
        ValueError: data that are not finite numbers of matching shapes, unknown labels or loss.

    Reference: Ji, Telgarsky (2019), main theorem, for two classes; by analogy for several.

    >>> X = [[1.0, 0.0, 0.0], [-2.0, 0.0, 0.0], [0.5, 1.0, 1.0], [0.0, 2.0, 1.0], [3.0, 0.0, 2.0]]
    >>> limit = logistic_limit(X, [1, 1, 1, 1, 1], loss="exponential")
    >>> limit.separable.tolist(), limit.direction.round(12).tolist()
    ([False, False, True, True, True], [0.0, 0.5, 0.5])
    >>> np.isclose(limit.finite_part[0], -np.log(2) / 3), limit.certificate.proof.name
    (np.True_, 'EXACT')
    """
    problem = check_problem(X, y, L2())
    margin_loss = loss_of(loss, problem)
    deadline, tell = deadline_after(time_limit), progress or untold
    split = separable_part(problem.signed_rows)
    tell(1, 3)
    direction, certificate = _direction(problem, split, X, y)
    tell(2, 3)
    v, found = finite_part(problem, split, margin_loss, deadline)
    tell(3, 3)
    return LogisticLimit(
        separable=split.separable.reshape(problem.label_shape),
        direction=direction.reshape(problem.shape),
        finite_part=v.reshape(problem.shape),
        subspace=split.span.reshape(-1, *problem.shape),
        loss=found.value,
        certificate=LimitCertificate(split, split.proof, certificate, found.gap / max(1.0, found.value)),
    )


def _direction(
    problem: MarginProblem, split: SeparablePart, X: ArrayLike, y: ArrayLike
) -> tuple[Array, Certificate | None]:
    """The max margin (1), with its certificate."""
    if not split.separable.any():
        return np.zeros(problem.shape), None
    if split.separable.all():
        solution = max_margin(X, y, L2())
        return solution.beta, solution.certificate
    parts = problem.rows(np.flatnonzero(split.separable)) @ split.complement.T
    solution = max_margin(parts, np.ones(len(parts)), L2())
    return solution.beta @ split.complement, solution.certificate


def finite_part(
    problem: MarginProblem, split: SeparablePart, loss: MarginLoss, deadline: float = math.inf
) -> tuple[Array, FiniteMinimum]:
    """The minimizer (2), and the loss there with its gap."""
    rest = ~split.separable
    # constraints of the other part have margin inf: no loss
    rows = np.zeros((rest.size, len(split.span)))
    rows[rest] = problem.rows(np.flatnonzero(rest)) @ split.span.T
    found = finite_minimum(rows, loss, np.where(rest, 0.0, np.inf), deadline=deadline)
    return found.c @ split.span, found
