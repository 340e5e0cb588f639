"""ℓ∞ max margin: a linear program, solved by HiGHS and refined on its vertex.

    min ‖β‖_∞   s.t.  A β ≥ 1            dual:  max 1ᵀα  s.t.  α ≥ 0, ‖Aᵀα‖₁ ≤ 1

It is solved as max γ s.t. A u ≥ γ, −1 ≤ u ≤ 1, with β = u/γ. With t = ‖β‖_∞, J the rows with weight and F the
coordinates with |β_d| < t, a vertex has β_d = t s_d off F, and

    A_JF β_F + t A_J s = 1,        A_JFᵀ α_J = 0,  (A_J s)ᵀ α_J = 1        (s_d = 0 on F),

one matrix and its transpose, solved to rounding.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from solvers.arrays import Array
from solvers.extended_precision import extended_product, power_of_two
from solvers.problem import MarginProblem
from solvers.separability import raise_if_not_resolved
from solvers.solution import Candidate, Uniqueness


def linf_max_margin(problem: MarginProblem) -> Candidate:
    """β and multipliers. Raises NotSeparableError or IllConditionedError for data without a margin."""
    raise_if_not_resolved(problem.A, problem.label_shape)
    scale = power_of_two(float(np.abs(problem.A).max()))
    rows = problem.A / scale
    n, d = rows.shape
    answer = linprog(
        np.append(np.zeros(d), -1.0),
        A_ub=np.column_stack([-rows, np.ones(n)]),
        b_ub=np.zeros(n),
        bounds=[(-1.0, 1.0)] * d + [(None, None)],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    u, margin = answer.x[:d], float(answer.x[d])
    beta, alpha = u / margin, -answer.ineqlin.marginals / margin
    best = beta, alpha
    refined = _on_vertex(rows, u, margin, alpha)
    if _gap(rows, *refined) < _gap(rows, *best):
        best = refined
    stats = {"method": "linear program (HiGHS)", "iterations": int(answer.nit), "polished": best is refined}
    return Candidate((best[0] / scale).reshape(problem.shape), best[1] / scale, stats)


def _gap(rows: Array, beta: Array, alpha: Array) -> float:
    """The relative duality gap after scaling both to feasibility."""
    margin, size = float(extended_product(rows, beta).min()), float(np.abs(alpha @ rows).sum())
    if not (margin > 0 and size > 0 and alpha.min() >= 0):
        return np.inf
    return abs(1.0 - float(alpha.sum()) / size * margin / float(np.abs(beta).max()))


def _on_vertex(rows: Array, u: Array, margin: float, alpha: Array) -> tuple[Array, Array]:
    """The vertex of the rows with weight and the coordinates inside the box, by least squares, refined twice."""
    tight = np.flatnonzero(alpha > 1e-9 * alpha.max())
    free = np.flatnonzero(np.abs(u) < 1.0 - 1e-9)
    sides = np.where(np.abs(u) < 1.0 - 1e-9, 0.0, np.sign(u))
    matrix = np.column_stack([rows[np.ix_(tight, free)], rows[tight] @ sides])
    last = np.append(np.zeros(free.size), 1.0)
    solution, weights = np.append(u[free], 1.0) / margin, alpha[tight]
    inverse = np.linalg.pinv(matrix)
    for _ in range(3):
        solution = solution + inverse @ (1.0 - extended_product(matrix, solution))
        weights = weights + inverse.T @ (last - extended_product(matrix.T, weights))
    beta, multipliers = solution[-1] * sides, np.zeros_like(alpha)
    beta[free] = solution[:-1]
    multipliers[tight] = weights
    return beta, multipliers


def linf_unique(rows: Array, beta: Array, dual: Array, tolerance: float = 1e-9) -> Uniqueness:
    """Whether β is the only minimizer, from an optimal dual: decided on the face of all minimizers,

        { β : |β_d| ≤ t, β_d = t sign(z_d) where z_d ≠ 0, Aβ = 1 on {α > 0}, Aβ ≥ 1 elsewhere },        z = Aᵀα,

    a point when the tight columns of the other coordinates are independent, and otherwise exactly when a generic linear
    functional has equal minimum and maximum over it.

    Reference: Mangasarian (1979), "Uniqueness of solution in linear programming".
    """
    scale = float(np.abs(rows).max())
    rows, beta = rows / scale, beta * scale
    t, z = float(np.abs(beta).max()), dual @ rows
    free = np.abs(z) <= tolerance * np.abs(z).max()
    tight = dual > tolerance * dual.max()
    columns = rows[np.ix_(tight, free)]
    if not free.any() or np.linalg.matrix_rank(columns) == int(free.sum()):
        return Uniqueness.UNIQUE
    held = rows[:, ~free] @ beta[~free]
    objective = np.random.default_rng(0).standard_normal(int(free.sum()))
    ends = []
    for sign in (1.0, -1.0):
        answer = linprog(
            sign * objective,
            A_ub=-rows[np.ix_(~tight, free)] if (~tight).any() else None,
            b_ub=held[~tight] - 1.0 + tolerance if (~tight).any() else None,
            A_eq=columns,
            b_eq=1.0 - held[tight],
            bounds=(-t, t),
            method="highs",
        )
        if answer.status != 0:
            return Uniqueness.UNKNOWN
        ends.append(answer.x)
    apart = float(np.abs(ends[0] - ends[1]).max()) / t
    if apart <= 1e-6:
        return Uniqueness.UNIQUE
    # both ends must be optimal: margin one at the same norm
    margins = [float((rows[:, free] @ end + held).min()) for end in ends]
    return Uniqueness.NOT_UNIQUE if apart > 1e-4 and min(margins) >= 1.0 - 1e-6 else Uniqueness.UNKNOWN
