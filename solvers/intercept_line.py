"""Two classes and a norm: the intercept by minimizing the convex function of it alone.

    φ(b) = min { R(β) : y_n ⟨x_n − c, β⟩ ≥ 1 − y_n b },        −1 < b < 1,

is a max-margin problem without intercept for every b: its rows are y_n(x_n − c)/(1 − y_n b). Multipliers α of its
constraints give the slope, φ(b′) ≥ φ(b) − (b′ − b) Σ_n α_n y_n. So each b yields a line below φ; two with slopes of
opposite signs bound the minimum by the height at which they cross, and the mean of their α for which Σ α_n y_n = 0 is
the proof. Of a piecewise linear φ the crossing ends at the minimum; of a smooth one the secant of the slopes does.

The point c lies on the hyperplane of the ℓ2 solution, halfway between the classes, so that b = 0 is feasible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from solvers.arrays import Array
from solvers.certificate import certificate_of
from solvers.intercept_problem import InterceptProblem
from solvers.problem import MarginProblem
from solvers.regularizers.regularizer import Regularizer
from solvers.search import Search
from solvers.solution import Solution

Solve = Callable[[MarginProblem, Regularizer, Search], Solution]
MAX_LINES = 100
EDGE = 0.9
"""|b| up to which a minimum is looked for; the right sides are positive below one. A convention."""


@dataclass(frozen=True)
class Line:
    """φ at one b, with its multipliers for the constraints as they are."""

    b: float
    solution: Solution
    alpha: Array
    slope: float

    @classmethod
    def at(cls, b: float, problem: MarginProblem, regularizer: Regularizer, search: Search, solve: Solve) -> Line:
        """φ(b)."""
        right = 1.0 - problem.labels * b
        solution = solve(replace(problem, labels=problem.labels / right), regularizer, search)
        alpha = solution.dual / right
        return cls(b, solution, alpha, -float(alpha @ problem.labels))


def by_lines(
    whole: InterceptProblem, regularizer: Regularizer, search: Search, solve: Solve
) -> tuple[Solution, Array] | None:
    """A solution at some b near the best, and multipliers that balance; None where the best b has no such c.

    None as well where the points seem not separable: differences of points decide that.
    """
    if whole.seems_not_separable:
        return None
    inner = replace(search, tol=0.1 * search.tol, progress=None)
    problem, b, done = whole.about(whole.halfway), 0.0, 0
    below: Line | None = None
    above: Line | None = None
    while search.goes_on(done, MAX_LINES):
        line = Line.at(b, problem, regularizer, inner, solve)
        below = line if line.slope <= 0 else below
        above = line if line.slope >= 0 else above
        done += 1
        if below is not None and above is not None:
            found = proved(whole, regularizer, below, above)
            if found[2] <= search.tol:
                break
            b = crossing(below, above, done)
        elif abs(b) >= EDGE:
            return None
        else:
            b = float(np.clip(b - np.sign(line.slope) * 0.1 * 2.0**done, -EDGE, EDGE))
    return None if below is None or above is None else proved(whole, regularizer, below, above)[:2]


def proved(
    whole: InterceptProblem, regularizer: Regularizer, below: Line, above: Line
) -> tuple[Solution, Array, float]:
    """The better of two answers, the multipliers that balance, and the largest violation left."""
    total = above.slope - below.slope
    share = above.slope / total if total > 0 else 0.5
    alpha = share * below.alpha + (1.0 - share) * above.alpha  # Σ α_n y_n = 0
    both = [(line.solution, certificate_of(whole, line.solution.beta, regularizer, alpha)) for line in (below, above)]
    solution, certificate = min(both, key=lambda pair: pair[1].worst)
    return solution, alpha, certificate.worst


def crossing(below: Line, above: Line, done: int) -> float:
    """Where to look next: where the lines cross, in turn where the secant of the slopes is zero, or halfway."""
    drop, width = below.slope - above.slope, above.b - below.b
    heights = above.solution.objective - below.solution.objective
    if done % 3 == 0:
        b = below.b + below.slope * width / drop
    else:
        b = (below.b * below.slope - above.b * above.slope + heights) / drop
    return b if below.b < b < above.b and done % 7 else 0.5 * (below.b + above.b)
